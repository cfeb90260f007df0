"""The socket of one channel, through any number of dials: attach, output with offsets, input with credit, exit as a state.

The order of messages and what the offsets mean is in protocol/channel_messages.py. Who may open a channel, and when it
must end, is decided in live_sessions.py; the process behind it is a channel kind of agents/channels.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from agents.backoff import Backoff
from agents.channels.interface import ShellChannel
from agents.dialing import DIAL_ERRORS, ServerAddress, Socket, SocketClosed, describe_failure
from agents.protocol import limits
from agents.protocol.channel_messages import (
    SERVER_CHANNEL_MESSAGES,
    AgentChannelMessage,
    ChannelError,
    ChannelErrorMessage,
    ChannelResume,
    ChannelResumed,
    ChannelRevoke,
    Exit,
    Fin,
    InputAck,
    OutputAck,
    Rebase,
    Rebased,
    Resize,
    ServerChannelMessage,
)
from agents.protocol.codec import decode_message, encode_message
from agents.protocol.errors import MalformedMessage
from agents.protocol.messages import Resume
from agents.protocol.version import CHANNEL_TOKEN_HEADER, channel_path

PING_SECONDS = 10
SEND_SECONDS = 40
WATCH_SECONDS = 5
ATTACH_SECONDS = 10
ASK_AGAIN_SECONDS = 10
ACK_DELAY_SECONDS = 0.1
ACK_AT_ONCE_BYTES = 16 * 1024
TICKET_SECONDS = 45

logger = logging.getLogger(__name__)


class ChannelOutcome(StrEnum):
    """Why a channel's socket is not dialled any more."""

    FINISHED = "finished"
    UNWANTED = "unwanted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What the channel says about itself at every attach."""

    channel_id: str
    session_id: str
    endpoint_id: str
    instance: str
    marks_nonce: str


