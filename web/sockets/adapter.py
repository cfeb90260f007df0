"""The live side's ``Socket`` on top of an accepted Starlette WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from sessions.live.sockets import SocketClosed

CLOSE_SECONDS = 1.0


class WebSocketAdapter:
    """Wraps one socket; every way in which it can be closed becomes SocketClosed."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> bytes | str:
        if self._websocket.client_state is WebSocketState.DISCONNECTED:
            raise SocketClosed()
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise SocketClosed(message.get("code", 1006))
        data = message.get("bytes")
        return data if data is not None else message["text"]

    async def send(self, message: bytes | str) -> None:
        try:
            await self._sending(message)
        except (WebSocketDisconnect, RuntimeError) as exc:  # RuntimeError: a close went ahead of us, by another task
            raise SocketClosed() from exc

    def send_now(self, message: bytes | str) -> bool:
        # The only thing that a send waits for is a transport whose buffer is full, and it does so before it writes: one step
        # either sends everything, or nothing and can be given up. A turn of the loop for each key is saved.
        sending = self._sending(message)
        try:
            sending.send(None)
        except StopIteration:
            return True
        except (WebSocketDisconnect, RuntimeError) as exc:
            raise SocketClosed() from exc
        sending.close()
        return False

    def _sending(self, message: bytes | str) -> Coroutine[None, None, None]:
        return self._websocket.send({"type": "websocket.send", "bytes" if isinstance(message, bytes) else "text": message})

    async def close(self, code: int, reason: str = "") -> None:
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close(code, reason.encode()[:120].decode(errors="ignore"))
