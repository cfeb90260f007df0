"""The console of a channel: the leading technician's terminal, from a page of ours or by an API client with a token.

It may be connected before the agent has dialled; messages are those of ``sessions/live/viewer_messages.py``.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.websockets import WebSocket

from orchestrator.accounts.actor import Actor
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import AppError
from sessions.lifecycle.models import ChannelRow
from sessions.lifecycle.policy import SessionAction, may
from sessions.lifecycle.queries import facts_of, get_session, require_action
from sessions.live.channels import get_channel
from sessions.live.sockets import CloseCode, SocketClosed
from sessions.live.viewer import Viewer, ViewerIdentity
from sessions.live.viewer_messages import write_message
from web.services import services_of
from web.sockets.adapter import WebSocketAdapter
from web.sockets.entrance import FOREIGN, NO_LOGIN, UNKNOWN, guarded, has_bearer, has_own_origin, identify, read, refusal_of, refuse

router = APIRouter()


@router.websocket("/p/{label}/sessions/{session_id}/channels/{channel_id}/console", name="sockets:console")
async def serve_console(websocket: WebSocket, label: str, session_id: str, channel_id: str) -> None:
    """Serve a terminal until it, the channel, or the login ends."""
    actor = await admit_user(websocket, label)
    if actor is None:
        return

    def check(unit: ReadUnit) -> ChannelRow:
        session = get_session(unit, actor, session_id)
        require_action(unit, actor, session, SessionAction.OPEN_CHANNEL)
        return get_channel(unit, session, channel_id)

    def may_stay(unit: ReadUnit, again: Actor) -> bool:
        return may(again, SessionAction.OPEN_CHANNEL, facts_of(unit, get_session(unit, again, session_id)))

    try:
        row = await read(services_of(websocket), check)
    except AppError as exc:
        await refuse(websocket, refusal_of(exc))
        return
    viewer = make_viewer(websocket, ViewerIdentity(actor.name, may_control=True))
    await websocket.accept()
    async with guarded(websocket, actor, lambda: viewer.drop(CloseCode.LOGIN_OVER, "the login is over"), may_stay):
        await show_channel(websocket, row, viewer)


async def admit_user(websocket: WebSocket, label: str) -> Actor | None:
    """Return who asks; None when the socket was refused."""
    if not has_bearer(websocket) and not has_own_origin(websocket):
        await refuse(websocket, FOREIGN)
        return None
    if label != services_of(websocket).live.hub.label:
        await refuse(websocket, UNKNOWN)
        return None
    actor = await identify(websocket)
    if actor is None:
        await refuse(websocket, NO_LOGIN)
    return actor


def make_viewer(websocket: WebSocket, who: ViewerIdentity) -> Viewer:
    return Viewer(WebSocketAdapter(websocket), who, is_page=has_own_origin(websocket), clock=asyncio.get_running_loop().time)


async def show_channel(websocket: WebSocket, row: ChannelRow, viewer: Viewer) -> None:
    """Attach a viewer to a channel; of one that is over, tell how it ended."""
    relay = await services_of(websocket).live.hub.relay_for(row.id) if row.closed_at is None else None
    if relay is not None:
        await viewer.run(relay)
        return
    socket = WebSocketAdapter(websocket)
    if row.exit_status is not None:
        news = write_message("exit", status=row.exit_status)
    else:
        news = write_message("ended", reason=row.close_reason, failed=row.state == "failed", unconfirmed=0)
    try:
        await socket.send(news)
    except SocketClosed:
        return
    await socket.close(CloseCode.OVER, "the channel has ended")
