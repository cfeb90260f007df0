"""Everything of remote sessions that lives in the process: recorder, hub, open sockets; started and stopped by the program's lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from agents.protocol.messages import UserFacts
from orchestrator.accounts.actor import Actor
from orchestrator.accounts.events import LoginRevoked, RolesChanged, TokenRevoked, UserDisabled
from orchestrator.core.db import Database
from orchestrator.core.events import Event, Events
from orchestrator.core.settings import Settings
from orchestrator.core.signals import Signals
from sessions.endpoints.events import EndpointAccepted, EndpointDisabled
from sessions.keys import ServerKeys
from sessions.lifecycle.events import GrantRevoked, MoreApproved, SessionEnded
from sessions.lifecycle.models import ChannelRow
from sessions.live.certificates import OwnCertificates
from sessions.live.channels import ChannelAsked, open_channel
from sessions.live.doors import OpenDoors
from sessions.live.hub import ROWS, Hub
from sessions.live.row_watch import RowWatch
from sessions.recording.interface import RecorderLimits
from sessions.recording.writer import RecordWriter

LABEL = "0"
ASK_SECONDS = 15.0

E = TypeVar("E", bound=Event)


class LiveRuntime:
    """Built once, before the event loop runs; ``start`` and ``stop`` on it. ``record_database`` is for reading, the recorder has
    an engine of its own, since it keeps its writing connection."""

    def __init__(self, *, settings: Settings, database: Database, record_database: Database, signals: Signals, events: Events,
                 keys: ServerKeys, executor: Executor, limits: RecorderLimits | None = None) -> None:
        limits = limits or RecorderLimits(reserved_disk_bytes=settings.recording_reserve_bytes)
        room = settings.data_dir if record_database.is_sqlite else None
        self.doors = OpenDoors()
        self.recorder = RecordWriter(Database(settings.recordings_url, pool_size=2), limits=limits, room=room)
        self.hub = Hub(
            database=database, record_database=record_database, recorder=self.recorder, signals=signals, keys=keys,
            certificates=OwnCertificates(settings), executor=executor, label=LABEL,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listen(events)

    async def start(self) -> None:
        """Start the recorder, then take up what an earlier life of the process left."""
        self._loop = asyncio.get_running_loop()
        self.recorder.start()
        await self.hub.start()
        self.hub.spawn(RowWatch(self.hub, self.doors).run(), ROWS)

    async def stop(self) -> None:
        """Let sockets go, then write what waits."""
        await self.hub.stop()
        self._loop = None
        await self.recorder.stop()

    async def open_channel(self, actor: Actor, session_id: str, *, kind: str = "shell", columns: int = 80, rows: int = 24) -> ChannelRow:
        """Ask for a channel on behalf of a technician; returns when its row is committed, the agent is asked after that.

        Raises what ``sessions/live/channels.py: open_channel`` raises.
        """
        return await self.hub.write(lambda unit: open_channel(
            unit, actor, session_id, kind=kind, columns=columns, rows=rows, label=self.hub.label))

    def state(self) -> str:
        """``ok`` while the hub looks after links and sessions, else a sentence that begins with ``failed``; for any thread."""
        missing = self.hub.list_missing_work()
        return f"failed: not running: {', '.join(missing)}" if missing else "ok"

    def check_record(self) -> None:
        """Raise RecordingUnavailable when no new session may be recorded."""
        self.recorder.check_room()

    def watchers(self, session_id: str) -> list[str]:
        """Who looks at a session besides the technician, by name."""
        viewers = [viewer for relay in self.hub.relays_of(session_id) for viewer in relay.viewers()]
        return sorted({viewer.who.name for viewer in viewers if not viewer.who.may_control})

    def ask_user(self, endpoint_id: str, user: str) -> UserFacts:
        """Ask an agent about an OS account; for worker threads (pages, API). Raises AgentAway."""
        if self._loop is None:
            raise RuntimeError("the live side does not run")
        return asyncio.run_coroutine_threadsafe(self.hub.ask_user(endpoint_id, user), self._loop).result(ASK_SECONDS)

    def _listen(self, events: Events) -> None:
        hub, doors = self.hub, self.doors
        self._on(events, ChannelAsked, hub.on_channel_asked)
        self._on(events, SessionEnded, hub.on_session_ended)
        self._on(events, GrantRevoked, hub.on_grant_revoked)
        self._on(events, MoreApproved, hub.on_more_approved)
        self._on(events, EndpointAccepted, lambda event: hub.on_endpoint_accepted(event.endpoint_id))
        self._on(events, EndpointDisabled, lambda event: hub.on_endpoint_disabled(event.endpoint_id))
        self._on(events, LoginRevoked, lambda event: doors.shut(login_id=event.login_id))
        self._on(events, TokenRevoked, lambda event: doors.shut(token_id=event.token_id))
        self._on(events, UserDisabled, lambda event: doors.shut(user_id=event.user_id))
        self._on(events, RolesChanged, lambda event: doors.shut(user_id=event.user_id))

    def _on(self, events: Events, kind: type[E], listener: Callable[[E], object]) -> None:
        """Listeners run after the commit in the committing thread; the hub belongs to the loop."""
        def hand_over(event: E) -> None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(listener, event)
        events.after_commit(kind, hand_over)
