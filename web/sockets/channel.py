"""The agent's socket of one channel: a one-time token in a header, checked before the socket is accepted."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.websockets import WebSocket

from agents.protocol.version import CHANNEL_TOKEN_HEADER
from web.services import services_of
from web.sockets.adapter import WebSocketAdapter
from web.sockets.entrance import FOREIGN, UNKNOWN, is_browser, refuse

router = APIRouter()


@router.websocket("/p/{label}/agent/v1/channels/{channel_id}", name="sockets:channel")
async def serve_channel(websocket: WebSocket, label: str, channel_id: str) -> None:
    """Serve a channel's socket until it ends. A missing, wrong, used or old token and an unknown channel look the same."""
    if is_browser(websocket):
        await refuse(websocket, FOREIGN)
        return
    hub = services_of(websocket).live.hub
    tokens = websocket.headers.getlist(CHANNEL_TOKEN_HEADER)
    endpoint_id = hub.tokens.take(tokens[0], channel_id) if len(tokens) == 1 and label == hub.label else None
    relay = hub.find_relay(channel_id)
    if relay is None or endpoint_id is None or endpoint_id != relay.endpoint_id:
        await refuse(websocket, UNKNOWN)
        return
    await websocket.accept()
    await relay.serve_agent(WebSocketAdapter(websocket))
