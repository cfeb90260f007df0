"""What another process ended: the command line writes rows and cannot call us. Once a second the rows of what runs here are
read again. Also the net under events that were lost. Ending itself is in ``hub.py`` and ``doors.py``."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

import structlog
from sqlalchemy import select

from orchestrator.accounts.models import APIToken, Login, User
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import AppError
from sessions.lifecycle.events import GrantRevoked, SessionEnded
from sessions.lifecycle.models import RemoteSession
from sessions.lifecycle.queries import OPEN
from sessions.live.doors import Door, OpenDoors
from sessions.live.hub import Hub

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """Sessions that are over by their rows, and ids by which nobody may be here any more."""

    sessions: tuple[SessionEnded, ...]
    logins: frozenset[str]
    tokens: frozenset[str]
    users: frozenset[str]


class RowWatch:
    """Belongs to the hub's loop; ``run`` until cancelled."""

    def __init__(self, hub: Hub, doors: OpenDoors) -> None:
        self._hub = hub
        self._doors = doors

    async def run(self) -> None:
        """Look every second."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except AppError as exc:
                log.warning("rows of running sessions cannot be read", reason=str(exc))
            except Exception:  # the boundary of the task: the next look is in a second
                log.exception("looking at running sessions failed")

    async def look(self) -> None:
        """Read the rows of what runs here, and end what is over."""
        sessions, doors = self._hub.list_held_sessions(), self._doors.list_open()
        if not sessions and not doors:
            return
        ended = await self._hub.read(lambda unit: read_ended(unit, sessions, doors))
        for session in ended.sessions:
            self._hub.on_session_ended(session)
            if session.grant_id is not None:
                self._hub.on_grant_revoked(GrantRevoked(session.session_id, session.grant_id, session.endpoint_id, session.reason))
        for login_id in ended.logins:
            self._doors.shut(login_id=login_id)
        for token_id in ended.tokens:
            self._doors.shut(token_id=token_id)
        for user_id in ended.users:
            self._doors.shut(user_id=user_id)


def read_ended(unit: ReadUnit, session_ids: Collection[str], doors: Collection[Door]) -> Ended:
    """Say which of these are over. A kind that nobody holds costs no statement."""
    sessions = unit.db.execute(select(
        RemoteSession.id, RemoteSession.ticket_id, RemoteSession.endpoint_id, RemoteSession.technician_id, RemoteSession.state,
        RemoteSession.end_reason, RemoteSession.grant_id,
    ).where(RemoteSession.id.in_(session_ids), RemoteSession.state.not_in(OPEN))).all() if session_ids else ()
    logins = {door.login_id for door in doors if door.login_id}
    tokens = {door.token_id for door in doors if door.token_id}
    users = {door.user_id for door in doors if door.user_id}
    return Ended(
        sessions=tuple(SessionEnded(*row) for row in sessions),
        logins=frozenset(unit.db.scalars(select(Login.id).where(Login.id.in_(logins), Login.revoked_at.is_not(None))) if logins else ()),
        tokens=frozenset(unit.db.scalars(select(APIToken.id).where(APIToken.id.in_(tokens), APIToken.revoked_at.is_not(None))) if tokens else ()),
        users=frozenset(unit.db.scalars(select(User.id).where(User.id.in_(users), User.disabled_at.is_not(None))) if users else ()),
    )
