"""A server of the tests' own that speaks the wire over real loopback sockets, well or badly as a test wants.

It is not the product's server: it keeps everything in memory, and each of its misdeeds is asked for by name.
"""

import asyncio
import functools
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HTTPRequest
from websockets.http11 import Response

from agents.channels.shell import open_shell
from agents.enrolment import enrol, prepare_enrolment
from agents.protection import own_user_name
from agents.protocol import limits
from agents.protocol.channel_messages import (
    AGENT_CHANNEL_MESSAGES,
    AgentChannelMessage,
    ChannelErrorMessage,
    ChannelResume,
    ChannelResumed,
    Exit,
    Fin,
    InputAck,
    OutputAck,
    Rebased,
)
from agents.protocol.codec import decode_message, encode_message
from agents.protocol.grants import Grant, Request, sign_grant, sign_request
from agents.protocol.handshake import ServerIdentity, check_proof, make_challenge
from agents.protocol.messages import (
    AGENT_MESSAGES,
    ChannelKind,
    ConsentPlace,
    Hello,
    HostClass,
    LinkRefusal,
    OpenChannel,
    OpenSession,
    Ping,
    Pong,
    Proof,
    Refused,
    Resume,
    SessionNonce,
    Waiting,
    Welcome,
)
from agents.protocol.signatures import PublicKey, SigningKey, hash_document
from agents.protocol.tokens import EnrolmentToken
from agents.protocol.version import CHANNEL_TOKEN_HEADER, LINK_PATH
from agents.service import Agent
from agents.state_folder import StateFolder
from tests.agents.protocol.builders import build_grant, build_request

DEADLINE_SECONDS = 15.0
SHELL_USER = own_user_name()
"""The account whose shells are asked for; conftest.py names one of its own making where it can."""
Message = TypeVar("Message")
_started: list["Desk"] = []
"""Servers to be stopped at the end of a test, however it ends."""


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in a loop of its own, with a time limit."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        async def limited() -> None:
            try:
                async with asyncio.timeout(60):
                    await test(*arguments, **named)
            finally:
                while _started:
                    await _started.pop().stop()

        asyncio.run(limited())

    return run


async def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for a condition, at most the deadline."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_SECONDS
    while not holds():
        assert loop.time() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.01)


@dataclass
class AgentLink:
    """One control link as the server sees it."""

    socket: ServerConnection
    hello: Hello
    proof: Proof
    key: PublicKey
    inbox: list[Any] = field(default_factory=list)
    gone: bool = False

    async def send(self, message: Any) -> None:
        await self.socket.send(encode_message(message))

    async def send_text(self, text: str) -> None:
        await self.socket.send(text)

    async def expect(self, kind: type[Message]) -> Message:
        """Take the oldest unread message of this type."""
        await until(lambda: any(isinstance(one, kind) for one in self.inbox), f"a {kind.__name__}; got {self.inbox}")
        found = next(one for one in self.inbox if isinstance(one, kind))
        self.inbox.remove(found)
        return found


