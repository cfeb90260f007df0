"""What is written down about a person with an account: mail address, name, roles, language, zone, look; checked here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from zoneinfo import available_timezones

from orchestrator.accounts.actor import Role
from orchestrator.core.errors import InvalidInput
from orchestrator.core.i18n import Language, _

THEMES = ("auto", "light", "dark")
_EMAIL = re.compile(r"[^\s@<>,;:\"\\()\[\]\x00-\x1f]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def normalise_email(text: str) -> str:
    """Return a mail address in lower case. Raises ``InvalidInput`` on ``email`` for what is none."""
    email = text.strip().lower()
    if len(email) > 254 or not _EMAIL.fullmatch(email):
        raise InvalidInput(_("This is not a mail address."), field="email")
    return email


def check_name(text: str) -> str:
    """Return a person's name without needless blanks. Raises ``InvalidInput`` on ``name``."""
    name = " ".join(text.split())
    if not name or len(name) > 200 or _UNPRINTABLE.search(name):
        raise InvalidInput(_("Write a name of 1 to 200 characters."), field="name")
    return name


def parse_roles(words: Iterable[str]) -> list[Role]:
    """Read roles from words. Raises ``InvalidInput`` on ``roles`` for none, or one that does not exist."""
    known = {role.value: role for role in Role}
    wanted = list(dict.fromkeys(word.strip().lower() for word in words))
    for word in wanted:
        if word not in known:
            raise InvalidInput(_("There is no role called {role}."), field="roles", role=word)
    if not wanted:
        raise InvalidInput(_("Choose at least one role."), field="roles")
    return sorted(known[word] for word in wanted)


def check_language(text: str) -> str:
    if text not in list(Language):
        raise InvalidInput(_("This language is not spoken here."), field="language")
    return text


def check_time_zone(text: str) -> str:
    """Return an IANA time zone name. Raises ``InvalidInput`` on ``time_zone``."""
    if text not in available_timezones():
        raise InvalidInput(_("This is not a time zone, such as Europe/Berlin."), field="time_zone")
    return text


def check_theme(text: str) -> str:
    if text not in THEMES:
        raise InvalidInput(_("This look does not exist."), field="theme")
    return text
