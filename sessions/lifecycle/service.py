"""Changing remote sessions: begin, suspend, resume, renew, end. Asking for one is in ``asking.py``.

Every function takes one step through ``steps.py``, so that state, event chain and timeline change together. Functions that
people call check their rights here; those that the link or the clock calls say so.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM, Actor, ActorKind
from orchestrator.audit.service import record_audit
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict
from sessions.consent.grants import SignedGrant
from sessions.lifecycle.asking import request_more, request_session
from sessions.lifecycle.machine import Trigger, allows
from sessions.lifecycle.models import RemoteSession, SessionState
from sessions.lifecycle.policy import SessionAction
from sessions.lifecycle.queries import OPEN, RUNNING, require_action
from sessions.lifecycle.reasons import SENTENCES, EndReason
from sessions.lifecycle.steps import lock_session, take_step

__all__ = [
    "begin_session", "cancel_session", "end_session", "end_sessions", "renew_grant", "request_more", "request_session",
    "resume_session", "stop_session", "suspend_holder", "suspend_session",
]


def begin_session(unit: WriteUnit, actor: Actor, session: RemoteSession) -> RemoteSession:
    """The first channel is live under the signed grant: the approved time starts now. Called by the link.

    Raises Conflict when the session is not approved any more, or no grant was signed: the channel must be revoked then.
    """
    locked = lock_session(unit, session.id)
    if locked.grant_id is None:
        raise Conflict("No grant was signed for this session.")
    if actor.user_id == locked.technician_id:
        locked.login_id, locked.token_id = actor.login_id, actor.token_id
    return take_step(unit, actor, session.id, Trigger.BEGAN, seconds=locked.granted_seconds,
                     facts={"grant": locked.grant_id})


def suspend_session(unit: WriteUnit, session_id: str) -> RemoteSession | None:
    """The agent's link is lost; grace runs. Called by the link; does nothing (None) unless the session is live."""
    session = lock_session(unit, session_id)
    if not allows(SessionState(session.state), Trigger.AGENT_LOST):
        return None
    return take_step(unit, SYSTEM, session_id, Trigger.AGENT_LOST)


def suspend_holder(unit: WriteUnit, endpoint_ids: Iterable[str] | None = None) -> list[str]:
    """Suspend what runs on these endpoints (None = all: a process that starts holds no link yet); return session ids."""
    statement = select(RemoteSession.id).where(RemoteSession.state == SessionState.LIVE).order_by(RemoteSession.id)
    if endpoint_ids is not None:
        statement = statement.where(RemoteSession.endpoint_id.in_(list(endpoint_ids)))
    ids = list(unit.db.scalars(statement))
    return [session_id for session_id in ids if suspend_session(unit, session_id) is not None]


def resume_session(unit: WriteUnit, session_id: str) -> RemoteSession | None:
    """The agent is back within its grace. Called by the link; does nothing (None) unless the session is suspended."""
    session = lock_session(unit, session_id)
    if not allows(SessionState(session.state), Trigger.AGENT_BACK):
        return None
    return take_step(unit, SYSTEM, session_id, Trigger.AGENT_BACK)


def renew_grant(unit: WriteUnit, actor: Actor, session_id: str, grant: SignedGrant) -> RemoteSession:
    """The agent took over a new grant (follow-up request, or it restarted): scopes and time are now those of this grant.

    Raises Conflict unless the session is live.
    """
    session = lock_session(unit, session_id)
    if session.state != SessionState.LIVE:
        raise Conflict("The session is {state}; no grant can be renewed now.", state=str(session.state))
    session.grant_id, session.grant_jws, session.consent_id = grant.grant_id, grant.token, grant.consent_id
    session.granted_scopes, session.granted_seconds = list(grant.scopes), grant.max_seconds
    return take_step(unit, actor, session_id, Trigger.GRANT_RENEWED, seconds=grant.max_seconds,
                     facts={"grant": grant.grant_id, "scopes": list(grant.scopes), "seconds": grant.max_seconds})


def cancel_session(unit: WriteUnit, actor: Actor, session: RemoteSession) -> RemoteSession:
    """Withdraw a session that has not begun. Raises Forbidden, and Conflict when it has."""
    require_action(unit, actor, session, SessionAction.END)
    locked = lock_session(unit, session.id)
    if locked.state not in (SessionState.REQUESTED, SessionState.APPROVED):
        raise Conflict("The session has begun already; end it instead.")
    return stop_session(unit, actor, session.id, EndReason.CANCELLED)


def end_session(unit: WriteUnit, actor: Actor, session: RemoteSession, *, reason: EndReason | None = None,
                summary: str = "") -> RemoteSession:
    """End (or cancel) a session on behalf of an actor who may; ``reason`` follows from who that is unless given.

    ``summary`` is what the technician wants to keep. Raises Forbidden, and Conflict when it is over already.
    """
    require_action(unit, actor, session, SessionAction.END)
    locked = lock_session(unit, session.id)
    if locked.state not in OPEN:
        raise Conflict("The session is over already.")
    if summary.strip():
        locked.summary = summary.strip()[:4000]
    return stop_session(unit, actor, session.id, reason or _reason_of(actor, locked))


def _reason_of(actor: Actor, session: RemoteSession) -> EndReason:
    if actor.kind is ActorKind.AGENT:
        return EndReason.AGENT_STOPPED
    if actor.kind is ActorKind.CONTACT:
        return EndReason.CONTACT
    if actor.kind is ActorKind.LINK:
        return EndReason.LINK
    if actor.id == session.technician_id:
        return EndReason.TECHNICIAN if session.state in RUNNING else EndReason.CANCELLED
    return EndReason.LEAD


def stop_session(unit: WriteUnit, actor: Actor, session_id: str, reason: EndReason) -> RemoteSession:
    """End a session whatever open state it is in; for callers that have checked the right, and for the program itself."""
    ended = take_step(unit, actor, session_id, Trigger.ENDED, reason=reason, values={"reason": SENTENCES[reason]})
    record_audit(unit, actor, "session.ended" if ended.state == SessionState.ENDED else "session.cancelled",
                 subject=f"session {ended.id}", ticket_number=ended.ticket_number,
                 summary=f"Remote session of {ended.technician_name}: {SENTENCES[reason]}", details={"reason": reason.value})
    return ended


def end_sessions(unit: WriteUnit, actor: Actor, session_ids: Iterable[str], reason: EndReason) -> list[str]:
    """End those of the sessions that are still open; return their ids. Rows are locked in the order of ids."""
    ended: list[str] = []
    for session_id in sorted(session_ids):
        if lock_session(unit, session_id).state in OPEN:
            stop_session(unit, actor, session_id, reason)
            ended.append(session_id)
    return ended
