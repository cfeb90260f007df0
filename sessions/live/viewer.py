"""One viewer's socket: a task that sends what is due, and the reading of what the viewer says.

What is due decides ``attach.py``; what input and sizes mean for the channel decides ``relay.py``. News (text) pass ahead of
output that waits; a viewer that does not take a message within the time limit is dropped, so that nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from agents.protocol.errors import MalformedMessage
from sessions.live.attach import CaughtUp, Reset, Step, ViewerPosition
from sessions.live.errors import PositionRefused
from sessions.live.ring import Frame
from sessions.live.sockets import CloseCode, Socket, SocketClosed
from sessions.live.viewer_messages import HEARTBEAT, Attach, NewSize, Rebased, Shown, Take, read_viewer_message, write_message

if TYPE_CHECKING:
    from sessions.live.relay import ChannelRelay

log = structlog.get_logger(__name__)

PAGE_SECONDS = 10.0
PLAIN_SECONDS = 0.5
"""How long a page of ours, or another client, may take to say ``attach``; a client that has said nothing by then is served
without control messages, and may still attach by its first message."""
SEND_SECONDS = 8.0
HEARTBEAT_SECONDS = 10.0
LAST_SECONDS = 15.0
"""How long a viewer may take to read the rest after the channel has ended."""
MOST_NEWS = 1000
INPUT_PIECE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class ViewerIdentity:
    """Who looks: ``may_control`` only for the leading technician; by ``login_id``, ``user_id`` or ``token_id`` the socket is found
    when that login ends. ``sees_commands``: command rows are internal until published, a contact does not get them."""

    name: str
    may_control: bool
    sees_commands: bool = True
    user_id: str | None = None
    login_id: str | None = None
    token_id: str | None = None


class Viewer:
    """Serves one socket. ``run`` ends when the socket does, or when ``drop`` was called."""

    def __init__(self, socket: Socket, who: ViewerIdentity, *, is_page: bool, clock: Callable[[], float]) -> None:
        self.who = who
        self._attach_seconds = PAGE_SECONDS if is_page else PLAIN_SECONDS
        self._has_spoken = False
        self.client = ""
        self.position: ViewerPosition | None = None
        self.told_generation: int | None = None
        self.ready_generation: int | None = None
        self.says_acks = False
        self._socket = socket
        self._clock = clock
        self._news: deque[str] = deque()
        self._later: deque[tuple[int, str]] = deque()
        self._unsent: deque[bytes | str] = deque()
        """What of the last step the socket has not taken; it goes ahead of everything."""
        self._may_send_now = False
        self._wake = asyncio.Event()
        self._sending_since: float | None = None
        self._sent_at = clock()
        self._task: asyncio.Task[None] | None = None
        self._relay: ChannelRelay | None = None
        self._dropped: tuple[CloseCode, str] | None = None
        self._closing: tuple[CloseCode, str] | None = None
        self._closing_since = 0.0

    async def run(self, relay: ChannelRelay) -> None:
        """Attach to the channel and serve until the end; closes the socket."""
        self._relay = relay
        self._task = asyncio.current_task()
        pump: asyncio.Task[None] | None = None
        code, reason = CloseCode.DONE, ""
        try:
            first = await self._first_message()
            self._attach(relay, first)
            pump = asyncio.create_task(self._pump(), name="viewer pump")
            pump.add_done_callback(self._pump_ended)
            if not isinstance(first, Attach) and first is not None:
                await self._take(relay, first)
            while True:
                message = await self._read()
                if isinstance(message, Attach) and not self._has_spoken:
                    self._attach(relay, message)
                else:
                    await self._take(relay, message)
                self._has_spoken = True
        except SocketClosed:
            pass
        except (MalformedMessage, PositionRefused) as exc:
            log.info("viewer refused", channel=relay.channel_id, reason=str(exc))
            code, reason = CloseCode.POLICY, str(exc)
        except asyncio.CancelledError:
            if self._dropped is None:
                raise
            asyncio.current_task().uncancel()  # type: ignore[union-attr]  # inside a task there is one
            code, reason = self._dropped
        finally:
            relay.remove_viewer(self)
            self._task = None
            if pump is not None:
                pump.cancel()
                with suppress(asyncio.CancelledError, SocketClosed):
                    await pump
            await self._socket.close(code, reason)

    # What the channel tells.

    def wake(self) -> None:
        """There is something new in the ring, or the gate has opened."""
        self._wake.set()

    def show(self) -> None:
        """Send new output now if nothing waits and the socket takes it, else wake the task that does. For the controller: it
        is the way of a key's echo."""
        if not self._may_send_now or self._wake.is_set() or self._sending_since is not None:
            self._wake.set()
            return
        relay, position = self._relay, self.position
        assert relay is not None and position is not None
        while not relay.is_stalled and (step := position.next_step()) is not None:
            if not self._step_now(step):
                self._wake.set()
                return
            self._note_sent(relay, position)
            if self._news or self._later:
                self._wake.set()
                return

    def _step_now(self, step: Step) -> bool:
        for number, message in enumerate(messages := _messages_of(step)):
            try:
                if self._socket.send_now(message):
                    continue
            except SocketClosed:
                pass  # the task that sends learns it
            self._unsent.extend(messages[number:])
            return False
        self._sent_at = self._clock()
        return True

    def tell(self, text: str) -> None:
        """Send news ahead of any output that waits; a viewer that takes none for a long time is dropped."""
        if len(self._news) >= MOST_NEWS:
            self.drop(CloseCode.TRY_LATER, "too slow")
            return
        self._news.append(text)
        self._wake.set()

    def tell_at(self, raw: int, text: str) -> None:
        """Send news once the output below ``raw`` was sent."""
        self._later.append((raw, text))
        self._wake.set()

    def close_soon(self, code: CloseCode, reason: str) -> None:
        """Close after what is due was sent."""
        self._closing = (code, reason)
        self._closing_since = self._clock()
        self._wake.set()

    def drop(self, code: CloseCode, reason: str) -> None:
        """Close now, whatever waits."""
        if self._task is not None and self._dropped is None:
            self._dropped = (code, reason)
            self._task.cancel()

    def look(self, now: float) -> None:
        """Look at the clock: time limit of a send, heartbeat."""
        if self._sending_since is not None and now - self._sending_since > SEND_SECONDS:
            self.drop(CloseCode.TRY_LATER, "too slow")
        elif self._closing is not None and now - self._closing_since > LAST_SECONDS:
            self.drop(*self._closing)
        elif self.position is not None and now - self._sent_at > HEARTBEAT_SECONDS:
            self._sent_at = now
            self.tell(HEARTBEAT)

    # Reading.

    async def _first_message(self) -> Attach | Rebased | NewSize | Shown | Take | bytes | None:
        try:
            async with asyncio.timeout(self._attach_seconds):
                message = await self._read()
        except TimeoutError:
            return None
        self._has_spoken = True
        return message

    async def _read(self) -> Attach | Rebased | NewSize | Shown | Take | bytes | None:
        message = await self._socket.receive()
        return message if isinstance(message, bytes) else read_viewer_message(message)

    def _attach(self, relay: ChannelRelay, first: object) -> None:
        attach = first if isinstance(first, Attach) else None
        self.says_acks = attach is not None
        self.client = attach.client if attach is not None else f"plain-{id(self)}"
        if self.position is None:
            self.position = ViewerPosition(relay.ring, acknowledges=self.says_acks, now=self._clock())
        self.position.acknowledges = self.says_acks
        self.position.begin(attach.have if attach is not None else None)
        relay.add_viewer(self, attach)

    async def _take(self, relay: ChannelRelay, message: object) -> None:
        match message:
            case bytes():
                await self._take_input(relay, message)
            case Shown(raw):
                assert self.position is not None
                self.position.acknowledge(raw, self._clock())
                self._wake.set()
                relay.look_at_reading()
            case Rebased(generation):
                self.ready_generation = generation
            case NewSize(columns, rows):
                relay.resize(self, columns, rows)
            case Take():
                relay.give_keyboard(self)
            case Attach():
                raise MalformedMessage("attach comes first, and once")
            case _:
                pass

    async def _take_input(self, relay: ChannelRelay, data: bytes) -> None:
        if self.says_acks:
            relay.take_input(self, data)
            return
        # A client without control messages is held back instead: it is not read while its credit is used up.
        for position in range(0, len(data), INPUT_PIECE_BYTES):
            piece = data[position : position + INPUT_PIECE_BYTES]
            await relay.wait_for_credit(self, len(piece))
            relay.take_input(self, piece)

    # Sending.

    async def _pump(self) -> None:
        relay, position = self._relay, self.position
        assert relay is not None and position is not None
        while True:
            self._may_send_now = True
            await self._wake.wait()
            self._wake.clear()
            self._may_send_now = False
            if self._unsent:
                await self._send_unsent()
                self._note_sent(relay, position)
                self._release(position)
            while True:
                while self._news:
                    await self._send(self._news.popleft())
                if relay.is_stalled:
                    break
                step = position.next_step()
                if step is None:
                    break
                self._unsent.extend(_messages_of(step))
                await self._send_unsent()
                self._note_sent(relay, position)
                self._release(position)
            self._release(position)
            if self._closing is not None and not self._news and (not self._later or position.detached):
                code, reason = self._closing
                await self._socket.close(code, reason)
                return

    async def _send_unsent(self) -> None:
        while self._unsent:
            await self._send(self._unsent.popleft())

    def _note_sent(self, relay: ChannelRelay, position: ViewerPosition) -> None:
        position.note_sent(self._clock())
        if not self.says_acks:
            relay.look_at_reading()

    def _release(self, position: ViewerPosition) -> None:
        while self._later and position.sent >= self._later[0][0]:
            self._news.append(self._later.popleft()[1])
            self._wake.set()

    async def _send(self, message: bytes | str) -> None:
        self._sending_since = self._clock()
        await self._socket.send(message)
        self._sending_since = None
        self._sent_at = self._clock()

    def _pump_ended(self, pump: asyncio.Task[None]) -> None:
        """The pump ends with the socket; an error of our own must end the viewer as well."""
        if pump.cancelled():
            return
        error = pump.exception()
        if error is not None and not isinstance(error, SocketClosed):
            log.error("viewer pump failed", exc_info=error)
            self.drop(CloseCode.INTERNAL, "")


def _messages_of(step: Step) -> Sequence[bytes | str]:
    match step:
        case Frame(data, _, True):
            return (data,)
        case Frame(data, end, _):
            return (write_message("upto", raw=end), data, write_message("at", raw=end))
        case Reset(raw):
            return (write_message("reset", raw=raw),)
        case CaughtUp():
            return (write_message("caught_up"),)
