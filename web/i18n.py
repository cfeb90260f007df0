"""Wires the catalogues into Jinja: one environment for each language, so that texts need no context.

Here: the template environments and the reader's language. Not here: the lookup itself (`orchestrator/core/i18n.py`),
dates and durations (`web/moments.py`), addresses of static files (`web/static_files.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestrator.core import i18n
from orchestrator.core.i18n import Language
from web import moments

TEMPLATES = Path(__file__).resolve().parent / "templates"
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
    install: Callable[..., None] = environment.install_gettext_callables  # type: ignore[attr-defined]  # set by jinja2.ext.i18n
    install(words.gettext, words.ngettext, newstyle=True)
    environment.globals.update(page_globals)
    environment.globals["language"] = str(language)
    moments.register(environment, language)
    return environment


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
