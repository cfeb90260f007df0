"""One agent's control link: handshake, then messages both ways. What they mean for sessions: ``hub.py`` and ``openings.py``.

The order is that of ``agents/protocol/messages.py``. Before the proof nothing of ours is told but what every server shows; the
agent is nobody until its proof was checked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_urlsafe
from typing import TypeVar

import structlog

from agents.protocol import limits
from agents.protocol.codec import decode_message, encode_message
from agents.protocol.errors import HandshakeRefused, MalformedMessage, SignatureRefused
from agents.protocol.handshake import ServerIdentity, check_proof, make_challenge
from agents.protocol.messages import (
    AGENT_MESSAGES,
    AgentMessage,
    Hello,
    LinkRefusal,
    Ping,
    Pong,
    Proof,
    Refused,
    ServerMessage,
)
from agents.protocol.signatures import PublicKey
from sessions.live.errors import AgentAway
from sessions.live.sockets import CloseCode, Socket, SocketClosed

log = structlog.get_logger(__name__)

HANDSHAKE_SECONDS = 10.0
SEND_SECONDS = 10.0
PING_SECONDS = 15
SILENT_SECONDS = 2 * PING_SECONDS + 5
"""A link that said nothing for two pings and a bit is gone (faults.md F8)."""
MESSAGES_A_SECOND = 50.0
BURST_MESSAGES = 500.0
MOST_QUEUED = 1000

Message = TypeVar("Message", bound=AgentMessage)


class LinkRefusedError(Exception):
    """The agent is refused, with a code of the wire."""

    def __init__(self, code: LinkRefusal, reason: str, *, retry_seconds: int = 0) -> None:
        super().__init__(reason)
        self.code = code
        self.retry_seconds = retry_seconds


@dataclass(frozen=True, slots=True)
class Introduction:
    """What the handshake found out."""

    hello: Hello
    proof: Proof
    key: PublicKey
    clock_offset_seconds: float


class AgentLink:
    """A link after the proof. ``endpoint_id`` and ``holder_epoch`` are set by the hub when it is welcomed."""

    def __init__(self, socket: Socket, introduction: Introduction, *, address: str) -> None:
        self.introduction = introduction
        self.address = address
        self.endpoint_id = ""
        self.holder_epoch = 0
        self.granted: dict[str, str] = {}
        """Sessions for which this run of the agent holds a grant, with the grant's id where it is known."""
        self._socket = socket
        self._queue: deque[ServerMessage] = deque()
        self._wake = asyncio.Event()
        self._answers: dict[tuple[str, str], asyncio.Future[AgentMessage]] = {}
        self._allowance = BURST_MESSAGES
        self._allowance_at = asyncio.get_running_loop().time()
        self._closing: tuple[CloseCode, str] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._heard_at = asyncio.get_running_loop().time()

    @property
    def instance(self) -> str:
        """The run of the agent program."""
        return self.introduction.hello.instance

    @property
    def is_silent(self) -> bool:
        """Whether the agent has missed a ping: its process may be gone without a goodbye."""
        return asyncio.get_running_loop().time() - self._heard_at > PING_SECONDS + 2

    def send(self, message: ServerMessage) -> None:
        """Queue a message; a link that takes nothing is closed."""
        if len(self._queue) >= MOST_QUEUED:
            self.close(CloseCode.TRY_LATER, "too slow")
            return
        self._queue.append(message)
        self._wake.set()

    async def ask(self, kind: str, key: str, message: ServerMessage, *, seconds: float) -> AgentMessage:
        """Send a message and wait for its answer (``answer`` with the same kind and key). Raises AgentAway."""
        waiting = self._answers.get((kind, key))
        if waiting is None:
            waiting = self._answers[kind, key] = asyncio.get_running_loop().create_future()
            self.send(message)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(waiting)
        except TimeoutError as exc:
            raise AgentAway() from exc
        finally:
            if self._answers.get((kind, key)) is waiting:
                del self._answers[kind, key]

    def answer(self, kind: str, key: str, message: AgentMessage) -> bool:
        """Hand an answer to whoever asked; False when nobody did."""
        waiting = self._answers.pop((kind, key), None)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(message)
        return True

    def close(self, code: CloseCode, reason: str) -> None:
        """Close after what is queued."""
        self._closing = self._closing or (code, reason)
        self._wake.set()

    def look(self, now: float) -> None:
        """Look at the clock: an agent that does not ping any more is gone."""
        if now - self._heard_at > SILENT_SECONDS:
            self.close(CloseCode.GOING_AWAY, "no ping")

    async def read(self) -> AgentMessage:
        """Return the next message; pings are answered here. Raises SocketClosed, MalformedMessage."""
        while True:
            frame = await self._socket.receive()
            self._heard_at = asyncio.get_running_loop().time()
            self._count_message()
            message = _decode(frame, AGENT_MESSAGES)
            if isinstance(message, Ping):
                self.send(Pong(count=message.count))
                continue
            return message

    def _count_message(self) -> None:
        now = asyncio.get_running_loop().time()
        self._allowance = min(BURST_MESSAGES, self._allowance + (now - self._allowance_at) * MESSAGES_A_SECOND) - 1
        self._allowance_at = now
        if self._allowance < 0:
            raise MalformedMessage("more messages than the link allows")

    def start(self) -> None:
        """Start the task that writes."""
        self._writer = asyncio.create_task(self._write(), name="agent link writer")

    async def stop(self) -> None:
        """End the task that writes, and everybody's waiting."""
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(AgentAway())
                waiting.exception()  # whoever still waits gets it; nobody else must be warned of it
        self._answers.clear()
        if self._writer is not None:
            self._writer.cancel()
            with suppress(asyncio.CancelledError, SocketClosed, TimeoutError):
                await self._writer

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    async with asyncio.timeout(SEND_SECONDS):
                        await self._socket.send(encode_message(self._queue.popleft()))
                if self._closing is not None:
                    return
        finally:
            await self._socket.close(*(self._closing or (CloseCode.GOING_AWAY, "")))


