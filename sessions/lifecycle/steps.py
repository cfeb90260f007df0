"""Taking one step of a session: the only place that changes its state.

The row is locked, the table of ``machine.py`` asked, the effects written, then one entry in the session's event chain and
one line on the ticket's timeline, all in the caller's transaction. Who may cause a step is checked by the callers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import select

from orchestrator.accounts.actor import Actor, ActorKind
from orchestrator.audit.chain import append_entry
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import NotFound
from orchestrator.tickets.models import EntryKind, Medium, Ticket, Visibility
from orchestrator.tickets.service import add_entry
from sessions.consent.withdrawal import let_links_die, list_open_requests, withdraw_open_requests
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.due import SessionTimes, next_due_at
from sessions.lifecycle.events import GrantRevoked, SessionChanged, SessionEnded
from sessions.lifecycle.lines import line_of
from sessions.lifecycle.machine import Effect, Transition, Trigger, advance
from sessions.lifecycle.models import FINAL_STATES, RemoteSession, SessionState
from sessions.lifecycle.reasons import SENTENCES, EndReason


def lock_session(unit: WriteUnit, session_id: str) -> RemoteSession:
    """Read a session's row afresh and hold it until the transaction ends. Raises NotFound. Without a permission check.

    Its ticket is held first: whoever closes a ticket has that row already, and two orders would be a deadlock. The whole
    order is contact, ticket, session, event chain, audit chain.
    """
    ticket_id = select(RemoteSession.ticket_id).where(RemoteSession.id == session_id).scalar_subquery()
    unit.db.execute(select(Ticket.id).where(Ticket.id == ticket_id).with_for_update(key_share=True))
    session = unit.db.scalars(
        select(RemoteSession).where(RemoteSession.id == session_id).with_for_update(key_share=True).execution_options(populate_existing=True)
    ).one_or_none()
    if session is None:
        raise NotFound()
    return session


def take_step(unit: WriteUnit, actor: Actor, session_id: str, trigger: Trigger, *, reason: EndReason | None = None,
              values: Mapping[str, object] | None = None, facts: Mapping[str, object] | None = None,
              seconds: int | None = None) -> RemoteSession:
    """Take a step and return the session as it is then.

    ``values`` fill the timeline's sentence, ``facts`` go into the event chain beside them; ``seconds`` is the approved time
    for the steps that start a window or a limit. Raises NotInThisState (Conflict) and NotFound.
    """
    session = lock_session(unit, session_id)
    before = session.state
    transition = advance(SessionState(before), trigger)
    session.state = transition.state
    session.version += 1
    if reason is not None:
        session.end_reason = reason.value
        session.end_actor_name = actor.name
    if transition.state in FINAL_STATES:
        session.ended_at = unit.now
    _perform(unit, session, transition, reason, seconds)
    plan_due(unit, session)
    unit.db.flush()
    _record(unit, actor, session, trigger, str(before), reason, values or {}, facts or {})
    _tell(unit, session, trigger)
    return session


def plan_due(unit: WriteUnit, session: RemoteSession) -> None:
    """Set when the clock must look again, and give the row back to it."""
    unit.db.flush()
    requests = list_open_requests(unit, session.id)
    session.due_at = next_due_at(times_of(session, [request.expires_at for request in requests]))
    session.lease_until = None


def times_of(session: RemoteSession, decisions_until: list[datetime]) -> SessionTimes:
    """Collect what the pure rules of time need."""
    return SessionTimes(
        state=SessionState(session.state), decisions_until=decisions_until, start_by_at=session.start_by_at,
        ends_at=session.ends_at, suspended_at=session.suspended_at, grace_seconds=session.grace_seconds,
        warned_minutes=session.warned_minutes, started_at=session.started_at, ended_at=session.ended_at,
        summary_written=session.summary_written, max_seconds=session.granted_seconds or session.max_seconds,
    )


def _perform(unit: WriteUnit, session: RemoteSession, transition: Transition, reason: EndReason | None,
             seconds: int | None) -> None:
    for effect in transition.effects:
        match effect:
            case Effect.OPEN_START_WINDOW:
                session.start_by_at = unit.now + timedelta(minutes=session.start_within_minutes)
            case Effect.START_TIME_LIMIT:
                session.started_at = session.started_at or unit.now
                session.ends_at = unit.now + timedelta(seconds=seconds or session.granted_seconds or session.max_seconds)
                session.warned_minutes = None
            case Effect.START_GRACE:
                session.suspended_at = unit.now
            case Effect.STOP_GRACE:
                session.suspended_at = None
            case Effect.WITHDRAW_OPEN_REQUESTS:
                withdraw_open_requests(unit, session.id)
            case Effect.REVOKE_GRANT:
                if session.grant_id is not None:
                    unit.emit(GrantRevoked(session.id, session.grant_id, session.endpoint_id, reason.value if reason else ""))
            case Effect.LET_LINKS_DIE:
                let_links_die(unit, session.id)
            case Effect.WRITE_SUMMARY:
                session.summary_written = False


def _record(unit: WriteUnit, actor: Actor, session: RemoteSession, trigger: Trigger, before: str, reason: EndReason | None,
            values: Mapping[str, object], facts: Mapping[str, object]) -> None:
    record_event(unit, actor, session, f"session.{trigger.value}", {
        "from": before, "to": str(session.state), "reason": reason.value if reason else "", **facts})
    endpoint = unit.db.get(Endpoint, session.endpoint_id)
    filled = {
        "technician": session.technician_name, "contact": session.contact_name, "endpoint": endpoint.name if endpoint else "",
        "reason": SENTENCES[reason] if reason else "", "until": f"{session.ends_at:%Y-%m-%d %H:%M}" if session.ends_at else "",
        **values,
    }
    write_line(unit, actor, session, trigger.value, line_of(trigger, SessionState(session.state)), filled)


def record_event(unit: WriteUnit, actor: Actor, session: RemoteSession, kind: str, facts: Mapping[str, object]) -> None:
    """Append to the session's event chain; ``kind`` is ``noun.verb``. Also for channels: opened, closed, gap, agent's word."""
    append_entry(unit, session.id, kind, {
        "session": session.id, "ticket": session.ticket_number,
        "actor": {"kind": str(actor.kind), "id": actor.id, "name": actor.name, "address": actor.address}, **facts,
    })


def write_line(unit: WriteUnit, actor: Actor, session: RemoteSession, step: str, sentence: str,
               values: Mapping[str, object]) -> None:
    """Add a line about the session to its ticket's timeline; only the sentence's own values are kept."""
    ticket = unit.db.get_one(Ticket, session.ticket_id)
    kept = {name: value for name, value in values.items() if f"%({name})s" in sentence}
    add_entry(
        unit, actor, ticket, kind=EntryKind.SESSION, visibility=Visibility.INTERNAL, medium=Medium.REMOTE,
        text=sentence % kept, author_kind="contact" if actor.kind is ActorKind.LINK else str(actor.kind), author_id=actor.id,
        author_name=actor.name,
        data={"session_id": session.id, "step": step, "state": str(session.state), "sentence": sentence, "values": kept},
    )


def _tell(unit: WriteUnit, session: RemoteSession, trigger: Trigger) -> None:
    unit.emit(SessionChanged(session.id, session.ticket_id, session.endpoint_id, session.technician_id,
                             str(session.state), trigger.value))
    if session.state in FINAL_STATES:
        unit.emit(SessionEnded(session.id, session.ticket_id, session.endpoint_id, session.technician_id,
                               str(session.state), session.end_reason, session.grant_id))
