"""Who may open a socket, decided before it is accepted; and the watch over it while it is open.

Browser sockets: the exact Origin of our public address, and a login cookie (the Origin stops other sites from using it).
API clients: a bearer token in the header, no cookie, no Origin needed. Agents: neither. No socket reads its query string.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

from orchestrator.accounts.actor import Actor
from orchestrator.accounts.logins import actor_for_login_id
from orchestrator.accounts.tokens import actor_for_token
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import AppError, Forbidden, NotFound
from orchestrator.core.settings import Settings
from sessions.live.doors import Door
from sessions.live.sockets import CloseCode
from web.auth import address_of, load_actor
from web.services import Services, services_of

RECHECK_SECONDS = 60.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a socket is refused: as HTTP status to those without our Origin, as close code to our own pages."""

    status: int
    code: CloseCode
    reason: str


NO_LOGIN = Refusal(401, CloseCode.LOGIN_OVER, "log in first")
FOREIGN = Refusal(403, CloseCode.FORBIDDEN, "foreign origin")
FORBIDDEN = Refusal(403, CloseCode.FORBIDDEN, "forbidden")
UNKNOWN = Refusal(404, CloseCode.NOT_FOUND, "not found")
UNAVAILABLE = Refusal(503, CloseCode.TRY_LATER, "try again")


def own_origin(settings: Settings) -> str:
    """Return the one origin that browsers of ours send."""
    parts = urlsplit(settings.public_url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def has_own_origin(websocket: WebSocket) -> bool:
    """Tell whether the socket was opened by a page of ours: exactly one Origin header, exactly ours."""
    given = websocket.headers.getlist("origin")
    return len(given) == 1 and given[0].lower() == own_origin(services_of(websocket).settings)


def is_browser(websocket: WebSocket) -> bool:
    """Tell whether headers are there that no agent sends."""
    return "origin" in websocket.headers or "cookie" in websocket.headers


def has_bearer(websocket: WebSocket) -> bool:
    return "authorization" in websocket.headers


async def refuse(websocket: WebSocket, refusal: Refusal) -> None:
    """Refuse: 403 and the like before anything is accepted; our own pages can only read close codes, so they get those."""
    if refusal is FOREIGN or not has_own_origin(websocket):
        await websocket.send_denial_response(PlainTextResponse(refusal.reason, status_code=refusal.status))
        return
    await websocket.accept()
    await websocket.close(refusal.code, refusal.reason)


def refusal_of(error: AppError) -> Refusal:
    """Translate an error of the tree."""
    if isinstance(error, NotFound):
        return UNKNOWN
    return FORBIDDEN if isinstance(error, Forbidden) else UNAVAILABLE


async def read(services: Services, work: Callable[[ReadUnit], Result]) -> Result:
    """Run work in a read unit of its own, in a thread: a socket holds no unit while it is open."""
    def run() -> Result:
        with services.database.read() as unit:
            return work(unit)
    return await asyncio.get_running_loop().run_in_executor(services.blocking, run)


async def write(services: Services, work: Callable[[WriteUnit], Result]) -> Result:
    """Run work in a write unit of its own, in a thread."""
    def run() -> Result:
        with services.database.write() as unit:
            return work(unit)
    return await asyncio.get_running_loop().run_in_executor(services.blocking, run)


def door_of(actor: Actor) -> Door:
    return Door(user_id=actor.user_id, login_id=actor.login_id, token_id=actor.token_id)


async def identify(websocket: WebSocket) -> Actor | None:
    """Find who asks, by bearer token or login cookie. The Origin must have been judged before a cookie counts."""
    return await read(services_of(websocket), lambda unit: load_actor(websocket, unit))


def find_again(websocket: WebSocket, unit: ReadUnit, actor: Actor) -> Actor | None:
    """Find the same person again later: None once login, token or user are no longer good."""
    if actor.login_id is not None:
        return actor_for_login_id(unit, actor.login_id, actor.address)
    scheme, _, bearer = websocket.headers.get("authorization", "").partition(" ")
    return actor_for_token(unit, bearer.strip(), address_of(websocket)) if scheme.lower() == "bearer" else None


@asynccontextmanager
async def guarded(websocket: WebSocket, actor: Actor, shut: Callable[[], None],
                  may_stay: Callable[[ReadUnit, Actor], bool]) -> AsyncGenerator[None, None]:
    """While the block runs, call ``shut`` when the login, token or user is revoked, runs out, or ``may_stay`` says no.

    Revocation is told at once; everything else is looked at every minute.
    """
    services = services_of(websocket)

    def look(unit: ReadUnit) -> bool:
        again = find_again(websocket, unit, actor)
        return again is not None and may_stay(unit, again)

    async def look_again() -> None:
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                stays = await read(services, look)
            except AppError:
                stays = False
            if not stays:
                shut()
                return

    looking = asyncio.create_task(look_again(), name="socket guard")
    try:
        with services.live.doors.hold(door_of(actor), shut):
            yield
    finally:
        looking.cancel()
