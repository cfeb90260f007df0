"""What a password must be, decided without a database: long, not well known, not about its owner.

A list of the passwords that people choose first would grow for ever if every decoration of them were in it. So a password is
undressed before it is looked up: lower case, digits and signs that stand for letters read as letters, the rest dropped.
What is left of "P@ssw0rt-2026!" is "passwort", and that is on the list.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from orchestrator.accounts.passwords import MAX_CHARACTERS
from orchestrator.core.errors import InvalidInput
from orchestrator.core.i18n import _

MIN_CHARACTERS = 12
_MIN_DIFFERENT = 5
_LIST = Path(__file__).resolve().parent / "common_passwords.txt"
_LETTERS = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "€": "e"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_ROWS = ("1234567890", "0987654321", "qwertzuiopasdfghjklyxcvbnm", "qwertyuiopasdfghjklzxcvbnm", "abcdefghijklmnopqrstuvwxyz",
         "1qaz2wsx3edc4rfv5tgb6zhn", "1qay2wsx3edc4rfv5tgb6zhn", "q1w2e3r4t5z6u7i8o9p0", "1q2w3e4r5t6z7u8i9o0p")


def check_new_password(password: str, *, email: str, name: str) -> None:
    """Raise ``InvalidInput`` on the field ``password`` when a password may not be used, saying why."""
    if len(password) < MIN_CHARACTERS:
        raise InvalidInput(_("Use at least {count} characters; a few words you remember are good."), field="password", count=MIN_CHARACTERS)
    if len(password) > MAX_CHARACTERS:
        raise InvalidInput(_("Use at most {count} characters."), field="password", count=MAX_CHARACTERS)
    if len(set(password.lower())) < _MIN_DIFFERENT:
        raise InvalidInput(_("This repeats the same few characters."), field="password")
    lowered = password.lower().translate(_UMLAUTS)
    for part in _personal_words(email, name):
        if part in lowered:
            raise InvalidInput(_("This contains your name or your mail address."), field="password")
    if is_common(password):
        raise InvalidInput(_("This is one of the passwords that are tried first, with or without decoration."), field="password")


def is_common(password: str) -> bool:
    """Say whether a password, undressed, is made of nothing but words that are tried first, or of rows of keys."""
    lowered = password.lower().translate(_UMLAUTS)
    known = _common_words()
    core = re.sub(r"^[^a-z]+|[^a-z]+$", "", lowered)
    for text in (lowered, lowered.translate(_LETTERS), core.translate(_LETTERS)):
        letters = re.sub(r"[^a-z]", "", text)
        if lowered in known or text in known or (letters and _consists_of(letters, known)):
            return True
    keys = re.sub(r"[^a-z0-9]", "", lowered)
    return not keys or _walks(keys)


def _consists_of(letters: str, known: frozenset[str]) -> bool:
    """Whether a text is one to three words of the list in a row; three different words are no longer the first to be tried."""
    reachable: dict[int, frozenset[str]] = {0: frozenset()}
    for start in range(len(letters)):
        if start not in reachable:
            continue
        for end in range(start + 3, min(len(letters), start + 24) + 1):
            word = letters[start:end]
            used = reachable[start] | {word}
            if word in known and len(used) <= 2 and (end not in reachable or len(used) < len(reachable[end])):
                reachable[end] = used
    return len(letters) in reachable


def _walks(keys: str) -> bool:
    """Whether a text consists of runs of at least four neighbouring keys."""
    position = 0
    while position < len(keys):
        longest = 0
        for row in _ROWS:
            length = 0
            while position + length < len(keys) and keys[position:position + length + 1] in row:
                length += 1
            longest = max(longest, length)
        if longest < 4 and not (position > 0 and longest == len(keys) - position):
            return False
        position += longest
    return True


def _personal_words(email: str, name: str) -> set[str]:
    words = re.split(r"[^a-z0-9]+", f"{email} {name}".lower().translate(_UMLAUTS))
    return {word for word in words if len(word) >= 4 and word not in {"mail", "info", "support", "example"}}


@cache
def _common_words() -> frozenset[str]:
    lines = _LIST.read_text("utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
