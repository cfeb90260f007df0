"""Translations: English source texts, German catalogue, one lookup for pages, mails and errors.

Here: the marker `_` that extraction finds, the languages the program speaks, and `translator(language)`.
Not here: choosing a person's language (accounts, customers, intake), Jinja (`web/i18n.py`), dates (`web/moments.py`).

Nothing is global or context bound: whoever has a reader knows the language and passes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

CATALOGUE_FOLDERS: list[Path] = [Path(__file__).resolve().parent.parent / "locales"]
"""Where catalogues are looked up, `<folder>/<language>/LC_MESSAGES/fernwart.po`; `web` adds its own at assembly."""

DOMAIN = "fernwart"


class Language(StrEnum):
    """A language the program speaks; the value is its ISO 639-1 code."""

    ENGLISH = "en"
    GERMAN = "de"


DEFAULT_LANGUAGE = Language.GERMAN
"""Whom nothing is known about is written to in German (the owner's rule for mails)."""


def _(text: str) -> str:
    """Mark a source text for extraction and return it unchanged; it is translated where the reader is known."""
    return text


@dataclass(frozen=True, slots=True)
class Translator:
    """The texts of one language. Calling it translates and fills in `%(name)s` values."""

    language: Language
    messages: Mapping[str, str | tuple[str, ...]]

    def __call__(self, text: str, **values: object) -> str:
        """Translate a text; without a translation the English source is returned."""
        translated = self.gettext(text)
        return translated % values if values else translated

    def plural(self, singular: str, plural: str, count: int, **values: object) -> str:
        """Translate a text with a number; the number is also available as `%(num)s`."""
        return self.ngettext(singular, plural, count) % {"num": count, **values}

    def gettext(self, text: str) -> str:
        """Translate without filling in values."""
        found = self.messages.get(text)
        if found is None:
            return text
        return found if isinstance(found, str) else found[0]

    def ngettext(self, singular: str, plural: str, count: int) -> str:
        """Choose the form for a number; English and German share the rule "one is one, the rest is many"."""
        found = self.messages.get(singular)
        forms = found if isinstance(found, tuple) else (singular, plural)
        return forms[0] if count == 1 else forms[-1]


def find_language(code: str | None) -> Language | None:
    """Return the language for a code such as `de`, `de-AT` or `en_GB`, or None when we do not speak it."""
    if not code:
        return None
    try:
        return Language(code.strip().lower().replace("_", "-").split("-")[0])
    except ValueError:
        return None


@cache
def translator(language: str | None) -> Translator:
    """Return the translator of a language; an unknown one gets the default language.

    Catalogues are read once for each language. A folder added later needs `translator.cache_clear()`.
    """
    spoken = find_language(language) or DEFAULT_LANGUAGE
    messages: dict[str, str | tuple[str, ...]] = {}
    for folder in CATALOGUE_FOLDERS:
        messages.update(read_catalogue(folder / spoken / "LC_MESSAGES" / f"{DOMAIN}.po"))
    return Translator(language=spoken, messages=messages)


def translate(language: str | None, text: str, **values: object) -> str:
    """Translate one text; for callers that need a single one."""
    return translator(language)(text, **values)


def read_catalogue(path: Path) -> dict[str, str | tuple[str, ...]]:
    """Read the finished translations of one catalogue file; English needs none, so a missing file is empty."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        catalogue = read_po(file)
    messages: dict[str, str | tuple[str, ...]] = {}
    for message in catalogue:
        if not message.id or message.fuzzy:
            continue
        translated = message.string
        if isinstance(message.id, str) and isinstance(translated, str):
            if translated:
                messages[message.id] = translated
        elif not isinstance(message.id, str) and isinstance(translated, list | tuple) and all(translated):
            messages[message.id[0]] = tuple(translated)
    return messages
