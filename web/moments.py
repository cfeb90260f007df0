"""Dates, times and durations as the reader reads them: own zone, own language.

Here: template filters for moments and spans. Not here: clocks (`orchestrator/core/clock.py`), deadlines (tickets).
The reader's zone and the time of the request come from the names `time_zone` and `now` that every page has.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_date
from jinja2 import Environment, pass_context
from jinja2.runtime import Context

from orchestrator.core.i18n import Language, translator

DEFAULT_ZONE = ZoneInfo("Europe/Berlin")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def find_zone(name: str | None) -> ZoneInfo:
    """Return a time zone by its IANA name; an unknown or odd name gives Europe/Berlin."""
    if not name or len(name) > 64:
        return DEFAULT_ZONE
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return DEFAULT_ZONE


def write_moment(moment: datetime, *, now: datetime, zone: ZoneInfo, language: Language) -> str:
    """Write a moment as short as stays clear: "09:02" today, "yesterday 09:02", "3 Nov 09:02", with year if another."""
    local, today = moment.astimezone(zone), now.astimezone(zone).date()
    clock = f"{local:%H:%M}"
    if local.date() == today:
        return clock
    words = translator(language)
    if local.date() == today - timedelta(days=1):
        return words("yesterday %(time)s", time=clock)
    if local.date() == today + timedelta(days=1):
        return words("tomorrow %(time)s", time=clock)
    pattern = {Language.GERMAN: "d. MMM", Language.ENGLISH: "d MMM"}[language]
    if local.year != today.year:
        pattern += " y"
    return f"{_write_date(local.date(), pattern, language)} {clock}"


def write_exact_moment(moment: datetime, *, zone: ZoneInfo, language: Language) -> str:
    """Write a moment completely, with seconds and zone, for titles and receipts."""
    pattern = {Language.GERMAN: "EEEE, d. MMMM y", Language.ENGLISH: "EEEE, d MMMM y"}[language]
    local = moment.astimezone(zone)
    return f"{_write_date(local.date(), pattern, language)}, {local:%H:%M:%S %Z}"


def write_day(moment: datetime, *, zone: ZoneInfo, language: Language) -> str:
    """Write the day of a moment: "23 Nov 2026"."""
    pattern = {Language.GERMAN: "d. MMM y", Language.ENGLISH: "d MMM y"}[language]
    return _write_date(moment.astimezone(zone).date(), pattern, language)


@lru_cache(maxsize=4096)
def _write_date(day: date, pattern: str, language: Language) -> str:
    """Write a date by a CLDR pattern; kept, since a list writes the same few days again and again."""
    return format_date(day, pattern, locale=language)


def write_span(seconds: float, *, language: Language) -> str:
    """Write a length of time in its two largest units: "0.2 s", "42 s", "17 min", "1 h 42 min", "3 d 4 h"."""
    words = translator(language)
    if seconds < 10:
        text = f"{max(seconds, 0.0):.1f}"
        return words("%(number)s s", number=text.replace(".", ",") if language is Language.GERMAN else text)
    whole = round(seconds)
    if whole < _MINUTE:
        return words("%(number)s s", number=whole)
    if whole < _HOUR:
        return words("%(number)s min", number=whole // _MINUTE)
    if whole < _DAY:
        hours, minutes = divmod(whole // _MINUTE, 60)
        if minutes:
            return words("%(hours)s h %(minutes)s min", hours=hours, minutes=minutes)
        return words("%(number)s h", number=hours)
    days, hours = divmod(whole // _HOUR, 24)
    return words("%(days)s d %(hours)s h", days=days, hours=hours) if hours else words("%(number)s d", number=days)


def write_since(moment: datetime, *, now: datetime, language: Language) -> str:
    """Write how long ago a moment was, or in how long it will be."""
    seconds = (now - moment).total_seconds()
    words = translator(language)
    if abs(seconds) < _MINUTE:
        return words("just now") if seconds >= 0 else words("in a moment")
    span = write_span(abs(seconds), language=language)
    return words("%(span)s ago", span=span) if seconds > 0 else words("in %(span)s", span=span)


def write_size(size_bytes: int, *, language: Language) -> str:
    """Write a size in bytes with decimal units: "512 B", "3.4 KB", "12 MB"."""
    value, unit = float(size_bytes), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    text = f"{value:.1f}" if value < 10 and unit != "B" else f"{value:.0f}"
    return f"{text.replace('.', ',') if language is Language.GERMAN else text} {unit}"


def register(environment: Environment, language: Language) -> None:
    """Add the filters `when`, `exact`, `day`, `span`, `since`, `size` and `iso` to a template environment."""

    def _zone(context: Context) -> ZoneInfo:
        return find_zone(context["time_zone"])

    def _now(context: Context) -> datetime:
        return context["now"]

    @pass_context
    def when(context: Context, moment: datetime) -> str:
        return write_moment(moment, now=_now(context), zone=_zone(context), language=language)

    @pass_context
    def exact(context: Context, moment: datetime) -> str:
        return write_exact_moment(moment, zone=_zone(context), language=language)

    @pass_context
    def day(context: Context, moment: datetime) -> str:
        return write_day(moment, zone=_zone(context), language=language)

    @pass_context
    def since(context: Context, moment: datetime) -> str:
        return write_since(moment, now=_now(context), language=language)

    def span(seconds: float | timedelta) -> str:
        length = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        return write_span(length, language=language)

    def size(size_bytes: int) -> str:
        return write_size(size_bytes, language=language)

    def iso(moment: datetime) -> str:
        return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    environment.filters.update(when=when, exact=exact, day=day, since=since, span=span, size=size, iso=iso)
