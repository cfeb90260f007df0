"""Page updates: the page says which topics it shows, and is told which of them changed. No content, only hints.

``{"subscribe": [topic, …]}`` replaces what was subscribed before; ``{"topic": topic}`` comes back at each change. A topic that
the reader may not see is left out silently, exactly as one that does not exist.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from fastapi import APIRouter
from starlette.websockets import WebSocket

from agents.protocol.codec import parse_strict_json
from agents.protocol.errors import MalformedMessage
from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import AppError
from orchestrator.tickets.queries import get_ticket
from sessions.endpoints.queries import get_endpoint
from sessions.lifecycle.queries import get_session
from sessions.live.sockets import CloseCode, SocketClosed
from web.services import Services, services_of
from web.sockets.adapter import WebSocketAdapter
from web.sockets.entrance import FOREIGN, NO_LOGIN, guarded, has_own_origin, identify, read, refuse

router = APIRouter()

MOST_TOPICS = 200
TEXT_BYTES = 32 * 1024
LEAST_SECONDS_BETWEEN = 0.05
SEND_SECONDS = 10.0
HEARTBEAT_SECONDS = 25.0
MOST_SUBSCRIPTIONS_A_MINUTE = 120

_BROAD = {
    "tickets": Right.TICKETS_READ, "queues": Right.TICKETS_READ, "sessions": Right.SESSIONS_READ, "endpoints": Right.ENDPOINTS_READ,
    "articles": Right.ARTICLES_READ,
}


@router.websocket("/live", name="sockets:live")
async def serve_live(websocket: WebSocket) -> None:
    """Serve one page's updates until it, or its login, ends."""
    if not has_own_origin(websocket):
        await refuse(websocket, FOREIGN)
        return
    actor = await identify(websocket)
    if actor is None:
        await refuse(websocket, NO_LOGIN)
        return
    await websocket.accept()
    socket = WebSocketAdapter(websocket)
    stream = LiveUpdates(socket, actor, services_of(websocket))
    async with guarded(websocket, actor, stream.shut, lambda _unit, _again: True):
        await stream.run()


class LiveUpdates:
    """One page's stream of hints."""

    def __init__(self, socket: WebSocketAdapter, actor: Actor, services: Services) -> None:
        self._socket = socket
        self._actor = actor
        self._services = services
        self._topics: list[str] = []
        self._changed = asyncio.Event()
        self._is_shut = False
        self._task: asyncio.Task[None] | None = None
        self._budget = float(MOST_SUBSCRIPTIONS_A_MINUTE)
        self._budget_at = asyncio.get_running_loop().time()

    def shut(self) -> None:
        """The login is over."""
        self._is_shut = True
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        """Read subscriptions until the socket ends; hints are sent beside that."""
        self._task = asyncio.current_task()
        telling = asyncio.create_task(self._tell(), name="live updates")
        code, reason = CloseCode.DONE, ""
        try:
            while True:
                await self._subscribe(await self._socket.receive())
        except SocketClosed:
            pass
        except MalformedMessage as exc:
            # Not 1008: to our page that would mean the login is over.
            code, reason = CloseCode.PROTOCOL, str(exc)
        except asyncio.CancelledError:
            if not self._is_shut:
                raise
            asyncio.current_task().uncancel()  # type: ignore[union-attr]  # inside a task there is one
            code, reason = CloseCode.LOGIN_OVER, "the login is over"
        finally:
            self._task = None
            telling.cancel()
            with suppress(asyncio.CancelledError, SocketClosed, TimeoutError):
                await telling
            await self._socket.close(code, reason)

    async def _subscribe(self, message: bytes | str) -> None:
        now = asyncio.get_running_loop().time()
        self._budget = min(MOST_SUBSCRIPTIONS_A_MINUTE, self._budget + (now - self._budget_at) * MOST_SUBSCRIPTIONS_A_MINUTE / 60) - 1
        self._budget_at = now
        if isinstance(message, bytes) or self._budget < 0:
            raise MalformedMessage("topics are text, a few times a minute")
        wanted = parse_strict_json(message, longest_bytes=TEXT_BYTES).get("subscribe")
        if not isinstance(wanted, list) or len(wanted) > MOST_TOPICS or not all(isinstance(topic, str) for topic in wanted):
            raise MalformedMessage("subscribe is a list of topics")
        topics = list(dict.fromkeys(wanted))
        self._topics = await read(self._services, lambda unit: [topic for topic in topics if may_hear(unit, self._actor, topic)])
        self._changed.set()

    async def _tell(self) -> None:
        while True:
            self._changed.clear()
            with self._services.signals.subscribe(self._topics) as hints:
                changed = asyncio.create_task(self._changed.wait())
                waiting: asyncio.Task[list[str]] | None = None
                try:
                    while not self._changed.is_set():
                        waiting = asyncio.create_task(hints.wait())
                        await asyncio.wait((waiting, changed), return_when=asyncio.FIRST_COMPLETED, timeout=HEARTBEAT_SECONDS)
                        topics = waiting.result() if waiting.done() else []
                        waiting.cancel()
                        for topic in topics:
                            await self._send({"topic": topic})
                        if not topics and not self._changed.is_set():
                            await self._send({"heartbeat": True})
                        await asyncio.sleep(LEAST_SECONDS_BETWEEN)
                finally:
                    changed.cancel()
                    if waiting is not None:
                        waiting.cancel()

    async def _send(self, message: dict[str, object]) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._socket.send(json.dumps(message))
        except TimeoutError as exc:
            await self._socket.close(CloseCode.TRY_LATER, "too slow")
            raise SocketClosed() from exc


def may_hear(unit: ReadUnit, actor: Actor, topic: str) -> bool:
    """Tell whether the reader may know that something about this topic changed."""
    kind, colon, ref = topic.partition(":")
    if not colon:
        right = _BROAD.get(kind)
        return right is not None and actor.may(right)
    try:
        match kind:
            case "ticket":
                get_ticket(unit, actor, ref)
            case "session":
                get_session(unit, actor, ref)
            case "endpoint":
                get_endpoint(unit, actor, ref)
            case "organisation":
                return actor.may(Right.CUSTOMERS_READ)
            case "queue":
                return ref in actor.queue_ids or actor.may(Right.ALL_QUEUES)
            case "user":
                return ref == actor.user_id
            case _:
                return False
    except AppError:
        return False
    return True
