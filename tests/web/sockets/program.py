"""The live side as it is served: uvicorn in a thread with the settings of ``fernwart serve``, our sockets, a real agent process.

Of pages and API there is nothing here; sessions are asked for and approved by the services themselves.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI
from sqlalchemy import select
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from orchestrator.accounts.actor import SYSTEM, Actor
from orchestrator.accounts.logins import begin_login, prove_login
from orchestrator.accounts.tokens import create_token
from orchestrator.core.clock import SystemClock
from orchestrator.core.db import Database, ReadUnit, WriteUnit
from orchestrator.core.events import Events
from orchestrator.core.jobs import JobRunner
from orchestrator.core.settings import Settings
from orchestrator.core.signals import MemorySignals
from orchestrator.customers.models import Contact
from sessions.endpoints.models import Endpoint
from sessions.endpoints.service import create_enrolment_token
from sessions.lifecycle.clock import SessionClock
from sessions.lifecycle.models import ChannelRow, RemoteSession
from sessions.lifecycle.queries import get_session
from sessions.lifecycle.service import end_session, request_more
from sessions.live.runtime import LiveRuntime
from sessions.recording.interface import RecorderLimits
from sessions.recording.replay import iterate_raw
from tests.builders import make_approver, make_contact
from tests.running import clean_environment, free_port
from tests.sessions.scene import Scene, build_scene
from web.routes import SOCKETS
from web.security import LOGIN_COOKIE
from web.services import Services

DEADLINE_SECONDS = 20.0
MAX_MESSAGE_BYTES = 1024 * 1024
EVERYTHING = ["all", "sessions:request", "channels:open"]

AGENT = (sys.executable, "-m", "agents")

Result = TypeVar("Result")


def until(holds: Callable[[], Result], what: str | Callable[[], str], *, seconds: float = DEADLINE_SECONDS) -> Result:
    """Poll until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited in vain: {what() if callable(what) else what}"
        time.sleep(0.01)


