"""A Date header to an aware datetime, however written.

Here: RFC 5322 dates, obsolete forms, German month names, missing zones. Not here: the clock; the caller compares.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar mär mrz", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt", "nov", "dec dez"), start=1
    )
    for name in names.split()
}
_ZONES = {
    "ut": 0, "utc": 0, "gmt": 0, "z": 0, "wet": 0, "west": 60, "bst": 60, "cet": 60, "mez": 60, "met": 60, "cest": 120,
    "mesz": 120, "mest": 120, "eet": 120, "eest": 180, "msk": 180, "est": -300, "edt": -240, "cst": -360, "cdt": -300,
    "mst": -420, "mdt": -360, "pst": -480, "pdt": -420, "jst": 540,
}  # fmt: skip
_DAY_FIRST = re.compile(r"\b(\d{1,2})[.\- ]{1,3}([A-Za-zäÄ]{3})[a-z]{0,7}[.\-, ]{1,3}(\d{2,4})\b")
_MONTH_FIRST = re.compile(r"\b([A-Za-zäÄ]{3})[a-z]{0,7}[. ]{1,3}(\d{1,2})\b")
_YEAR = re.compile(r"\b(\d{4})\b")
_ISO = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")
_GERMAN = re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b")
_TIME = re.compile(r"(?<![\d.])(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?(?![\d.])")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})\b")
_ZONE_NAME = re.compile(r"\b([A-Za-z]{1,4})\b")
_MAX_CHARACTERS = 200


def parse_date(value: str) -> tuple[datetime | None, bool]:
    """Give the moment a Date header names and whether it was odd: no zone, no known form, out of range.

    The answer is aware; a date without a zone is taken as UTC. None when no date can be read.
    """
    value = value[:_MAX_CHARACTERS]
    day = _read_day(value)
    if day is None:
        return None, bool(value.strip())
    time = _TIME.search(value)
    hour, minute, second = (int(time.group(1)), int(time.group(2)), int(time.group(3) or 0)) if time else (0, 0, 0)
    offset_minutes = _read_zone(value[time.end() :] if time else "")
    odd = time is None or offset_minutes is None
    try:
        zone = timezone(timedelta(minutes=offset_minutes or 0))
        moment = datetime(*day, hour, minute, min(second, 59), tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None, True
    return moment, odd


def _read_day(value: str) -> tuple[int, int, int] | None:
    if (found := _DAY_FIRST.search(value)) and (month := _MONTHS.get(found.group(2).lower())):
        return _year(found.group(3)), month, int(found.group(1))
    if found := _ISO.search(value):
        return int(found.group(1)), int(found.group(2)), int(found.group(3))
    if found := _GERMAN.search(value):
        return int(found.group(3)), int(found.group(2)), int(found.group(1))
    year = _YEAR.search(value)
    for found in _MONTH_FIRST.finditer(value):
        if year and (month := _MONTHS.get(found.group(1).lower())):
            return int(year.group(1)), month, int(found.group(2))
    return None


def _year(digits: str) -> int:
    """Read a year as RFC 5322 section 4.3 does: two digits below 50 are 20xx, three digits count from 1900."""
    year = int(digits)
    if len(digits) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


def _read_zone(rest: str) -> int | None:
    if found := _OFFSET.search(rest):
        minutes = int(found.group(2)) * 60 + int(found.group(3))
        if minutes < 24 * 60:
            return -minutes if found.group(1) == "-" else minutes
        return None
    for found in _ZONE_NAME.finditer(rest):
        if (minutes := _ZONES.get(found.group(1).lower())) is not None:
            return minutes
    return None
