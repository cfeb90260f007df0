"""Watching a channel: nothing a watcher sends reaches the machine, nothing a watcher does slows it.

Those who may: the leading technician, leads, and the customer's browser that decided (by its cookie). Each watch is audited.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.websockets import WebSocket

from orchestrator.accounts.actor import Actor, ActorKind
from orchestrator.audit.service import record_audit
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import AppError, Forbidden, NotFound
from orchestrator.core.ids import parse_id
from sessions.consent.viewers import find_viewer
from sessions.lifecycle.models import ChannelRow, RemoteSession
from sessions.lifecycle.policy import SessionAction, may
from sessions.lifecycle.queries import facts_of, get_session, require_action
from sessions.live.channels import get_channel
from sessions.live.sockets import CloseCode
from sessions.live.viewer import ViewerIdentity
from web.auth import address_of, load_actor
from web.services import services_of
from web.sockets.console import make_viewer, show_channel
from web.sockets.entrance import (
    FOREIGN,
    NO_LOGIN,
    RECHECK_SECONDS,
    UNKNOWN,
    guarded,
    has_bearer,
    has_own_origin,
    read,
    refusal_of,
    refuse,
    write,
)

router = APIRouter()


@router.websocket("/p/{label}/sessions/{session_id}/channels/{channel_id}/watch", name="sockets:watch")
async def serve_watch(websocket: WebSocket, label: str, session_id: str, channel_id: str) -> None:
    """Serve a watcher until it, the channel, or the right to watch ends."""
    services = services_of(websocket)
    if not has_bearer(websocket) and not has_own_origin(websocket):
        await refuse(websocket, FOREIGN)
        return
    if label != services.live.hub.label:
        await refuse(websocket, UNKNOWN)
        return
    actor = await read(services, lambda unit: _find_watcher(websocket, unit, session_id))
    if actor is None:
        await refuse(websocket, NO_LOGIN)
        return
    try:
        row = await write(services, lambda unit: _begin(unit, actor, session_id, channel_id))
    except AppError as exc:
        await refuse(websocket, refusal_of(exc))
        return
    viewer = make_viewer(websocket, ViewerIdentity(actor.name, may_control=False, sees_commands=actor.kind is ActorKind.USER))

    def shut() -> None:
        viewer.drop(CloseCode.LOGIN_OVER, "the right to watch is over")

    await websocket.accept()
    if actor.kind is ActorKind.USER:
        async with guarded(websocket, actor, shut, lambda unit, again: _may_watch(unit, again, session_id)):
            await show_channel(websocket, row, viewer)
        return
    looking = asyncio.create_task(_watch_cookie(websocket, session_id, shut), name="watch guard")
    try:
        await show_channel(websocket, row, viewer)
    finally:
        looking.cancel()


def _find_watcher(websocket: WebSocket, unit: ReadUnit, session_id: str) -> Actor | None:
    """A login that may watch comes first: a technician who tries out his own link watches as himself."""
    actor = load_actor(websocket, unit)
    if actor is not None and _may_watch(unit, actor, session_id):
        return actor
    if has_bearer(websocket):
        return actor
    try:
        found = find_viewer(unit, parse_id(session_id), websocket.cookies, address=address_of(websocket) or None)
    except NotFound:
        return actor
    return found or actor


def _may_watch(unit: ReadUnit, actor: Actor, session_id: str) -> bool:
    try:
        session = get_session(unit, actor, session_id)
    except NotFound:
        return False
    return may(actor, SessionAction.WATCH, facts_of(unit, session))


def _begin(unit: WriteUnit, actor: Actor, session_id: str, channel_id: str) -> ChannelRow:
    session = _get_session(unit, actor, session_id)
    row = get_channel(unit, session, channel_id)
    record_audit(unit, actor, "session.watched", subject=f"session {session.id}", ticket_number=session.ticket_number,
                 summary=f"{actor.name} watches the remote session", details={"channel": row.id})
    return row


def _get_session(unit: ReadUnit, actor: Actor, session_id: str) -> RemoteSession:
    if actor.kind is ActorKind.USER:
        session = get_session(unit, actor, session_id)
        require_action(unit, actor, session, SessionAction.WATCH)
        return session
    # The cookie was given by a link of this very session; the contact need not be its own.
    session = unit.db.get(RemoteSession, parse_id(session_id))
    if session is None:
        raise Forbidden()
    return session


async def _watch_cookie(websocket: WebSocket, session_id: str, shut: object) -> None:
    services = services_of(websocket)
    while True:
        await asyncio.sleep(RECHECK_SECONDS)
        if await read(services, lambda unit: find_viewer(unit, session_id, websocket.cookies)) is None:
            assert callable(shut)
            shut()
            return
