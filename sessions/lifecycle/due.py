"""When the clock must look at a session again, and what it then finds. Pure.

The rows are claimed and the steps taken in ``clock.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sessions.lifecycle.models import SessionState

WARN_MINUTES = (10, 3)
GRACE_MARGIN = timedelta(seconds=10)
"""The server waits this much longer than the agent's own grace: the agent closes first, by its own clock."""
SUMMARY_DELAY = timedelta(seconds=2)
"""The recording is closed just after the session; the summary counts its commands."""

_RUNNING = (SessionState.LIVE, SessionState.SUSPENDED, SessionState.PAUSED)


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """What decides about due times. ``decisions_until`` are the ends of the open requests."""

    state: SessionState
    decisions_until: Sequence[datetime] = ()
    start_by_at: datetime | None = None
    ends_at: datetime | None = None
    suspended_at: datetime | None = None
    grace_seconds: int = 120
    warned_minutes: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    summary_written: bool = False
    max_seconds: int = 0


def next_due_at(times: SessionTimes) -> datetime | None:
    """Return the next moment at which something happens by itself; None when nothing will."""
    moments: list[datetime] = []
    match times.state:
        case SessionState.REQUESTED:
            moments += times.decisions_until
        case SessionState.APPROVED:
            moments += [times.start_by_at] if times.start_by_at else []
        case SessionState.LIVE | SessionState.SUSPENDED | SessionState.PAUSED:
            moments += times.decisions_until
            if times.ends_at is not None:
                moments.append(times.ends_at)
                warning = next_warning(times)
                if warning is not None:
                    moments.append(times.ends_at - timedelta(minutes=warning))
            if times.state is SessionState.SUSPENDED and times.suspended_at is not None:
                moments.append(grace_over_at(times.suspended_at, times.grace_seconds))
        case SessionState.ENDED:
            if not times.summary_written and times.ended_at is not None:
                moments.append(times.ended_at + SUMMARY_DELAY)
        case SessionState.DENIED | SessionState.EXPIRED | SessionState.CANCELLED:
            pass
    return min(moments, default=None)


def next_warning(times: SessionTimes) -> int | None:
    """Return the warning (minutes before the end) that comes next; a session shorter than a warning skips it."""
    for minutes in WARN_MINUTES:
        if times.max_seconds > minutes * 60 and (times.warned_minutes is None or minutes < times.warned_minutes):
            return minutes
    return None


def warning_due(times: SessionTimes, now: datetime) -> int | None:
    """Return the warning to give now: the nearest to the end, if several were slept through."""
    if times.state not in _RUNNING or times.ends_at is None:
        return None
    due = [minutes for minutes in WARN_MINUTES
           if times.max_seconds > minutes * 60 and (times.warned_minutes is None or minutes < times.warned_minutes)
           and now >= times.ends_at - timedelta(minutes=minutes)]
    return min(due, default=None)


def grace_over_at(suspended_at: datetime, grace_seconds: int) -> datetime:
    """When a suspended session is given up."""
    return suspended_at + timedelta(seconds=grace_seconds) + GRACE_MARGIN
