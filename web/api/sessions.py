"""/sessions and /tickets/{number}/sessions: asking, opening channels, ending; commands, events, casts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from orchestrator.audit.service import record_audit
from orchestrator.core.db import Database
from orchestrator.core.errors import NotFound
from orchestrator.tickets.queries import get_ticket
from sessions.lifecycle.models import ChannelRow, RemoteSession
from sessions.lifecycle.policy import SessionAction
from sessions.lifecycle.queries import events_of, get_session, list_channels, list_live, list_sessions_of_ticket, require_action
from sessions.lifecycle.service import cancel_session, end_session, request_session
from sessions.live.channels import open_channel
from sessions.recording.cast import iterate_cast
from sessions.recording.queries import list_commands
from web.api.idempotency import KeyHeader, answer_once
from web.api.shapes import ChannelShape, CommandShape, NewChannel, NewSession, Page, SessionEnd, SessionEventShape, SessionShape
from web.auth import CurrentUser
from web.deps import Parts, Reading, Writing

router = APIRouter(tags=["sessions"])


def channel_shape(request: Request, channel: ChannelRow) -> ChannelShape:
    """A channel with the paths of its sockets."""
    values = {"label": channel.label, "session_id": channel.session_id, "channel_id": channel.id}
    fields = {name: getattr(channel, name) for name in ChannelShape.model_fields if name not in ("console", "watch")}
    return ChannelShape(**fields, console=str(request.app.url_path_for("sockets:console", **values)),
                        watch=str(request.app.url_path_for("sockets:watch", **values)))


@router.post("/tickets/{number}/sessions", name="api:ticket-sessions-request", status_code=201, response_model=SessionShape)
def ask(request: Request, unit: Writing, actor: CurrentUser, services: Parts, number: str, body: NewSession, key: KeyHeader = None) -> Response:
    """Ask the customer for remote access; the mail to the approver leaves after the commit."""

    def make() -> SessionShape:
        return SessionShape.model_validate(request_session(
            unit, actor, get_ticket(unit, actor, number), endpoint_id=body.endpoint_id, contact_id=body.contact_id, purpose=body.purpose,
            scopes=body.scopes, os_user=body.user, minutes=body.minutes, start_within_minutes=body.start_within_minutes,
            recording=body.recording, method=body.method, services=services))

    return answer_once(unit, actor, request, key, body, make)


@router.get("/tickets/{number}/sessions", name="api:ticket-sessions", response_model=Page[SessionShape])
def list_of_ticket(unit: Reading, actor: CurrentUser, number: str) -> Page[SessionShape]:
    rows = list_sessions_of_ticket(unit, actor, get_ticket(unit, actor, number))
    return Page(items=[SessionShape.model_validate(row) for row in rows], next=None)


@router.get("/sessions", name="api:sessions", response_model=Page[SessionShape])
def list_open(unit: Reading, actor: CurrentUser) -> Page[SessionShape]:
    """What runs or waits now, as far as the actor may see it."""
    return Page(items=[SessionShape.model_validate(row) for row in list_live(unit, actor)], next=None)


@router.get("/sessions/{session_id}", name="api:session", response_model=SessionShape)
def show(unit: Reading, actor: CurrentUser, session_id: str, response: Response) -> SessionShape:
    session = get_session(unit, actor, session_id)
    response.headers["ETag"] = f'"{session.version}"'
    return SessionShape.model_validate(session)


@router.post("/sessions/{session_id}/end", name="api:session-end", response_model=SessionShape)
def end(request: Request, unit: Writing, actor: CurrentUser, session_id: str, body: SessionEnd, key: KeyHeader = None) -> Response:
    """End a session; one that has not begun is cancelled."""

    def make() -> SessionShape:
        session = get_session(unit, actor, session_id)
        if session.state in ("requested", "approved"):
            return SessionShape.model_validate(cancel_session(unit, actor, session))
        return SessionShape.model_validate(end_session(unit, actor, session, summary=body.summary))

    return answer_once(unit, actor, request, key, body, make, status=200)


@router.post("/sessions/{session_id}/channels", name="api:session-channels-open", status_code=201, response_model=ChannelShape)
def open_one(request: Request, unit: Writing, actor: CurrentUser, session_id: str, body: NewChannel, key: KeyHeader = None) -> Response:
    """Open a channel under the session's grant; the answer names its console. The agent dials while the console connects."""
    return answer_once(unit, actor, request, key, body, lambda: channel_shape(
        request, open_channel(unit, actor, session_id, kind=body.kind, columns=body.columns, rows=body.rows)))


@router.get("/sessions/{session_id}/channels", name="api:session-channels", response_model=Page[ChannelShape])
def list_all_channels(request: Request, unit: Reading, actor: CurrentUser, session_id: str) -> Page[ChannelShape]:
    session = get_session(unit, actor, session_id)
    return Page(items=[channel_shape(request, channel) for channel in list_channels(unit, session)], next=None)


@router.get("/sessions/{session_id}/commands", name="api:session-commands", response_model=Page[CommandShape])
def list_all_commands(unit: Reading, actor: CurrentUser, services: Parts, session_id: str) -> Page[CommandShape]:
    """The command lines that the shells reported, in the order they started."""
    session = get_session(unit, actor, session_id)
    with services.record_database.read() as records:
        rows = list_commands(records, session_id=session.id)
        return Page(items=[CommandShape.model_validate(row) for row in rows], next=None)


@router.get("/sessions/{session_id}/events", name="api:session-events", response_model=Page[SessionEventShape])
def list_events(unit: Reading, actor: CurrentUser, session_id: str) -> Page[SessionEventShape]:
    """The session's event chain."""
    session = get_session(unit, actor, session_id)
    return Page(items=[SessionEventShape(seq=event.seq, kind=event.kind, happened_at=event.happened_at, facts=dict(event.facts))
                       for event in events_of(unit, session)], next=None)


@router.get("/sessions/{session_id}/recordings/{channel_id}.cast", name="api:session-cast")
def show_cast(unit: Writing, actor: CurrentUser, services: Parts, session_id: str, channel_id: str) -> StreamingResponse:
    """A channel's recording as an asciicast (version 2); each reading is an audit event."""
    session = get_session(unit, actor, session_id)
    require_action(unit, actor, session, SessionAction.REPLAY)
    channel = find_channel(list_channels(unit, session), channel_id)
    record_audit(unit, actor, "recording.read", subject=f"session {session.id}", ticket_number=session.ticket_number,
                 summary="Read a recording as a cast", details={"channel": channel.id})
    return cast_response(services.record_database, session, channel)


def find_channel(channels: Sequence[ChannelRow], channel_id: str) -> ChannelRow:
    """Pick a channel of a session's list. Raises NotFound."""
    for channel in channels:
        if channel.id == channel_id:
            return channel
    raise NotFound()


def cast_response(record_database: Database, session: RemoteSession, channel: ChannelRow) -> StreamingResponse:
    """Stream the cast; the record is read in a unit of its own while it is sent."""
    opened_at, columns, rows, nonce, channel_id = channel.opened_at, channel.columns, channel.rows, channel.marks_nonce or None, channel.id
    title = f"{session.ticket_number} · {session.os_user}"

    def lines() -> Iterator[str]:
        with record_database.read() as records:
            yield from iterate_cast(records, channel_id, nonce=nonce, columns=columns, rows=rows, started_at=opened_at, title=title)

    return StreamingResponse(lines(), media_type="application/x-asciicast", headers={
        "Content-Disposition": f'attachment; filename="{session.ticket_number}-{channel_id}.cast"', "Cache-Control": "private, no-store"})
