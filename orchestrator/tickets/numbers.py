"""Ticket numbers: their format, their check digit, and how to find them in what people write. No database here.

The check digit is Damm's (H. M. Damm, *Total anti-symmetrische Quasigruppen*, 2004): one decimal digit over the digits of
year and counter, which catches every single wrong digit and every swap of two neighbours.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from functools import cache

from orchestrator.accounts.desk import DEFAULT_NUMBER_FORMAT
from orchestrator.core.errors import InvalidInput

_DAMM = (
    "0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
    "3674209581", "5869720134", "8945362017", "9438617205", "2581436790",
)
_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212_./"
_SEARCHED_CHARACTERS = 4000
_WORDS = r"(?:#|(?:ticket|case|vorgang|anfrage)(?:[ -]?(?:nummer|number|nr|no|id))?\.?[ :#]{1,3})"


def check_digit(digits: str) -> str:
    """Compute Damm's check digit of a string of decimal digits."""
    interim = 0
    for digit in digits:
        interim = int(_DAMM[interim][int(digit)])
    return str(interim)


def format_number(number_format: str, *, year: int, counter: int) -> str:
    """Write a ticket number. ``number_format`` has ``{year}``, ``{counter}`` (with a width) and may have ``{check}``."""
    return number_format.format(year=f"{year:04d}", counter=counter, check=check_digit(f"{year:04d}{counter:06d}"))


def check_format(number_format: str) -> None:
    """Raise ``InvalidInput`` unless numbers of this format are unique and can be recognised."""
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(number_format) if name]
        sample = format_number(number_format, year=2026, counter=123)
    except (ValueError, KeyError, IndexError, AttributeError) as exc:
        raise InvalidInput("The format of ticket numbers cannot be read: {text}", text=number_format, field="ticket_number_format") from exc
    if sorted(fields) not in (["check", "counter", "year"], ["counter", "year"]) or len(sample) > 40:
        raise InvalidInput("A format of ticket numbers needs {{year}} and {{counter}} once each, and may have {{check}}.",
                           field="ticket_number_format", text=number_format)


def subject_tag(number: str) -> str:
    """The tag in the subject of our mails, by which answers are recognised."""
    return f"[#{number}]"


def find_numbers(text: str, formats: Sequence[str] = (DEFAULT_NUMBER_FORMAT,)) -> list[str]:
    """Return the ticket numbers in ``text``, in canonical form, in order, each once, with a right check digit only.

    Recognised: the tag ``[#2026-000123-4]``, the bare number, other dashes, dots or blanks between the parts, and after a
    ``#`` or a word such as *Ticket* also the digits alone. Only the first 4,000 characters are looked at.
    """
    haystack = text[:_SEARCHED_CHARACTERS]
    found: list[tuple[int, int, str]] = []
    for number_format in sorted(dict.fromkeys(formats), key=lambda one: "{check}" not in one):  # the surer formats first
        for begin, end, number in _scan(haystack, number_format):
            if not any(begin < other_end and other_begin < end for other_begin, other_end, _ in found):
                found.append((begin, end, number))
    return list(dict.fromkeys(number for _, _, number in sorted(found)))


def _scan(text: str, number_format: str) -> Iterator[tuple[int, int, str]]:
    for pattern in _patterns(number_format):
        for match in pattern.finditer(text):
            parts = match.groupdict()
            year, counter = parts["year"], parts["counter"]
            if "check" in parts and check_digit(f"{year}{int(counter):06d}") != parts["check"]:
                continue
            yield match.start("year"), match.end(), format_number(number_format, year=int(year), counter=int(counter))


@cache
def _patterns(number_format: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    return _pattern(number_format, tagged=False), _pattern(number_format, tagged=True)


def _pattern(number_format: str, *, tagged: bool) -> re.Pattern[str]:
    pieces: list[str] = []
    for literal, name, spec, _ in string.Formatter().parse(number_format):
        pieces += [_separator(character, optional=tagged) for character in literal]
        if name == "year":
            pieces.append("(?P<year>[0-9]{4})")
        elif name == "counter":
            width = int(re.sub(r"[^0-9]", "", spec or "") or 1)
            pieces.append(f"(?P<counter>[0-9]{{{width},12}})" if not tagged or width == 1 else f"(?P<counter>[0-9]{{{width}}})")
        elif name == "check":
            pieces.append("(?P<check>[0-9])")
    lead = _WORDS + "[ ]?" if tagged else r"(?<![0-9A-Za-z])"
    return re.compile(lead + "".join(pieces) + r"(?![0-9])", re.IGNORECASE)


def _separator(character: str, *, optional: bool) -> str:
    if character in _DASHES or character == " ":
        return "[ ]?" if optional else f"(?:[ ]?[{re.escape(_DASHES)}][ ]?|[ ])"
    return re.escape(character)
