"""/sessions, /tickets/{number}/sessions and /consents: asking, looking, ending. Channels and records: ``channels.py``."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Right
from orchestrator.core.db import ReadUnit
from orchestrator.tickets.queries import get_ticket
from sessions.consent.models import ConsentRequest
from sessions.lifecycle.queries import events_of, find_answer, get_request, get_session, list_live, list_requests, list_sessions_of_ticket
from sessions.lifecycle.service import cancel_session, end_session, request_session
from web.api.conditions import set_etag
from web.api.idempotency import KeyHeader, answer_once
from web.api.paging import cut_page
from web.api.shapes.base import Cursor, Limit, Page
from web.api.shapes.sessions import ConsentShape, NewSession, SessionEnd, SessionEventShape, SessionShape
from web.auth import CurrentUser
from web.deps import Parts, Reading, Writing

router = APIRouter(tags=["sessions"])


@router.post("/tickets/{number}/sessions", name="api:ticket-sessions-request", status_code=201, response_model=SessionShape)
def ask(request: Request, unit: Writing, actor: CurrentUser, services: Parts, number: str, body: NewSession, key: KeyHeader = None) -> Response:
    """Ask the customer for remote access; you lead the session. The mail to the approver leaves after the commit."""

    def make() -> SessionShape:
        return SessionShape.model_validate(request_session(
            unit, actor, get_ticket(unit, actor, number), endpoint_id=body.endpoint_id, contact_id=body.contact_id, purpose=body.purpose,
            scopes=body.scopes, os_user=body.user, minutes=body.minutes, start_within_minutes=body.start_within_minutes,
            recording=body.recording, method=body.method, services=services))

    return answer_once(unit, actor, request, key, body, make)


@router.get("/tickets/{number}/sessions", name="api:ticket-sessions", response_model=Page[SessionShape])
def list_of_ticket(unit: Reading, actor: CurrentUser, number: str, cursor: Cursor = None, limit: Limit = 50) -> Page[SessionShape]:
    """List the sessions of a ticket, the newest first."""
    actor.require(Right.SESSIONS_READ)
    rows, following = cut_page(list_sessions_of_ticket(unit, actor, get_ticket(unit, actor, number)), lambda row: row.id, cursor, limit)
    return Page(items=[SessionShape.model_validate(row) for row in rows], next=following)


@router.get("/sessions", name="api:sessions", response_model=Page[SessionShape])
def list_open(unit: Reading, actor: CurrentUser, cursor: Cursor = None, limit: Limit = 50) -> Page[SessionShape]:
    """List what runs or waits now, as far as you may see it, the newest first."""
    actor.require(Right.SESSIONS_READ)
    rows, following = cut_page(list_live(unit, actor), lambda row: row.id, cursor, limit)
    return Page(items=[SessionShape.model_validate(row) for row in rows], next=following)


@router.get("/sessions/{session_id}", name="api:session", response_model=SessionShape)
def show(unit: Reading, actor: CurrentUser, session_id: str, response: Response) -> SessionShape:
    """Read a session."""
    session = get_session(unit, actor, session_id)
    set_etag(response, session.version)
    return SessionShape.model_validate(session)


@router.post("/sessions/{session_id}/end", name="api:session-end", response_model=SessionShape)
def end(request: Request, unit: Writing, actor: CurrentUser, session_id: str, body: SessionEnd | None = None, key: KeyHeader = None) -> Response:
    """End a session; one that has not begun is cancelled."""

    def make() -> SessionShape:
        session = get_session(unit, actor, session_id)
        if session.state in ("requested", "approved"):
            return SessionShape.model_validate(cancel_session(unit, actor, session))
        return SessionShape.model_validate(end_session(unit, actor, session, summary=body.summary if body else ""))

    return answer_once(unit, actor, request, key, body, make, status=200)


@router.get("/sessions/{session_id}/events", name="api:session-events", response_model=Page[SessionEventShape])
def list_events(unit: Reading, actor: CurrentUser, session_id: str, cursor: Cursor = None, limit: Limit = 100) -> Page[SessionEventShape]:
    """Read the session's event chain from its start."""
    rows, following = cut_page(events_of(unit, get_session(unit, actor, session_id)), lambda event: event.seq, cursor, limit)
    return Page(items=[SessionEventShape.model_validate(event) for event in rows], next=following)


@router.get("/sessions/{session_id}/consents", name="api:session-consents", response_model=Page[ConsentShape])
def list_consents(unit: Reading, actor: CurrentUser, session_id: str, cursor: Cursor = None, limit: Limit = 50) -> Page[ConsentShape]:
    """List what was asked for a session and how it was answered, the first question first."""
    session = get_session(unit, actor, session_id)
    rows, following = cut_page(list_requests(unit, session), lambda row: row.id, cursor, limit)
    return Page(items=[_consent(unit, row) for row in rows], next=following)


@router.get("/consents/{consent_id}", name="api:consent", response_model=ConsentShape)
def show_consent(unit: Reading, actor: CurrentUser, consent_id: str) -> ConsentShape:
    """Read one question to an approver and its answer, if you may see the session."""
    return _consent(unit, get_request(unit, actor, consent_id))


def _consent(unit: ReadUnit, request: ConsentRequest) -> ConsentShape:
    answer = find_answer(unit, request)
    return ConsentShape(
        id=request.id, session_id=request.session_id, contact_id=request.contact_id, method=request.method, follow_up=request.follow_up,
        state=request.state, sent_to=request.sent_to, expires_at=request.expires_at, created_at=request.created_at, decided_at=request.decided_at,
        decision=answer.decision if answer else None, scopes=list(answer.scopes) if answer else None,
        max_seconds=answer.max_seconds if answer else None, approver_name=answer.approver_name if answer else None,
        withdrawn_at=answer.withdrawn_at if answer else None)
