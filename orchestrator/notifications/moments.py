"""Moments as mails write them: in the desk's zone, named."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo


def write_moment(moment: datetime, *, zone: str, language: str) -> str:
    """Write date and time with the zone's short name, such as ``23.11.2026, 14:05 (CET)``."""
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local:%d.%m.%Y, %H:%M} ({local.tzname()})" if language == "de" else f"{local:%Y-%m-%d, %H:%M} ({local.tzname()})"


def write_day(moment: datetime, *, zone: str, language: str) -> str:
    """Write the date alone."""
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local:%d.%m.%Y}" if language == "de" else f"{local:%Y-%m-%d}"
