"""How dates, spans and sizes are written for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.i18n import Language
from web.i18n import add_catalogues
from web.moments import DEFAULT_ZONE, find_zone, write_day, write_exact_moment, write_moment, write_since, write_size, write_span

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BERLIN = find_zone("Europe/Berlin")


@pytest.fixture(autouse=True)
def _catalogues() -> None:
    add_catalogues()


@pytest.mark.parametrize(("moment", "english", "german"), [
    (NOW - timedelta(hours=3), "10:00", "10:00"),
    (NOW - timedelta(days=1), "yesterday 13:00", "gestern 13:00"),
    (NOW + timedelta(days=1), "tomorrow 13:00", "morgen 13:00"),
    (datetime(2026, 11, 3, 8, 2, tzinfo=UTC), "3 Nov 09:02", "3. Nov. 09:02"),
    (datetime(2025, 7, 1, 8, 2, tzinfo=UTC), "1 Jul 2025 10:02", "1. Juli 2025 10:02"),
    (datetime(2026, 11, 22, 23, 30, tzinfo=UTC), "00:30", "00:30"),
])
def test_a_moment_is_written_as_short_as_stays_clear(moment: datetime, english: str, german: str) -> None:
    assert write_moment(moment, now=NOW, zone=BERLIN, language=Language.ENGLISH) == english
    assert write_moment(moment, now=NOW, zone=BERLIN, language=Language.GERMAN) == german


@pytest.mark.parametrize(("seconds", "english", "german"), [
    (0.04, "0.0 s", "0,0 s"), (1.25, "1.2 s", "1,2 s"), (9.96, "10.0 s", "10,0 s"), (42, "42 s", "42 s"), (59.6, "1 min", "1 min"),
    (1020, "17 min", "17 min"), (6120, "1 h 42 min", "1 h 42 min"), (7200, "2 h", "2 h"), (97200, "1 d 3 h", "1 T 3 h"),
    (172800, "2 d", "2 T"), (-5, "0.0 s", "0,0 s"),
])
def test_a_span_is_written_in_its_two_largest_units(seconds: float, english: str, german: str) -> None:
    assert write_span(seconds, language=Language.ENGLISH) == english
    assert write_span(seconds, language=Language.GERMAN) == german


def test_how_long_ago_is_said_in_words() -> None:
    assert write_since(NOW - timedelta(seconds=5), now=NOW, language=Language.ENGLISH) == "just now"
    assert write_since(NOW - timedelta(hours=2), now=NOW, language=Language.GERMAN) == "vor 2 h"
    assert write_since(NOW + timedelta(minutes=3), now=NOW, language=Language.GERMAN) == "in 3 min"
    assert write_since(NOW + timedelta(seconds=3), now=NOW, language=Language.ENGLISH) == "in a moment"


def test_the_exact_moment_names_day_seconds_and_zone() -> None:
    written = write_exact_moment(NOW, zone=BERLIN, language=Language.GERMAN)
    assert "Montag, 23. November 2026" in written
    assert "13:00:00" in written
    assert write_day(NOW, zone=BERLIN, language=Language.ENGLISH) == "23 Nov 2026"


@pytest.mark.parametrize(("size_bytes", "expected"), [(0, "0 B"), (512, "512 B"), (3400, "3,4 KB"), (182_000, "182 KB"), (12_000_000, "12 MB")])
def test_a_size_is_written_with_decimal_units(size_bytes: int, expected: str) -> None:
    assert write_size(size_bytes, language=Language.GERMAN) == expected


@given(st.one_of(st.none(), st.text(max_size=100)))
def test_an_odd_zone_name_never_raises(name: str | None) -> None:
    assert find_zone(name) is not None


@pytest.mark.parametrize("name", ["", "Nowhere/City", "../../etc/passwd", "/etc/localtime", "x" * 5000, "Europe/\x00"])
def test_an_unknown_zone_is_berlin(name: str) -> None:
    assert find_zone(name) is DEFAULT_ZONE


@given(st.floats(min_value=0, max_value=1e9, allow_nan=False))
def test_any_span_is_written(seconds: float) -> None:
    assert write_span(seconds, language=Language.ENGLISH)