class _ChannelGone(Exception):
    """The server has no use for this channel any more, or both sides disagree about the stream."""

    def __init__(self, outcome: ChannelOutcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


class ChannelLink:
    """Keeps one channel attached to the server until it is finished, unwanted or cancelled."""

    def __init__(
        self,
        facts: ChannelFacts,
        shell: ShellChannel,
        address: ServerAddress,
        *,
        ask_again: Callable[[], Awaitable[None]],
        on_revoke: Callable[[str], None],
    ) -> None:
        """`ask_again` asks the server for a fresh token over the control link; `on_revoke` is told of an in-band revoke."""
        self.facts = facts
        self._shell = shell
        self._address = address
        self._ask_again = ask_again
        self._on_revoke = on_revoke
        self._ticket: tuple[Resume, float] | None = None
        self._given_up = False
        self._ticket_offered = asyncio.Event()
        self._conn = 0
        self.attached = asyncio.Event()
        self._socket: Socket | None = None

    def offer(self, ticket: Resume, *, dial_again: bool = False) -> None:
        """Take a fresh one-time token; the newest wins. `dial_again` gives up a socket that may be half-open."""
        self._ticket = (ticket, time.monotonic())
        self._ticket_offered.set()
        if dial_again and self._socket is not None:
            self._socket.transport.abort()

    def give_up(self) -> None:
        """The server does not name this channel any more: stop dialling, drop the socket."""
        self._given_up = True
        self._ticket_offered.set()
        if self._socket is not None:
            self._socket.transport.abort()

    async def run(self) -> ChannelOutcome:
        """Dial, attach and pump until the channel is over. Cancelling it closes the socket; the process is not touched."""
        backoff = Backoff(first_seconds=0.05, cap_seconds=2)
        while True:
            try:
                ticket = await self._take_ticket()
                self._conn += 1
                await self._dial_and_attend(ticket, backoff)
            except _ChannelGone as exc:
                logger.info("channel %s: %s", self.facts.channel_id, exc)
                return exc.outcome
            except DIAL_ERRORS as exc:
                logger.info("channel %s: %s", self.facts.channel_id, describe_failure(exc))
            except MalformedMessage as exc:
                logger.warning("channel %s: the server sent what we do not accept: %s", self.facts.channel_id, exc)
            await asyncio.sleep(backoff.next_seconds())

    async def _take_ticket(self) -> Resume:
        while True:
            if self._given_up:
                raise _ChannelGone(ChannelOutcome.UNWANTED, "the server does not name this channel any more")
            if self._ticket is not None:
                ticket, offered = self._ticket
                self._ticket = None
                self._ticket_offered.clear()
                if time.monotonic() - offered < TICKET_SECONDS:
                    return ticket
            await self._ask_again()
            try:
                async with asyncio.timeout(ASK_AGAIN_SECONDS):
                    await self._ticket_offered.wait()
            except TimeoutError:
                continue

    async def _dial_and_attend(self, ticket: Resume, backoff: Backoff) -> None:
        socket = await self._address.dial(
            channel_path(ticket.label, self.facts.channel_id),
            longest_message=limits.CHANNEL_BINARY_BYTES,
            headers={CHANNEL_TOKEN_HEADER: ticket.token},
            ping_seconds=PING_SECONDS,
        )
        self._socket = socket
        try:
            output = await self._attach(socket)
            backoff.reset()
            self.attached.set()
            await _Attachment(self._shell, socket, output, self._on_revoke).run()
        except MalformedMessage:
            await _say_error(socket, ChannelError.PROTOCOL, "message is not understood")
            raise
        except BaseExceptionGroup as group:
            error = _most_telling(group)
            if isinstance(error, MalformedMessage):
                await _say_error(socket, ChannelError.PROTOCOL, "message is not understood")
            raise error from None
        finally:
            self._socket = None
            self.attached.clear()
            await _close(socket)

    async def _attach(self, socket: Socket) -> int:
        """Tell where we stand and return the offset at which output goes on."""
        stream, shell, facts = self._shell.output, self._shell, self.facts
        stated = ChannelResume(
            agent=facts.endpoint_id,
            instance=facts.instance,
            conn=self._conn,
            out_lo=stream.low,
            out_hi=stream.high,
            applied=shell.input_applied,
            marks_nonce=facts.marks_nonce,
            shell=shell.shell[:200],
            marked=shell.marked,
        )
        async with asyncio.timeout(ATTACH_SECONDS):
            await socket.send(encode_message(stated))
            answer = _read(await socket.recv())
        match answer:
            case ChannelResumed() if stated.out_lo <= answer.output <= stated.out_hi and answer.input == stated.applied:
                return answer.output
            case ChannelResumed():
                await _say_error(socket, ChannelError.GAP, "positions of the stream do not fit")
                raise _ChannelGone(ChannelOutcome.FAILED, "the server wants bytes that are not held")
            case Fin():
                raise _ChannelGone(ChannelOutcome.FINISHED, "everything is on record")
            case ChannelRevoke():
                self._on_revoke(answer.reason)
                raise _ChannelGone(ChannelOutcome.UNWANTED, answer.reason)
            case ChannelErrorMessage(code=ChannelError.STALE):
                raise MalformedMessage("the server knows a later dial of this channel")
            case ChannelErrorMessage():
                raise _ChannelGone(ChannelOutcome.UNWANTED, f"the server refuses: {answer.reason}")
            case _:
                raise MalformedMessage("the server did not answer with a position")


class _Attachment:
    """One attached socket: reads it always, sends output, applies input. Ends with an exception, in every case."""

    def __init__(self, shell: ShellChannel, socket: Socket, output: int, on_revoke: Callable[[str], None]) -> None:
        self._shell = shell
        self._socket = socket
        self._sent = output
        self._on_revoke = on_revoke
        self._received = shell.input_applied
        self._acknowledged = shell.input_applied
        self._pending = bytearray()
        self._input_waits = asyncio.Event()
        self._applied_more = asyncio.Event()
        self._applying: asyncio.Task[None] | None = None
        self._writing = False
        self._sending_since: float | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_output())
            group.create_task(self._watch_sending())
            group.create_task(self._acknowledge_input())
            self._applying = group.create_task(self._apply_input())
            while True:
                frame = await self._socket.recv()
                if isinstance(frame, bytes):
                    self._take_input(frame)
                else:
                    await self._take_message(_read(frame), group)

    def _take_input(self, data: bytes) -> None:
        self._received += len(data)
        if self._received - self._shell.input_applied > limits.INPUT_CREDIT_BYTES:
            raise MalformedMessage("more input than the credit allows")
        if not self._pending and not self._writing:
            # A key goes straight to the terminal: the way over the task costs a turn of the loop.
            taken = self._shell.write_now(data)
            if taken:
                self._applied_more.set()
            if taken == len(data):
                return
            data = data[taken:]
        self._pending += data
        self._input_waits.set()

    async def _take_message(self, message: ServerChannelMessage, group: asyncio.TaskGroup) -> None:
        match message:
            case OutputAck():
                if message.output > self._sent:
                    raise MalformedMessage("the server acknowledges output that was not sent")
                self._shell.output.acknowledge(message.output)
            case Resize():
                self._shell.resize(message.columns, message.rows)
            case Rebase():
                await self._rebase(message.generation, group)
            case ChannelRevoke():
                self._on_revoke(message.reason)
            case Fin():
                raise _ChannelGone(ChannelOutcome.FINISHED, "everything is on record")
            case ChannelErrorMessage(code=ChannelError.STALE):
                raise MalformedMessage("the server knows a later dial of this channel")
            case ChannelErrorMessage():
                raise _ChannelGone(ChannelOutcome.UNWANTED, f"the server ends the channel: {message.reason}")
            case ChannelResumed():
                raise MalformedMessage("a position was stated twice")

    async def _send_output(self) -> None:
        stream = self._shell.output
        while True:
            await stream.wait_beyond(self._sent)
            data = stream.read_from(self._sent, limits.OUTPUT_FRAME_BYTES)
            if not data:
                break
            # Counted before it is sent: the acknowledgement may be read before `send` returns.
            self._sent += len(data)
            self._sending_since = time.monotonic()
            await self._socket.send(data)
            self._sending_since = None
        status = await self._shell.wait_exit()
        await self._say(Exit(status=status, output=self._sent))

    async def _watch_sending(self) -> None:
        """Give the socket up when output does not pass; a time limit around every send would cost more than the send."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._sending_since is not None and time.monotonic() - self._sending_since > SEND_SECONDS:
                raise TimeoutError("the server does not take output")

    async def _apply_input(self) -> None:
        while True:
            await self._input_waits.wait()
            self._input_waits.clear()
            while self._pending:
                data = bytes(self._pending)
                self._pending.clear()
                self._writing = True
                try:
                    await self._shell.write_input(data)
                finally:
                    self._writing = False
                self._applied_more.set()

    async def _acknowledge_input(self) -> None:
        while True:
            await self._applied_more.wait()
            if self._shell.input_applied - self._acknowledged < ACK_AT_ONCE_BYTES:
                await asyncio.sleep(ACK_DELAY_SECONDS)
            self._applied_more.clear()
            applied = self._shell.input_applied
            if applied > self._acknowledged:
                self._acknowledged = applied
                await self._say(InputAck(applied=applied))

    async def _rebase(self, generation: int, group: asyncio.TaskGroup) -> None:
        """Forget input that was received and not applied, and say where the stream of input stands now."""
        if self._applying is not None:
            self._applying.cancel()
            await asyncio.wait((self._applying,))
        self._pending.clear()
        self._input_waits.clear()
        self._received = self._acknowledged = self._shell.input_applied
        self._applying = group.create_task(self._apply_input())
        await self._say(Rebased(generation=generation, applied=self._received))

    async def _say(self, message: AgentChannelMessage) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await self._socket.send(encode_message(message))


def _read(frame: str | bytes) -> ServerChannelMessage:
    if isinstance(frame, bytes):
        raise MalformedMessage("bytes came before a position was stated")
    return decode_message(frame, SERVER_CHANNEL_MESSAGES, longest_bytes=limits.CHANNEL_TEXT_BYTES)


def _most_telling(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that says most about why a socket is over: the end of the channel before what followed from it."""
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves.append(_most_telling(error) if isinstance(error, BaseExceptionGroup) else error)
    expected = (SocketClosed, OSError, TimeoutError)
    return min(leaves, key=lambda error: 0 if isinstance(error, _ChannelGone) else 2 if isinstance(error, expected) else 1)


async def _say_error(socket: Socket, code: ChannelError, reason: str) -> None:
    try:
        async with asyncio.timeout(2):
            await socket.send(encode_message(ChannelErrorMessage(code=code, reason=reason)))
    except (SocketClosed, OSError, TimeoutError):
        return


async def _close(socket: Socket) -> None:
    """Close within the library's limit; never waits for a peer that is gone."""
    try:
        await socket.close()
    except (SocketClosed, OSError):
        socket.transport.abort()