async def shake_hands(socket: Socket, identity: ServerIdentity) -> Introduction:
    """Challenge an agent and check its proof, certificates apart (``hub.py`` asks for those).

    Raises LinkRefusedError, SocketClosed, TimeoutError.
    """
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            hello = _decode(await socket.receive(), (Hello,))
            assert isinstance(hello, Hello)
            offset = (hello.clock_at - datetime.now(UTC)).total_seconds()
            challenge, transcript = make_challenge(hello, identity, nonce=token_urlsafe(32))
            await socket.send(encode_message(challenge))
            proof = _decode(await socket.receive(), (Proof,))
            assert isinstance(proof, Proof)
            key = check_proof(hello, proof, transcript, is_own_certificate=lambda _digest: True)
    except MalformedMessage as exc:
        raise LinkRefusedError(LinkRefusal.PROOF, str(exc)) from exc
    except (HandshakeRefused, SignatureRefused) as exc:
        code = LinkRefusal.VERSION if "version" in str(exc) else LinkRefusal.PROOF
        raise LinkRefusedError(code, str(exc)) from exc
    if hello.enrolling != (proof.enrol is not None):
        raise LinkRefusedError(LinkRefusal.PROOF, "hello and proof do not agree about enrolling")
    return Introduction(hello, proof, key, offset)


async def say_refused(socket: Socket, error: LinkRefusedError) -> None:
    """Tell the agent why, and close. Never raises."""
    message = Refused(code=error.code, reason=str(error)[:500], retry_seconds=error.retry_seconds)
    with suppress(SocketClosed, TimeoutError):
        async with asyncio.timeout(2):
            await socket.send(encode_message(message))
    await socket.close(CloseCode.POLICY, error.code.value)


def _decode(frame: bytes | str, accepted: tuple[type[Message], ...]) -> Message:
    if isinstance(frame, bytes):
        raise MalformedMessage("the control link carries no bytes")
    return decode_message(frame, accepted, longest_bytes=limits.LINK_MESSAGE_BYTES)
