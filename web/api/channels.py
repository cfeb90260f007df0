"""/sessions/{id}/channels, /commands and /recordings: opening channels, and what they left behind."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from orchestrator.accounts.actor import Actor
from orchestrator.audit.service import record_audit
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import Forbidden
from orchestrator.tickets.models import Ticket
from orchestrator.tickets.queries import may_see
from sessions.lifecycle.models import ChannelRow, RemoteSession
from sessions.lifecycle.policy import SessionAction, may
from sessions.lifecycle.queries import facts_of, get_session, list_channels, require_action
from sessions.live.channels import open_channel
from sessions.recording.queries import list_commands
from web.api.idempotency import KeyHeader, answer_once
from web.api.paging import cut_page
from web.api.shapes.base import Cursor, Limit, Page
from web.api.shapes.sessions import ChannelShape, CommandShape, NewChannel
from web.auth import CurrentUser
from web.casts import cast_response, find_channel
from web.deps import Parts, Reading, Writing

router = APIRouter(prefix="/sessions/{session_id}", tags=["sessions"])


def channel_shape(request: Request, channel: ChannelRow) -> ChannelShape:
    """A channel with the paths of its sockets."""
    values = {"label": channel.label, "session_id": channel.session_id, "channel_id": channel.id}
    fields = {name: getattr(channel, name) for name in ChannelShape.model_fields if name not in ("console", "watch")}
    return ChannelShape(**fields, console=str(request.app.url_path_for("sockets:console", **values)),
                        watch=str(request.app.url_path_for("sockets:watch", **values)))


@router.post("/channels", name="api:session-channels-open", status_code=201, response_model=ChannelShape)
def open_one(request: Request, unit: Writing, actor: CurrentUser, session_id: str, body: NewChannel, key: KeyHeader = None) -> Response:
    """Open a channel under the session's grant; the answer names its console. The agent dials while the console connects."""
    return answer_once(unit, actor, request, key, body, lambda: channel_shape(
        request, open_channel(unit, actor, session_id, kind=body.kind, columns=body.columns, rows=body.rows)))


@router.get("/channels", name="api:session-channels", response_model=Page[ChannelShape])
def list_all(request: Request, unit: Reading, actor: CurrentUser, session_id: str, cursor: Cursor = None, limit: Limit = 50) -> Page[ChannelShape]:
    """List the channels of a session in the order of their opening."""
    rows, following = cut_page(list_channels(unit, get_session(unit, actor, session_id)), lambda channel: channel.id, cursor, limit)
    return Page(items=[channel_shape(request, channel) for channel in rows], next=following)


@router.get("/commands", name="api:session-commands", response_model=Page[CommandShape])
def list_all_commands(unit: Reading, actor: CurrentUser, services: Parts, session_id: str, cursor: Cursor = None,
                      limit: Limit = 100) -> Page[CommandShape]:
    """List the command lines that the shells reported, in the order they started; for who may read the ticket or replay."""
    session = get_session(unit, actor, session_id)
    _require_commands(unit, actor, session)
    with services.record_database.read() as records:
        rows, following = cut_page(list_commands(records, session_id=session.id), lambda row: f"{row.channel_id}:{row.seq}", cursor, limit)
        return Page(items=[CommandShape.model_validate(row) for row in rows], next=following)


def _require_commands(unit: ReadUnit, actor: Actor, session: RemoteSession) -> None:
    """Command lines stand on the ticket: an administrator, who may end any session, does not read them by that alone."""
    if not may_see(unit, actor, unit.db.get_one(Ticket, session.ticket_id)) and not may(actor, SessionAction.REPLAY, facts_of(unit, session)):
        raise Forbidden()


@router.get("/recordings/{channel_id}.cast", name="api:session-cast", response_class=StreamingResponse,
            responses={200: {"content": {"application/x-asciicast": {}}, "description": "The recording"}})
def show_cast(unit: Writing, actor: CurrentUser, services: Parts, session_id: str, channel_id: str) -> StreamingResponse:
    """Read a channel's recording as an asciicast (version 2); each reading is an audit event."""
    session = get_session(unit, actor, session_id)
    require_action(unit, actor, session, SessionAction.REPLAY)
    channel = find_channel(list_channels(unit, session), channel_id)
    record_audit(unit, actor, "recording.read", subject=f"session {session.id}", ticket_number=session.ticket_number,
                 summary="Read a recording as a cast", details={"channel": channel.id})
    return cast_response(services.record_database, session, channel)
