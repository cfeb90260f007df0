"""Wires the catalogues into Jinja: one environment for each language, so that texts need no context.

Here: the template environments and the reader's language. Not here: the lookup itself (`orchestrator/core/i18n.py`),
dates and durations (`web/moments.py`), addresses of static files (`web/static_files.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from orchestrator.core import i18n
from orchestrator.core.i18n import Language
from web import labels, moments

TEMPLATES = Path(__file__).resolve().parent / "templates"
_MARK = "0field0"
LOCALES = Path(__file__).resolve().parent / "locales"


@cache
def add_catalogues() -> None:
    """Let the translators know the texts of the pages as well; once per process."""
    if LOCALES not in i18n.CATALOGUE_FOLDERS:
        i18n.CATALOGUE_FOLDERS.append(LOCALES)
    i18n.translator.cache_clear()


def build_environment(language: Language, *, page_globals: Mapping[str, object]) -> Environment:
    """Return the template environment of one language.

    `page_globals` are names that every template may use (`static`, `url_for`). Autoescape is on for every file and an
    undefined name is an error.
    """
    add_catalogues()
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    words = i18n.translator(language)
    extended: Any = environment  # jinja2.ext.i18n adds the next method when it is loaded.
    extended.install_gettext_callables(words.gettext, words.ngettext, newstyle=True)
    environment.globals.update({name: value for name, value in page_globals.items() if value is not None})
    environment.globals["url_for"] = url_for
    environment.globals["language"] = str(language)
    environment.globals["labels"] = labels
    moments.register(environment, language)
    return environment


@pass_context
def url_for(context: Context, name: str, /, *, query: Mapping[str, object] | None = None, **path: object) -> str:
    """Return the address of a route as a path, never with a host: pages follow whatever name they were reached by.

    `query` adds a query string; empty values are left out, sequences repeat their name.
    """
    address = _address_of(context["request"].app, name, path)
    wanted = {key: value for key, value in (query or {}).items() if value not in (None, "", [], ())}
    return f"{address}?{urlencode(wanted, doseq=True)}" if wanted else address


def _address_of(app: Any, name: str, path: Mapping[str, object]) -> str:
    """Find the address of a route. Looking one up walks the whole route table, so each name's pattern is kept with the app."""
    patterns: dict[tuple[str, ...], str] | None = getattr(app.state, "url_patterns", None)
    if patterns is None:
        patterns = app.state.url_patterns = {}
    if not all(isinstance(value, str) and value and "/" not in value for value in path.values()):
        return str(app.url_path_for(name, **path))
    key = (name, *path)
    if key not in patterns:
        patterns[key] = str(app.url_path_for(name, **{part: f"{_MARK}{part}{_MARK}" for part in path}))
    address = patterns[key]
    for part, value in path.items():
        address = address.replace(f"{_MARK}{part}{_MARK}", quote(str(value), safe="~()*!.'-_:@,;=+$&"))
    return address


def choose_language(*, chosen: str | None, accept_language: str | None, fallback: Language) -> Language:
    """Return the language of a reader: the chosen one (account or cookie), else the browser's, else the fallback."""
    found = i18n.find_language(chosen)
    if found is not None:
        return found
    for part in (accept_language or "").split(","):
        found = i18n.find_language(part.split(";")[0])
        if found is not None:
            return found
    return fallback
