"""When the clock must look again, as pure rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.lifecycle.due import SessionTimes, next_due_at, warning_due
from sessions.lifecycle.models import FINAL_STATES, SessionState

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(**delta: float) -> datetime:
    return NOW + timedelta(**delta)


@pytest.mark.parametrize(("times", "expected"), [
    (SessionTimes(SessionState.REQUESTED, [at(minutes=60), at(minutes=30)]), at(minutes=30)),
    (SessionTimes(SessionState.APPROVED, start_by_at=at(hours=8)), at(hours=8)),
    (SessionTimes(SessionState.LIVE, ends_at=at(minutes=30), max_seconds=1800), at(minutes=20)),
    (SessionTimes(SessionState.LIVE, ends_at=at(minutes=30), max_seconds=1800, warned_minutes=10), at(minutes=27)),
    (SessionTimes(SessionState.LIVE, ends_at=at(minutes=30), max_seconds=1800, warned_minutes=3), at(minutes=30)),
    (SessionTimes(SessionState.LIVE, ends_at=at(minutes=2), max_seconds=120), at(minutes=2)),
    (SessionTimes(SessionState.LIVE, [at(minutes=5)], ends_at=at(minutes=30), max_seconds=1800), at(minutes=5)),
    (SessionTimes(SessionState.SUSPENDED, ends_at=at(hours=1), max_seconds=3600, suspended_at=NOW, grace_seconds=120), at(seconds=130)),
    (SessionTimes(SessionState.ENDED, ended_at=NOW), at(seconds=2)),
    (SessionTimes(SessionState.ENDED, ended_at=NOW, summary_written=True), None),
    (SessionTimes(SessionState.DENIED, [at(minutes=1)]), None),
    (SessionTimes(SessionState.REQUESTED), None),
])
def test_the_next_moment_is(times: SessionTimes, expected: datetime | None) -> None:
    assert next_due_at(times) == expected


@given(st.sampled_from(list(SessionState)), st.integers(1, 480), st.integers(0, 500), st.sampled_from([None, 10, 3]))
def test_a_warning_comes_once_in_order_and_only_while_it_runs(state: SessionState, minutes: int, passed: int, warned: int | None) -> None:
    times = SessionTimes(state, ends_at=at(minutes=minutes), max_seconds=minutes * 60, warned_minutes=warned)
    found = warning_due(times, at(minutes=passed))
    if state in FINAL_STATES or state in (SessionState.REQUESTED, SessionState.APPROVED):
        assert found is None
    elif found is not None:
        assert minutes - passed <= found < minutes and (warned is None or found < warned)