@dataclass
class DeskChannel:
    """A channel's record and its socket of the moment."""

    channel_id: str
    session_id: str
    record: bytearray = field(default_factory=bytearray)
    recorded: int = 0
    acknowledge: bool = True
    typed: bytearray = field(default_factory=bytearray)
    sent_input: int = 0
    applied: int = 0
    attaches: list[ChannelResume] = field(default_factory=list)
    heard: list[AgentChannelMessage] = field(default_factory=list)
    exit: Exit | None = None
    cuts: list[int] = field(default_factory=list)
    fin: bool = True
    socket: ServerConnection | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Callable[[ChannelResume], Any] | None = None

    def type(self, data: bytes) -> None:
        """Type into the terminal; sent as credit allows."""
        self.typed += data

    async def say(self, message: Any) -> None:
        assert self.socket is not None
        await self.socket.send(encode_message(message))

    async def attend(self, socket: ServerConnection) -> None:
        resume = await self._read(socket)
        assert isinstance(resume, ChannelResume)
        self.attaches.append(resume)
        if self.answer is not None:
            await socket.send(encode_message(self.answer(resume)))
        else:
            assert resume.out_lo <= len(self.record) <= resume.out_hi
            await socket.send(encode_message(ChannelResumed(output=len(self.record), input=resume.applied)))
        self.applied = self.sent_input = resume.applied
        self.socket = socket
        typing = asyncio.create_task(self._type(socket))
        try:
            async for frame in socket:
                await self._take(socket, frame)
                if socket.transport.is_closing():
                    # What a cut loses may still wait in our own queue; a dead server would not read it either.
                    break
        finally:
            typing.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await typing
            self.socket = None

    async def _take(self, socket: ServerConnection, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self.record += frame
            if self.cuts and len(self.record) >= self.cuts[0]:
                # What a crash loses is what was received and not yet durable.
                self.cuts.pop(0)
                socket.transport.abort()
                return
            if self.acknowledge:
                await socket.send(encode_message(OutputAck(output=len(self.record))))
            return
        message = decode_message(frame, AGENT_CHANNEL_MESSAGES, longest_bytes=limits.CHANNEL_TEXT_BYTES)
        self.heard.append(message)
        match message:
            case InputAck():
                self.applied = message.applied
            case Rebased():
                self.applied = self.sent_input = message.applied
                del self.typed[message.applied :]
            case Exit():
                assert message.output == len(self.record)
                self.exit = message
                if self.fin:
                    await socket.send(encode_message(Fin()))
            case _:
                pass

    async def _type(self, socket: ServerConnection) -> None:
        while True:
            start = self.sent_input
            room = limits.INPUT_CREDIT_BYTES - (self.sent_input - self.applied)
            piece = bytes(self.typed[start : start + min(room, 16384)])
            if piece:
                self.sent_input += len(piece)
                await socket.send(piece)
            else:
                await asyncio.sleep(0.005)

    async def _read(self, socket: ServerConnection) -> AgentChannelMessage:
        return decode_message(await socket.recv(), AGENT_CHANNEL_MESSAGES, longest_bytes=limits.CHANNEL_TEXT_BYTES)


class Desk:
    """The server. Its identity may be changed between links to play another one."""

    def __init__(self) -> None:
        self.key = SigningKey.generate()
        self.recovery = SigningKey.generate()
        self.server_instance = "server-1"
        self.epoch = 5
        self.certificates: set[str] = {""}
        self.accepting = True
        self.host_class = HostClass.SERVER
        self.secrets: dict[str, str] = {}
        self.links: list[AgentLink] = []
        self.all_hellos: list[Hello] = []
        self.refusals: list[str] = []
        self.enrolled: list[Proof] = []
        self.channels: dict[str, DeskChannel] = {}
        self.tokens: dict[str, str] = {}
        self.revoked: tuple[str, ...] = ()
        self.resumes = True
        self.before_welcome: Any = None
        self.port = 0
        self.trust: ssl.SSLContext | None = None
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.trust else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        _started.append(self)
        self._server = await serve(
            self._attend,
            "127.0.0.1",
            self.port,
            ssl=self.trust,
            compression=None,
            process_request=self._admit,
            max_size=limits.CHANNEL_BINARY_BYTES,
            close_timeout=1,
            ping_interval=None,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Vanish as a killed server does: every connection is cut."""
        if self._server is None:
            return
        for connection in list(self._server.connections):
            connection.transport.abort()
        self._server.close()
        await self._server.wait_closed()
        self._server = None

    def make_token(self) -> EnrolmentToken:
        token = EnrolmentToken(secrets.token_hex(8), secrets.token_urlsafe(32), self.key.public.fingerprint)
        self.secrets[token.token_id] = token.secret
        return token

    async def link(self, number: int = 0) -> AgentLink:
        """Return the agent's link of this number, counted from 0, once it stands."""
        await until(lambda: len(self.links) > number, f"link {number}; refused: {self.refusals}")
        return self.links[number]

    def make_ticket(self, channel: DeskChannel) -> Resume:
        token = secrets.token_urlsafe(32)
        self.tokens[token] = channel.channel_id
        return Resume(channel_id=channel.channel_id, session_id=channel.session_id, label="0", token=token)

    def make_channel(self, session_id: str = "session-1") -> DeskChannel:
        channel = DeskChannel(f"channel-{len(self.channels) + 1}", session_id)
        self.channels[channel.channel_id] = channel
        return channel

    async def _admit(self, connection: ServerConnection, request: HTTPRequest) -> Response | None:
        if request.path == LINK_PATH:
            return None
        parts = request.path.split("/")
        token = request.headers.get(CHANNEL_TOKEN_HEADER, "")
        if parts[:2] != ["", "p"] or self.tokens.pop(token, "") != parts[-1]:
            self.refusals.append("token")
            return connection.respond(HTTPStatus.FORBIDDEN, "no such token\n")
        return None

    async def _attend(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        with suppress(ConnectionClosed):
            if socket.request.path == LINK_PATH:
                await self._attend_link(socket)
            else:
                await self.channels[socket.request.path.split("/")[-1]].attend(socket)

    async def _attend_link(self, socket: ServerConnection) -> None:
        hello = await self._read(socket)
        assert isinstance(hello, Hello)
        self.all_hellos.append(hello)
        identity = ServerIdentity(self.key, self.recovery.public, self.server_instance, self.epoch)
        challenge, transcript = make_challenge(hello, identity, nonce=secrets.token_urlsafe(32))
        await socket.send(encode_message(challenge))
        proof = await self._read(socket)
        assert isinstance(proof, Proof)
        key = check_proof(hello, proof, transcript, is_own_certificate=lambda seen: seen in self.certificates)
        if proof.enrol is not None:
            if self.secrets.pop(proof.enrol.token_id, None) != proof.enrol.secret:
                await socket.send(encode_message(Refused(code=LinkRefusal.TOKEN, reason="token is used or unknown")))
                return
            self.enrolled.append(proof)
        link = AgentLink(socket, hello, proof, key)
        if not self.accepting:
            await link.send(Waiting(endpoint_id="endpoint-1", fingerprint=key.fingerprint))
            while not self.accepting and not socket.transport.is_closing():
                await asyncio.sleep(0.01)
        if self.before_welcome is not None:
            await link.send(self.before_welcome)
        resume = tuple(self.make_ticket(one) for one in self.channels.values()) if self.resumes else ()
        await link.send(
            Welcome(
                endpoint_id="endpoint-1",
                host_class=self.host_class,
                epoch=self.epoch,
                revoked=self.revoked,
                resume=resume,
                reconnect_seconds=1,
            )
        )
        self.links.append(link)
        try:
            while True:
                message = await self._read(socket)
                if isinstance(message, Ping):
                    await link.send(Pong(count=message.count))
                else:
                    link.inbox.append(message)
        finally:
            link.gone = True

    async def _read(self, socket: ServerConnection) -> Any:
        return decode_message(await socket.recv(), AGENT_MESSAGES, longest_bytes=limits.LINK_MESSAGE_BYTES)

    # Documents and whole steps of a session.

    def ask(self, link: AgentLink, **changes: Any) -> Request:
        request = build_request(
            link.key.fingerprint,
            server_instance=self.server_instance,
            epoch=self.epoch,
            user=SHELL_USER,
            issued_at=datetime.now(UTC),
            expires_at=datetime.now(UTC) + timedelta(hours=8),
        )
        return replace(request, **changes)

    async def open_session(self, link: AgentLink, request: Request) -> tuple[str, str]:
        """Return the request's token and the nonce that the agent issued."""
        token = sign_request(self.key, request)
        await link.send(OpenSession(session_id=request.session_id, request=token))
        return token, (await link.expect(SessionNonce)).nonce

    async def make_grant(self, link: AgentLink, **changes: Any) -> Grant:
        request = self.ask(link)
        token, nonce = await self.open_session(link, request)
        return replace(build_grant(request, hash_document(token), nonce), **changes)

    async def open_channel(self, link: AgentLink, grant: str, **changes: Any) -> DeskChannel:
        channel = self.make_channel()
        ticket = self.make_ticket(channel)
        message = OpenChannel(
            channel_id=channel.channel_id,
            session_id=channel.session_id,
            kind=ChannelKind.SHELL,
            columns=80,
            rows=24,
            token=ticket.token,
            label=ticket.label,
            grant=grant,
        )
        await link.send(replace(message, **changes))
        return channel

    async def open_shell(self, link: AgentLink, **changes: Any) -> DeskChannel:
        """Go the whole way to an attached shell."""
        grant = await self.make_grant(link, **changes)
        channel = await self.open_channel(link, sign_grant(self.key, grant))
        await until(lambda: channel.socket is not None, f"the shell is attached; {link.inbox}")
        return channel


class CountingOpener:
    """The real opener, which counts what it was asked to start."""

    def __init__(self) -> None:
        self.opened: list[Any] = []
        self.asked = 0

    async def __call__(self, *, user: str, columns: int, rows: int, marks_nonce: str) -> Any:
        self.asked += 1
        shell = await open_shell(user=user, columns=columns, rows=rows, marks_nonce=marks_nonce)
        self.opened.append(shell)
        return shell


async def enrol_at(desk: Desk, state: Path, *, ca_file: str = "") -> StateFolder:
    """Enrol an agent whose state lies in the folder."""
    token = desk.make_token()
    folder, key, record = prepare_enrolment(state, desk.url, token, host_class=HostClass.SERVER, consent=ConsentPlace.SERVER, ca_file=ca_file)
    await enrol(folder, key, record, token)
    desk.links.clear()
    return folder


@asynccontextmanager
async def running_agent(folder: StateFolder, opener: CountingOpener | None = None) -> AsyncIterator[Agent]:
    """Run an agent in this loop and stop it at the end."""
    agent = Agent(folder, open_shell=opener or CountingOpener())
    running = asyncio.create_task(agent.run())
    try:
        yield agent
    finally:
        agent.stop()
        await _ended(running)


async def _ended(running: Awaitable[None]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        await running


@asynccontextmanager
async def desk_and_agent(tmp_path: Path) -> AsyncIterator[tuple[Desk, AgentLink, CountingOpener]]:
    """A server, an enrolled agent that runs, and its link."""
    desk = Desk()
    await desk.start()
    try:
        folder = await enrol_at(desk, tmp_path / "state")
        opener = CountingOpener()
        async with running_agent(folder, opener):
            yield desk, await desk.link(), opener
    finally:
        await desk.stop()


def error_of(channel: DeskChannel) -> ChannelErrorMessage | None:
    """Return the error the agent told on the channel, if it did."""
    return next((one for one in channel.heard if isinstance(one, ChannelErrorMessage)), None)
