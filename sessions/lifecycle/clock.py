"""The clock of sessions: due rows over ``remote_sessions.due_at``. What is due when is decided by ``due.py``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select, update

from orchestrator.accounts.actor import SYSTEM
from orchestrator.core.db import Database, WriteUnit
from orchestrator.core.jobs import skip_locked
from sessions.consent.withdrawal import list_open_requests
from sessions.lifecycle.due import SUMMARY_DELAY, grace_over_at, warning_due
from sessions.lifecycle.events import SessionWarned
from sessions.lifecycle.machine import Trigger
from sessions.lifecycle.models import RemoteSession, SessionState
from sessions.lifecycle.queries import RUNNING
from sessions.lifecycle.reasons import EndReason
from sessions.lifecycle.service import stop_session
from sessions.lifecycle.steps import lock_session, plan_due, record_event, take_step, times_of
from sessions.lifecycle.summary import write_summary
from sessions.ports import SessionServices


class SessionClock:
    """Expire what nobody answered or started, warn, end at the limit, give up what stayed away, write the summary."""

    name = "sessions"

    def __init__(self, database: Database, services: SessionServices) -> None:
        self._database = database
        self._services = services

    def claim(self, unit: WriteUnit, *, lease_until: datetime, limit: int) -> Sequence[str]:
        statement = select(RemoteSession.id).where(
            RemoteSession.due_at <= unit.now, or_(RemoteSession.lease_until.is_(None), RemoteSession.lease_until <= unit.now),
        ).order_by(RemoteSession.due_at).limit(limit)
        ids = list(unit.db.scalars(skip_locked(unit, statement)))
        if ids:
            unit.db.execute(update(RemoteSession).where(RemoteSession.id.in_(ids)).values(lease_until=lease_until))
        return ids

    def perform(self, row_id: str) -> None:
        with self._database.write() as unit:
            look_at_session(unit, row_id)
            session = lock_session(unit, row_id)
            waits_for_summary = session.state == SessionState.ENDED and not session.summary_written
            if waits_for_summary and session.ended_at is not None and session.ended_at + SUMMARY_DELAY <= unit.now:
                waits_for_summary = not write_summary(unit, session, self._services)
            plan_due(unit, session)
            if waits_for_summary:
                session.due_at = unit.now + SUMMARY_DELAY


def look_at_session(unit: WriteUnit, session_id: str) -> None:
    """Do what time demands of one session now; nothing when it was done meanwhile."""
    session = lock_session(unit, session_id)
    match SessionState(session.state):
        case SessionState.REQUESTED:
            open_requests = list_open_requests(unit, session_id)
            if open_requests and all(request.expires_at <= unit.now for request in open_requests):
                for request in open_requests:
                    request.state, request.decided_at = "expired", unit.now
                take_step(unit, SYSTEM, session_id, Trigger.DECISION_EXPIRED, reason=EndReason.NOT_DECIDED)
        case SessionState.APPROVED:
            if session.start_by_at is not None and session.start_by_at <= unit.now:
                take_step(unit, SYSTEM, session_id, Trigger.START_EXPIRED, reason=EndReason.NOT_STARTED)
        case SessionState.LIVE | SessionState.SUSPENDED | SessionState.PAUSED:
            _look_at_running(unit, session)
        case _:
            pass


def _look_at_running(unit: WriteUnit, session: RemoteSession) -> None:
    if session.ends_at is not None and session.ends_at <= unit.now:
        stop_session(unit, SYSTEM, session.id, EndReason.TIME_LIMIT)
        return
    if session.state == SessionState.SUSPENDED and session.suspended_at is not None \
            and grace_over_at(session.suspended_at, session.grace_seconds) <= unit.now:
        stop_session(unit, SYSTEM, session.id, EndReason.AGENT_LOST)
        return
    for request in list_open_requests(unit, session.id):
        if request.expires_at <= unit.now and session.state in RUNNING:
            request.state, request.decided_at = "expired", unit.now
            unit.db.flush()
            take_step(unit, SYSTEM, session.id, Trigger.MORE_EXPIRED, facts={"request": request.id})
    minutes = warning_due(times_of(session, []), unit.now)
    if minutes is not None:
        session.warned_minutes = minutes
        record_event(unit, SYSTEM, session, "session.warned", {"minutes": minutes})
        unit.emit(SessionWarned(session.id, session.technician_id, minutes))