class Console:
    """A viewer as the page is one: reads in a thread, counts raw offsets, acknowledges, keeps news."""

    def __init__(self, socket: ClientConnection, *, acknowledges: bool = True) -> None:
        self.socket = socket
        self.screen = bytearray()
        self.news: list[dict[str, Any]] = []
        self.raw = 0
        self.acknowledges = acknowledges
        self.generation = 0
        self.closed: tuple[int, str] | None = None
        self._upto: int | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self, **attach: Any) -> Console:
        self.say("attach", **{"client": "page-1", **attach})
        self._thread.start()
        return self

    def say(self, kind: str, **fields: Any) -> None:
        """Say something; a socket that is closed already is seen by who reads it."""
        with suppress(ConnectionClosed):
            self.socket.send(json.dumps({"type": kind, **fields}))

    def type(self, data: bytes | str) -> None:
        """Type when the keyboard is open."""
        until(lambda: self.generation, lambda: f"the keyboard; news: {self.news}")
        self.socket.send(data if isinstance(data, bytes) else data.encode())

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in list(self.news) if one["type"] == kind]

    def wait(self, kind: str, *, seconds: float = DEADLINE_SECONDS) -> dict[str, Any]:
        return until(lambda: self.told(kind), lambda: f"{kind}; news: {self.news[-20:]}", seconds=seconds)[-1]

    def wait_live(self, *, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until the agent's side of the channel stands."""
        until(lambda: self.told("live") or any(one["state"] == "live" for one in self.told("attached")),
              lambda: f"a live channel; news: {self.news[-20:]}", seconds=seconds)

    def see(self, text: bytes | str, *, seconds: float = DEADLINE_SECONDS) -> None:
        wanted = text if isinstance(text, bytes) else text.encode()
        def end() -> str:
            return f"{wanted!r} on the screen; its end: {bytes(self.screen[-300:])!r}; {str(self.news[-5:])[:2000]}"
        until(lambda: wanted in bytes(self.screen), end, seconds=seconds)

    def wait_closed(self, *, seconds: float = DEADLINE_SECONDS) -> int:
        return until(lambda: self.closed, lambda: f"the socket's end; news: {self.news[-5:]}", seconds=seconds)[0]

    def cut(self) -> None:
        """End the connection without a word."""
        self.socket.socket.shutdown(2)
        self._thread.join(5)

    def close(self) -> None:
        self.socket.close()
        self._thread.join(5)

    def _read(self) -> None:
        try:
            for message in self.socket:
                if isinstance(message, bytes):
                    self._take(message)
                else:
                    self._hear(json.loads(message))
        except (ConnectionClosed, OSError):
            pass
        close = self.socket.protocol.close_rcvd
        self.closed = (close.code, close.reason) if close is not None else (1006, "")

    def _take(self, data: bytes) -> None:
        self.screen += data
        self.raw = self._upto if self._upto is not None else self.raw + len(data)
        self._upto = None
        if self.acknowledges:
            self.say("ack", raw=self.raw)

    def _hear(self, news: dict[str, Any]) -> None:
        match news["type"]:
            case "attached":
                self.raw = news["raw"]
            case "upto":
                self._upto = news["raw"]
            case "reset":
                self.screen.clear()
                self.raw = news["raw"]
            case "input":
                self.generation = news["generation"]
                self.say("rebase", generation=self.generation)
            case _:
                pass
        self.news.append(news)


@dataclass
class Program:
    """What a test works with."""

    scene: Scene
    port: int
    folder: Path
    cookie: str
    token: str
    login_id: str
    start_server: Callable[[], Served]
    endpoint_id: str = ""
    shell_user: str = field(default_factory=getpass.getuser)
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)
    consoles: list[Console] = field(default_factory=list)
    served: Served = field(init=False)

    def __post_init__(self) -> None:
        self.served = self.start_server()

    def restart(self) -> None:
        """Stop the server and start another one on the same data."""
        self.served.stop()
        self.served = self.start_server()

    @property
    def services(self) -> Services:
        return self.served.services

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self.served.loop

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sockets(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def actor(self) -> Actor:
        return self.scene.actor()

    def read(self, work: Callable[[ReadUnit], Result]) -> Result:
        with self.services.database.read() as unit:
            return work(unit)

    def write(self, work: Callable[[WriteUnit], Result]) -> Result:
        with self.services.database.write() as unit:
            return work(unit)

    def on_loop(self, work: Callable[[], Result]) -> Result:
        """Call something on the server's loop."""
        async def run() -> Result:
            return work()
        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    # The agent.

    def enrol(self, name: str = "agent") -> Path:
        token = self.write(lambda unit: create_enrolment_token(
            unit, SYSTEM, organisation_id=self.scene.organisation.id, server_fingerprint=self.services.keys.fingerprint, auto_accept=True,
            endpoint_class="server", responsible=self.scene.contact.id))
        state = self.folder / name
        done = subprocess.run([*AGENT, "enroll", self.url, "-", "--state", str(state), "--json"],
                              input=token.encode(), capture_output=True, timeout=30, check=False, env=clean_environment())
        assert done.returncode == 0, done.stderr.decode()
        self.endpoint_id = json.loads(done.stdout)["endpoint_id"]
        return state

    def start_agent(self, state: Path) -> subprocess.Popen[bytes]:
        with (self.folder / "agent.log").open("ab") as log:
            agent = subprocess.Popen([*AGENT, "run", "--state", str(state)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     env=clean_environment(), start_new_session=True)
        self.agents.append(agent)
        self.wait_online()
        return agent

    def wait_online(self) -> None:
        def online() -> bool:
            endpoint = self.read(lambda unit: unit.db.get_one(Endpoint, self.endpoint_id))
            return endpoint.online and self.endpoint_id in self.services.live.hub._links and bool(endpoint.inventory)
        until(online, "the agent online")

    # Sessions.

    def approved(self, **wish: object) -> RemoteSession:
        """Ask for a session on the agent's machine as ``shell_user``, and approve it by the link."""
        endpoint = self.read(lambda unit: unit.db.get_one(Endpoint, self.endpoint_id))
        root = bool(endpoint.accounts.get(self.shell_user, {}).get("may_become_root"))
        # A contact of its own for each session: nobody may be asked more than six times an hour.
        contact = self.write(self._make_approver)
        session, _ = self.scene.approved(**{
            "endpoint_id": self.endpoint_id, "contact_id": contact.id, "os_user": self.shell_user,
            "scopes": ["terminal.admin" if root else "terminal"], **wish})
        return session

    def _make_approver(self, unit: WriteUnit) -> Contact:
        contact = make_contact(unit, self.scene.organisation, name="Erika Beispiel")
        make_approver(unit, contact, self.scene.lead, scopes=("terminal", "terminal.admin"))
        return contact

    def open(self, session: RemoteSession, *, columns: int = 80, rows: int = 24) -> ChannelRow:
        return asyncio.run_coroutine_threadsafe(self.services.live.open_channel(
            self.actor, session.id, columns=columns, rows=rows), self.loop).result(10)

    def end(self, session: RemoteSession) -> None:
        self.write(lambda unit: end_session(unit, self.actor, get_session(unit, self.actor, session.id)))

    def steps(self, session_id: str) -> list[str]:
        return self.scene.steps(session_id)

    def abort(self, path_part: str) -> None:
        """Cut the sockets whose path contains this, as a broken network would: no close frame."""
        def cut() -> None:
            for connection in list(self.served.server.server_state.connections):
                if path_part in getattr(connection, "scope", {}).get("path", ""):
                    connection.transport.abort()
        self.on_loop(cut)

    @contextmanager
    def locked_records(self) -> Generator[None, None, None]:
        """Hold the write lock of the recordings' file, so that nothing can be recorded."""
        holder = sqlite3.connect(self.services.record_database.url.database or "", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            holder.execute("ROLLBACK")
            holder.close()

    def approve_more(self, session: RemoteSession, *, minutes: int) -> None:
        """Ask for more in a running session, and approve it by the link."""
        def ask(unit: WriteUnit) -> str:
            found = get_session(unit, self.actor, session.id)
            request_more(unit, self.actor, found, scopes=[], minutes=minutes, purpose="It takes longer", services=self.scene.parts)
            return self.scene.token_of(unit, found)
        self.scene.decide(self.write(ask))

    def session(self, session_id: str) -> RemoteSession:
        return self.read(lambda unit: unit.db.get_one(RemoteSession, session_id))

    def channel(self, channel_id: str) -> ChannelRow:
        return self.read(lambda unit: unit.db.get_one(ChannelRow, channel_id))

    def record(self, channel_id: str) -> bytes:
        """The raw output on record."""
        with self.services.record_database.read() as unit:
            return b"".join(iterate_raw(unit, channel_id))

    def path(self, channel: ChannelRow, what: str = "console") -> str:
        return f"{self.sockets}/p/0/sessions/{channel.session_id}/channels/{channel.id}/{what}"

    def browse(self, url: str, *, origin: str | None = "", cookie: str | None = "") -> ClientConnection:
        """Open a socket as a page of ours does (``None`` leaves a header out)."""
        headers = {}
        if origin is not None:
            headers["Origin"] = origin or self.url
        if cookie is not None:
            headers["Cookie"] = f"{LOGIN_COOKIE}={cookie or self.cookie}"
        return connect(url, additional_headers=headers, compression=None, max_size=None, close_timeout=2, legacy=True)

    def console(self, channel: ChannelRow, *, what: str = "console", acknowledges: bool = True, **attach: Any) -> Console:
        console = Console(self.browse(self.path(channel, what)), acknowledges=acknowledges)
        self.consoles.append(console)
        return console.start(**attach)

    def shell(self, **wish: object) -> tuple[RemoteSession, ChannelRow, Console]:
        """A live session with one terminal whose prompt has come."""
        session = self.approved(**wish)
        channel = self.open(session)
        console = self.console(channel)
        console.wait_live()
        console.type("PS1='$ '; stty -echo; echo ready''-now\n")
        console.see("ready-now\r\n")
        return session, channel, console


@dataclass
class Served:
    """One life of the server: its services and its thread."""

    services: Services
    server: uvicorn.Server
    thread: threading.Thread
    loop: asyncio.AbstractEventLoop

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(15)
        assert not self.thread.is_alive(), "the server did not stop"
        self.services.blocking.shutdown()


def serve(scene: Scene, settings: Settings, database: Database, records: Database, signals: MemorySignals,
          limits: RecorderLimits | None) -> Served:
    """Start a server in a thread; it answers when this returns."""
    blocking = ThreadPoolExecutor(8, thread_name_prefix="blocking")
    services = Services(
        settings=settings, database=database, record_database=records, events=database.events, signals=signals, blocking=blocking,
        hashing=blocking, keys=scene.parts.keys, links=scene.parts.links,  # type: ignore[arg-type]  # addresses are not tested here
        live=LiveRuntime(settings=settings, database=database, record_database=records, signals=signals, events=database.events,
                         keys=scene.parts.keys, executor=blocking, limits=limits),
        indexing=None)  # type: ignore[arg-type]  # nothing is searched here

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        app.state.services = services
        await services.live.start()
        runner = asyncio.create_task(JobRunner(database, signals, [SessionClock(database, services)], blocking, idle_seconds=0.2).run())
        yield
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)
        await services.live.stop()

    app = FastAPI(lifespan=lifespan)
    for name in SOCKETS:
        app.include_router(import_module(name).router)
    server = uvicorn.Server(uvicorn.Config(
        app, ws="websockets-sansio", ws_per_message_deflate=False, ws_ping_interval=None, ws_ping_timeout=None, ws_max_size=MAX_MESSAGE_BYTES,
        log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=3))
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", settings.port))
    loops: list[asyncio.AbstractEventLoop] = []

    def run() -> None:
        async def main() -> None:
            loops.append(asyncio.get_running_loop())
            await server.serve(sockets=[listening])
        asyncio.run(main())

    thread = threading.Thread(target=run, name="server")
    thread.start()
    until(lambda: server.started or not thread.is_alive(), "the server")
    assert thread.is_alive(), "the server did not start"
    return Served(services, server, thread, loops[0])


@contextmanager
def run_program(settings: Settings, *, limits: RecorderLimits | None = None) -> Generator[Program, None, None]:
    """Serve until the block ends."""
    port = free_port()
    settings = settings.model_copy(update={"public_url": f"http://127.0.0.1:{port}", "port": port})
    signals = MemorySignals()
    database, records = Database(settings.sqlalchemy_url, events=Events(), pool_size=20), Database(settings.recordings_url, pool_size=8)
    scene = build_scene(settings, database, records)
    database.clock = SystemClock()
    scene.clock = _Following()  # type: ignore[assignment]  # the same, but it goes
    with database.write() as unit:
        login, _ = begin_login(unit, scene.technician, address="127.0.0.1", agent_name="test")
        cookie = prove_login(unit, login, hours=1)
        token = create_token(unit, SYSTEM, user=scene.technician, rights=EVERYTHING, hours=1)
    program = Program(scene, port, settings.data_dir.parent, cookie, token, login.id, lambda: serve(
        scene, settings, database, records, signals, limits))
    try:
        yield program
    finally:
        for console in program.consoles:
            console.socket.socket.close()
        for agent in program.agents:
            agent.terminate()
        for agent in program.agents:
            try:
                agent.wait(10)
            except subprocess.TimeoutExpired:
                agent.kill()
                agent.wait(5)
        program.served.stop()
        database.dispose()
        records.dispose()


class _Following:
    """A clock that goes, where the scene had one that stands still."""

    @property
    def moment(self) -> Any:
        return SystemClock().now()


def endpoint_of(unit: ReadUnit, endpoint_id: str) -> Endpoint:
    return unit.db.scalars(select(Endpoint).where(Endpoint.id == endpoint_id)).one()
