"""Reading sessions. ``get_session`` is the only public getter and knows who may see one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select

from orchestrator.accounts.actor import Actor
from orchestrator.audit.chain import read_entries
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import Forbidden, NotFound
from orchestrator.core.ids import parse_id
from orchestrator.tickets.models import Follower, Ticket
from sessions.consent.models import Consent, ConsentRequest
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import ChannelRow, RemoteSession, SessionState
from sessions.lifecycle.policy import SessionAction, SessionFacts, may, see_all_sessions

RUNNING = (SessionState.LIVE, SessionState.SUSPENDED, SessionState.PAUSED)
OPEN = (SessionState.REQUESTED, SessionState.APPROVED, *RUNNING)


def facts_of(unit: ReadUnit, session: RemoteSession) -> SessionFacts:
    """Collect what the pure rules need about a session."""
    ticket = unit.db.get_one(Ticket, session.ticket_id)
    endpoint = unit.db.get_one(Endpoint, session.endpoint_id)
    return SessionFacts(
        state=SessionState(session.state), technician_id=session.technician_id, contact_id=session.contact_id,
        endpoint_id=session.endpoint_id, queue_id=ticket.queue_id,
        responsible_contact_id=endpoint.responsible_id if endpoint.responsible_kind == "contact" else None,
        granted_scopes=tuple(session.granted_scopes or ()), administrator=session.administrator,
        involved_ids=involved_in(unit, ticket),
    )


def involved_in(unit: ReadUnit, ticket: Ticket) -> frozenset[str]:
    """Return the users who have or follow a ticket."""
    followers = unit.db.scalars(select(Follower.user_id).where(Follower.ticket_id == ticket.id))
    return frozenset(followers) | ({ticket.assignee_id} if ticket.assignee_id else frozenset())


def get_session(unit: ReadUnit, actor: Actor, session_id: str) -> RemoteSession:
    """Return a session the actor may see. Raises NotFound, also for one that is not theirs."""
    session = unit.db.get(RemoteSession, parse_id(session_id))
    if session is None or not may(actor, SessionAction.SEE, facts_of(unit, session)):
        raise NotFound()
    return session


def require_action(unit: ReadUnit, actor: Actor, session: RemoteSession, action: SessionAction) -> None:
    """Raise Forbidden unless the actor may do this with the session."""
    if not may(actor, action, facts_of(unit, session)):
        raise Forbidden()


def list_live(unit: ReadUnit, actor: Actor) -> Sequence[RemoteSession]:
    """What runs, or waits for its start or an answer, and the actor may see; the newest first."""
    return _list(unit, actor, select(RemoteSession).where(RemoteSession.state.in_(OPEN)).order_by(
        RemoteSession.created_at.desc()).limit(500))


def list_sessions_of_ticket(unit: ReadUnit, actor: Actor, ticket: Ticket) -> Sequence[RemoteSession]:
    """The ticket's sessions the actor may see, the newest first."""
    return _list(unit, actor, select(RemoteSession).where(RemoteSession.ticket_id == ticket.id).order_by(
        RemoteSession.created_at.desc()))


def list_sessions_of_endpoint(unit: ReadUnit, actor: Actor, endpoint: Endpoint, *, limit: int = 20) -> Sequence[RemoteSession]:
    """The endpoint's latest sessions the actor may see, the newest first."""
    return _list(unit, actor, select(RemoteSession).where(RemoteSession.endpoint_id == endpoint.id).order_by(
        RemoteSession.created_at.desc()).limit(limit))


def _list(unit: ReadUnit, actor: Actor, statement: Select[RemoteSession]) -> Sequence[RemoteSession]:
    rows = unit.db.scalars(statement).all()
    if see_all_sessions(actor):
        return rows
    return [row for row in rows if may(actor, SessionAction.SEE, facts_of(unit, row))]


def list_running_of_endpoint(unit: ReadUnit, endpoint_id: str) -> Sequence[RemoteSession]:
    """Sessions that an agent may hold channels of; for the link, without a permission check."""
    return unit.db.scalars(select(RemoteSession).where(
        RemoteSession.endpoint_id == endpoint_id, RemoteSession.state.in_(RUNNING))).all()


def list_void_grants(unit: ReadUnit, endpoint_id: str, *, since: datetime) -> Sequence[str]:
    """Grants of this endpoint whose sessions are over; told in ``welcome`` before anything resumes, the newest first."""
    found = unit.db.scalars(select(RemoteSession.grant_id).where(
        RemoteSession.endpoint_id == endpoint_id, RemoteSession.grant_id.is_not(None),
        RemoteSession.state.in_((SessionState.ENDED, SessionState.CANCELLED, SessionState.EXPIRED)),
        RemoteSession.ended_at >= since,
    ).order_by(RemoteSession.ended_at.desc()).limit(1024))
    return [grant_id for grant_id in found if grant_id is not None]


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One entry of a session's event chain; ``facts`` is empty when its content was erased."""

    seq: int
    kind: str
    happened_at: datetime
    facts: dict[str, object]


def events_of(unit: ReadUnit, session: RemoteSession) -> list[SessionEvent]:
    """Read the session's event chain from its start; ask ``get_session`` first."""
    return [SessionEvent(entry.seq, entry.kind, entry.happened_at, json.loads(entry.payload) if entry.payload else {})
            for entry in read_entries(unit, session.id)]


def list_channels(unit: ReadUnit, session: RemoteSession) -> Sequence[ChannelRow]:
    """The session's channels in the order of their opening."""
    return unit.db.scalars(select(ChannelRow).where(ChannelRow.session_id == session.id).order_by(
        ChannelRow.opened_at, ChannelRow.id)).all()


def list_requests(unit: ReadUnit, session: RemoteSession) -> Sequence[ConsentRequest]:
    """What was asked for this session, the first request first."""
    return unit.db.scalars(select(ConsentRequest).where(ConsentRequest.session_id == session.id).order_by(
        ConsentRequest.created_at, ConsentRequest.id)).all()


def get_request(unit: ReadUnit, actor: Actor, request_id: str) -> ConsentRequest:
    """Return a request of a session the actor may see. Raises NotFound."""
    request = unit.db.get(ConsentRequest, parse_id(request_id))
    if request is None:
        raise NotFound()
    get_session(unit, actor, request.session_id)
    return request


def find_answer(unit: ReadUnit, request: ConsentRequest) -> Consent | None:
    """Return the yes or no to a request that the caller got by ``get_request`` or ``list_requests``."""
    return unit.db.scalar(select(Consent).where(Consent.request_id == request.id))


def find_consent_in_force(unit: ReadUnit, session: RemoteSession) -> tuple[ConsentRequest, Consent] | None:
    """Return the newest request that was approved, with its answer: what a grant is signed for. None once it was taken back."""
    found = find_last_consent(unit, session)
    return found if found is not None and found[1].withdrawn_at is None else None


def find_last_consent(unit: ReadUnit, session: RemoteSession) -> tuple[ConsentRequest, Consent] | None:
    """Return the newest request that was approved, with its answer, also when it was taken back later."""
    row = unit.db.execute(
        select(ConsentRequest, Consent).join(Consent, Consent.request_id == ConsentRequest.id).where(
            ConsentRequest.session_id == session.id, Consent.decision == "approve",
        ).order_by(Consent.decided_at.desc(), Consent.id.desc()).limit(1)
    ).one_or_none()
    return (row[0], row[1]) if row is not None else None
