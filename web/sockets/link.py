"""The control link of agents. Refuses everything a browser would send; the handshake proves who is there."""

from __future__ import annotations

import ipaddress

from fastapi import APIRouter
from starlette.websockets import WebSocket

from agents.protocol.version import LINK_PATH
from web.auth import address_of
from web.services import services_of
from web.sockets.adapter import WebSocketAdapter
from web.sockets.entrance import FOREIGN, is_browser, refuse

router = APIRouter()


@router.websocket(LINK_PATH, name="sockets:link")
async def serve_link(websocket: WebSocket) -> None:
    """Serve an agent's link until it ends."""
    if is_browser(websocket):
        await refuse(websocket, FOREIGN)
        return
    await websocket.accept()
    address = address_of(websocket)
    await services_of(websocket).live.hub.serve_link(WebSocketAdapter(websocket), address=address, from_loopback=_is_loopback(address))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
