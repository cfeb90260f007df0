"""The agent's socket of one channel while it is attached: a task that writes, and the reading. What it means: ``relay.py``.

The writer has one queue, so that control and bytes keep their order; acknowledgements are merged. A write that takes too
long ends the socket: the agent dials again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from agents.protocol import limits
from agents.protocol.channel_messages import (
    AGENT_CHANNEL_MESSAGES,
    AgentChannelMessage,
    ChannelError,
    ChannelErrorMessage,
    ChannelResume,
    OutputAck,
    ServerChannelMessage,
)
from agents.protocol.codec import decode_message, encode_message
from agents.protocol.errors import MalformedMessage
from sessions.live.errors import PositionRefused
from sessions.live.sockets import CloseCode, Socket, SocketClosed

if TYPE_CHECKING:
    from sessions.live.relay import ChannelRelay

log = structlog.get_logger(__name__)

RESUME_SECONDS = 10.0
SEND_SECONDS = 10.0


async def read_resume(socket: Socket) -> ChannelResume:
    """Read the agent's first message. Raises MalformedMessage, SocketClosed, TimeoutError."""
    async with asyncio.timeout(RESUME_SECONDS):
        frame = await socket.receive()
    if isinstance(frame, bytes):
        raise MalformedMessage("bytes came before a position was stated")
    message = decode_message(frame, (ChannelResume,), longest_bytes=limits.CHANNEL_TEXT_BYTES)
    assert isinstance(message, ChannelResume)
    return message


async def refuse(socket: Socket, code: ChannelError, reason: str) -> None:
    """Say why, and close. Never raises."""
    await say_last(socket, ChannelErrorMessage(code=code, reason=reason[:500]))


async def say_last(socket: Socket, message: ServerChannelMessage) -> None:
    """Say one thing to a socket that is not attached, and close it. Never raises."""
    with suppress(SocketClosed, TimeoutError):
        async with asyncio.timeout(2):
            await socket.send(encode_message(message))
    await socket.close(CloseCode.DONE)


class AgentAttachment:
    """One attached socket. ``run`` ends when the socket does; ``abandon`` ends it and waits until it has."""

    def __init__(self, socket: Socket, *, clock: Callable[[], float]) -> None:
        self._socket = socket
        self._clock = clock
        self._queue: deque[bytes | ServerChannelMessage] = deque()
        self._acknowledge: int | None = None
        self._wake = asyncio.Event()
        self._over = asyncio.Event()
        self._sending_since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._abandoned = False
        self._closing = False

    def send(self, message: bytes | ServerChannelMessage) -> None:
        """Send bytes of input or a message: at once if nothing waits, else in its turn; credit and states bound the queue."""
        if self._queue or self._sending_since is not None or not self._send_now(message):
            self._queue.append(message)
            self._wake.set()

    def _send_now(self, message: bytes | ServerChannelMessage) -> bool:
        try:
            return self._socket.send_now(message if isinstance(message, bytes) else encode_message(message))
        except SocketClosed:
            return True  # whoever reads the socket learns it

    def acknowledge(self, offset: int) -> None:
        """Tell that output below ``offset`` is durable."""
        self._acknowledge = offset
        self._wake.set()

    def finish(self, message: ServerChannelMessage) -> None:
        """Send a last message, then close."""
        self._closing = True
        self.send(message)
        self._wake.set()

    def look(self, now: float) -> None:
        """Look at the clock: the time limit of a send."""
        if self._sending_since is not None and now - self._sending_since > SEND_SECONDS and self._task is not None:
            self._abandoned = True
            self._task.cancel()

    async def abandon(self) -> None:
        """End this socket because a newer one is there; returns when nothing of it runs any more."""
        self._abandoned = True
        if self._task is not None:
            self._task.cancel()
            await self._over.wait()

    async def run(self, relay: ChannelRelay) -> None:
        """Read until the socket ends. The caller closes it."""
        self._task = asyncio.current_task()
        writer = asyncio.create_task(self._write(), name="agent socket writer")
        try:
            while not self._over.is_set():
                await relay.wait_until_readable(self)
                frame = await self._socket.receive()
                if isinstance(frame, bytes):
                    if len(frame) > limits.CHANNEL_BINARY_BYTES:
                        raise MalformedMessage("frame is larger than the wire allows")
                    relay.take_output(self, frame)
                else:
                    relay.take_agent_message(self, self._decode(frame))
        except SocketClosed:
            pass
        except (MalformedMessage, PositionRefused) as exc:
            log.warning("agent sent what we do not accept", channel=relay.channel_id, reason=str(exc))
            await refuse(self._socket, ChannelError.PROTOCOL, str(exc))
            relay.agent_misbehaved(str(exc))
        except asyncio.CancelledError:
            if not self._abandoned:
                raise
            asyncio.current_task().uncancel()  # type: ignore[union-attr]  # inside a task there is one
        finally:
            self._task = None
            writer.cancel()
            with suppress(asyncio.CancelledError, SocketClosed):
                await writer
            self._over.set()

    @staticmethod
    def _decode(frame: str) -> AgentChannelMessage:
        return decode_message(frame, AGENT_CHANNEL_MESSAGES, longest_bytes=limits.CHANNEL_TEXT_BYTES)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue or self._acknowledge is not None:
                if self._queue:
                    item = self._queue.popleft()
                    frame = item if isinstance(item, bytes) else encode_message(item)
                else:
                    assert self._acknowledge is not None
                    frame = encode_message(OutputAck(output=self._acknowledge))
                    self._acknowledge = None
                self._sending_since = self._clock()
                await self._socket.send(frame)
                self._sending_since = None
            if self._closing:
                await self._socket.close(CloseCode.DONE)
                return
