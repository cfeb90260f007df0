"""One channel on the server: agent socket ⇄ recorder ⇄ viewers. Bytes as bytes; no database and no await on storage on the
path of a keystroke.

States: ``opening → live ⇄ away → exited → closed``, across it the record's ``ok ⇄ stalled → failed``. What follows for rows,
chains and the agent's link is told to the ``RelayOwner`` (``hub.py``), which does it. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from secrets import randbelow
from typing import Protocol

import structlog

from agents.protocol.channel_messages import (
    AgentChannelMessage,
    ChannelError,
    ChannelErrorMessage,
    ChannelResume,
    ChannelResumed,
    ChannelRevoke,
    Exit,
    Fin,
    InputAck,
    Rebase,
    Rebased,
    Resize,
)
from agents.protocol.errors import MalformedMessage
from orchestrator.core.errors import AppError
from sessions.live.agent_socket import AgentAttachment, read_resume, refuse, say_last
from sessions.live.attach import CREDIT_BYTES, SILENT_SECONDS
from sessions.live.errors import PositionRefused
from sessions.live.input_stream import InputStream, KeyboardClosed, KeyboardOpen, Order, SendInput, SendRebase
from sessions.live.ring import Ring
from sessions.live.sockets import CloseCode, Socket, SocketClosed
from sessions.live.viewer import Viewer
from sessions.live.viewer_messages import Attach, write_message
from sessions.recording.interface import ChannelRecorder, CommandRow, MarkEvent, RecorderState

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.25
LAST_WORDS_SECONDS = 0.7
"""How long the agent may still send output and exit status after its channel was revoked."""
PENDING_BYTES = 24 * 1024 * 1024
"""Received and not durable; beyond it the agent is not read (the recorder itself gives up at 32 MiB)."""
MOST_VIEWERS = 50
_INTERRUPTS = frozenset(b"\x03\x1a\x1c")
"""Ctrl-C, Ctrl-Z, Ctrl-\\: whoever presses them wants the flood to end, not to read the rest of it."""
SHOWN_LINE = 4000
"""Characters of a command line that are told to viewers; the rest is on record."""


class RelayState(StrEnum):
    """Where a channel stands; the same words as in ``channels.state``."""

    OPENING = "opening"
    LIVE = "live"
    AWAY = "away"
    EXITED = "exited"
    CLOSED = "closed"
    FAILED = "failed"


class RelayOwner(Protocol):
    """What a relay needs done that touches rows or the agent's link."""

    async def attach_channel(self, relay: ChannelRelay, resume: ChannelResume) -> ChannelRecorder:
        """The agent's first socket in this process: open the record, write the rows, fill the ring. Raises AppError, and the
        channel is closed then. Called once for each relay."""
        ...

    def channel_over(self, relay: ChannelRelay, *, exit_status: int | None, reason: str, complete: bool) -> None:
        """The channel has ended: close record and row, then call ``relay.finish``. Called once."""
        ...


class ChannelRelay:
    """One channel of this process. ``actor_name`` is the technician's."""

    def __init__(self, *, channel_id: str, session_id: str, endpoint_id: str, kind: str, columns: int, rows: int, owner: RelayOwner,
                 known_to_agent: bool, nonce: str | None = None) -> None:
        """``known_to_agent``: the channel was live in an earlier life of this process; positions are the agent's to tell."""
        self.channel_id = channel_id
        self.session_id = session_id
        self.endpoint_id = endpoint_id
        self.kind = kind
        self.columns = columns
        self.rows = rows
        self.state = RelayState.AWAY if known_to_agent else RelayState.OPENING
        self.ring = Ring(nonce=nonce)
        self.recorder: ChannelRecorder | None = None
        self.instance = ""
        self.end_reason = ""
        self.exit_status: int | None = None
        self._owner = owner
        self._input = InputStream(first_generation=1 + randbelow(2**30), applied=None if known_to_agent else 0)
        self._conn = -1
        self._agent: AgentAttachment | None = None
        self._attaching = asyncio.Lock()
        self._viewers: set[Viewer] = set()
        self._controller: Viewer | None = None
        self._keyboard_client = ""
        self._absent_from = 0
        self._absent_until = 0.0
        self._readable = asyncio.Event()
        self._credit = asyncio.Event()
        self._exit: Exit | None = None
        self._over = False
        self._is_told_over = False
        self.began = asyncio.Event()
        """Set once the record is open: the agent has attached, now or in an earlier life of this process."""
        self._finished = asyncio.Event()
        self._raw_tail = bytearray()
        self._ticker: asyncio.TimerHandle | None = None
        self._last_words: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._tick()

    # The agent's side.

    @property
    def is_attached(self) -> bool:
        return self._agent is not None

    @property
    def is_over(self) -> bool:
        """Whether the channel has ended, or is ending."""
        return self._over

    async def serve_agent(self, socket: Socket) -> None:
        """Serve a socket that came with a valid token of this channel, until it ends; closes it."""
        try:
            resume = await read_resume(socket)
        except MalformedMessage as exc:
            await refuse(socket, ChannelError.PROTOCOL, str(exc))
            return
        except (SocketClosed, TimeoutError):
            await socket.close(CloseCode.PROTOCOL, "no position was stated")
            return
        attachment = await self._attach(socket, resume)
        if attachment is None:
            return
        try:
            await attachment.run(self)
        finally:
            self._detach(attachment)
            await socket.close(CloseCode.DONE)

    async def _attach(self, socket: Socket, resume: ChannelResume) -> AgentAttachment | None:
        async with self._attaching:
            refusal = self._check_resume(resume)
            if refusal is not None:
                await refuse(socket, *refusal)
                return None
            if self._agent is not None:
                await self._agent.abandon()  # awaited: the old pump must not move a position that is being stated
            self._conn = resume.conn
            if self._finished.is_set():
                await say_last(socket, Fin())
                return None
            if self.recorder is None and not await self._begin_record(socket, resume):
                return None
            assert self.recorder is not None
            received = self.recorder.received_offset
            if not resume.out_lo <= received <= resume.out_hi:
                await refuse(socket, ChannelError.GAP, "the output that follows the record is not held any more")
                self.agent_misbehaved("the positions of the output do not fit")
                return None
            attachment = AgentAttachment(socket, clock=self._loop.time)
            try:
                orders = self._input.agent_attached(resume.applied, self._loop.time())
            except PositionRefused as exc:
                await refuse(socket, ChannelError.GAP, str(exc))
                self.agent_misbehaved(str(exc))
                return None
            self._agent = attachment
            attachment.send(ChannelResumed(output=received, input=resume.applied))
            if self.recorder.durable_offset > resume.out_lo:
                attachment.acknowledge(self.recorder.durable_offset)
            attachment.send(Resize(columns=self.columns, rows=self.rows))
            self._readable.set()
            if self._over:
                attachment.send(ChannelRevoke(reason=self.end_reason[:500]))
                return attachment
            was_away = self.state is RelayState.AWAY
            self._set_state(RelayState.LIVE)
            self._tell_all(write_message("live"))
            self._obey(orders)
            self._open_keyboard(new_controller=False)
            if was_away and self._controller is None:
                self._wait_for_controller(self.ring.end)
            return attachment

    def _check_resume(self, resume: ChannelResume) -> tuple[ChannelError, str] | None:
        if resume.agent != self.endpoint_id:
            return ChannelError.UNKNOWN, "there is no such channel"
        if self.instance and resume.instance != self.instance:
            return ChannelError.INSTANCE, "the channel belongs to another run of the agent"
        if resume.conn <= self._conn:
            return ChannelError.STALE, "a later dial is known"
        return None

    async def _begin_record(self, socket: Socket, resume: ChannelResume) -> bool:
        try:
            recorder = await self._owner.attach_channel(self, resume)
        except AppError as exc:
            log.warning("channel cannot begin", channel=self.channel_id, reason=str(exc))
            await refuse(socket, ChannelError.RECORDING, str(exc))
            self.end(str(exc), state=RelayState.FAILED)
            return False
        self.adopt_record(recorder, instance=resume.instance)
        return True

    def adopt_record(self, recorder: ChannelRecorder, *, instance: str, recorded: bytes = b"") -> None:
        """Take the channel's record: at its first socket, or after a restart before any; ``recorded`` is then its end, from
        outside of any mark."""
        self.recorder = recorder
        self.began.set()
        if recorded:
            self._raw_tail += self.ring.restore(recorded, recorder.durable_offset)
        self.instance = instance
        recorder.on_durable = self._on_durable
        recorder.on_state = self._on_record_state
        recorder.on_command = self._on_command
        recorder.on_mark_event = self._on_mark_event

    def _detach(self, attachment: AgentAttachment) -> None:
        if self._agent is not attachment:
            return
        self._agent = None
        self._input.agent_detached()
        if self._over:
            self._without_last_words()
            return
        self._set_state(RelayState.AWAY)
        self._tell_all(write_message("away"))

    async def wait_until_readable(self, attachment: AgentAttachment) -> None:
        """Return when the next message of the agent may be read: record, ring and the controller have room."""
        while not self._may_read():
            self._readable.clear()
            await self._readable.wait()
        delay = self.recorder.read_delay_seconds if self.recorder is not None else 0.0
        if delay > 0:
            await asyncio.sleep(delay)

    def _may_read(self) -> bool:
        recorder = self.recorder
        if recorder is None or self._over:
            return True
        if recorder.state is RecorderState.STALLED or recorder.received_offset - recorder.durable_offset > PENDING_BYTES:
            return False
        controller = self._controller
        if controller is None:
            return self._loop.time() >= self._absent_until or self.ring.end - self._absent_from < CREDIT_BYTES
        return controller.position is None or not controller.position.paces()

    def look_at_reading(self) -> None:
        """Something changed that the agent may be waiting for."""
        if not self._readable.is_set() and self._may_read():
            self._readable.set()

    def take_output(self, attachment: AgentAttachment, data: bytes) -> None:
        """Record output and show it. Hot."""
        recorder = self.recorder
        if recorder is None or attachment is not self._agent or self._exit is not None:
            raise PositionRefused("Output came where none can be.")
        if recorder.state is RecorderState.FAILED:
            return
        visible = recorder.append_output(data, self._loop.time())
        end = recorder.visible_offset
        if not self._raw_tail and len(visible) == len(data):
            self.ring.append(visible, data, end)
        else:
            self._raw_tail += data
            shown = end - self.ring.end
            self.ring.append(visible, bytes(self._raw_tail[:shown]), end)
            del self._raw_tail[:shown]
        if self._controller is not None:
            self._controller.show()
        for viewer in self._viewers:
            if viewer is not self._controller:
                viewer.wake()

    def take_agent_message(self, attachment: AgentAttachment, message: AgentChannelMessage) -> None:
        """Take what the agent says beside the bytes. Raises MalformedMessage, PositionRefused."""
        if attachment is not self._agent:
            return
        match message:
            case InputAck(applied):
                self._input.note_applied(applied)
                self._credit.set()
                if self._controller is not None:
                    self._controller.tell(write_message("input_ack", applied=applied))
            case Rebased(generation, applied):
                self._obey(self._input.note_rebased(generation, applied))
            case Exit():
                self._take_exit(message)
            case ChannelErrorMessage(code, reason):
                self.agent_misbehaved(f"{code}: {reason}")
            case ChannelResume():
                raise MalformedMessage("a position was stated twice")

    def _take_exit(self, message: Exit) -> None:
        assert self.recorder is not None
        if message.output != self.recorder.received_offset:
            raise PositionRefused("The machine's count of the output differs from ours.")
        if self._exit is not None:
            return
        self._exit = message
        self.exit_status = message.status
        self._input.kill()
        self._over_now(exit_status=message.status, reason=self.end_reason, complete=True)

    def agent_misbehaved(self, reason: str) -> None:
        """The stream cannot be continued: the channel ends."""
        self.end(reason, state=RelayState.FAILED)

    # The record.

    @property
    def is_stalled(self) -> bool:
        """Whether nothing may pass in either direction."""
        return self.recorder is not None and self.recorder.state is RecorderState.STALLED

    def _on_durable(self, offset: int) -> None:
        self.ring.forget(offset)
        if self._agent is not None:
            self._agent.acknowledge(offset)
        self.look_at_reading()

    def _on_record_state(self, state: RecorderState, reason: str) -> None:
        self._obey(self._input.gate(state is not RecorderState.OK))
        if state is RecorderState.FAILED:
            self.end(reason, state=RelayState.FAILED)
            return
        self._tell_all(write_message("stalled", reason=reason) if state is RecorderState.STALLED else write_message("unstalled"))
        for viewer in self._viewers:
            viewer.wake()
        self.look_at_reading()

    def _on_command(self, row: CommandRow) -> None:
        news = write_message(
            "command", number=row.number, line=row.line if row.line is None else row.line[:SHOWN_LINE], directory=row.directory,
            exit_status=row.exit_status, started_at=row.started_at.isoformat(), seconds=row.seconds, source=row.source, depth=row.depth,
            flags=list(row.flags), offset=row.offset_start, channel=self.channel_id,
        )
        for viewer in self._viewers:
            if viewer.who.sees_commands:
                viewer.tell(news)

    def _on_mark_event(self, event: MarkEvent) -> None:
        self._tell_all(write_message("marks", event=event.kind, offset=event.offset))

    # The viewers' side.

    def add_viewer(self, viewer: Viewer, attach: Attach | None) -> None:
        """A viewer has attached; its position is set. Raises PositionRefused when there are too many."""
        if len(self._viewers) >= MOST_VIEWERS:
            raise PositionRefused("Too many windows look at this channel.")
        self._viewers.add(viewer)
        assert viewer.position is not None
        viewer.tell(write_message(
            "attached", raw=viewer.position.sent, state=self.state, may_control=viewer.who.may_control, columns=self.columns,
            rows=self.rows, stalled=self.is_stalled,
        ))
        if viewer.who.may_control:
            returning = attach is not None and (attach.client == self._keyboard_client or viewer is self._controller)
            if attach is not None and (returning or not self._keyboard_client):
                self._input.adopt(attach.generation, attach.input_low, attach.input_high)
            if returning or self._controller is None or attach is None or attach.take:
                self._set_controller(viewer, is_same_page=returning)
            else:
                viewer.tell(write_message("keyboard", yours=False, by=self._controller.who.name))
        self._tell_watchers()
        if self._over:
            self._tell_end(viewer)
        if self._finished.is_set():
            viewer.close_soon(*self._last_code())
        viewer.wake()

    def remove_viewer(self, viewer: Viewer) -> None:
        """The viewer is gone."""
        if viewer not in self._viewers:
            return
        self._viewers.discard(viewer)
        if self._controller is viewer:
            self._controller = None
            if viewer.position is not None and not viewer.position.detached:
                self._wait_for_controller(viewer.position.shown)
        self._credit.set()
        self._tell_watchers()
        self.look_at_reading()

    def _wait_for_controller(self, shown: int) -> None:
        """A controller that is gone for a moment paces as a silent one does: it shall find everything it misses."""
        self._absent_from = shown
        self._absent_until = self._loop.time() + SILENT_SECONDS

    def give_keyboard(self, viewer: Viewer) -> None:
        """Another window of the leading technician wants the keyboard."""
        if viewer.who.may_control and viewer is not self._controller:
            self._set_controller(viewer, is_same_page=False)

    def _set_controller(self, viewer: Viewer, *, is_same_page: bool) -> None:
        before = self._controller
        self._controller = viewer
        self._keyboard_client = viewer.client
        if before is not None and before is not viewer:
            before.ready_generation = None
            before.tell(write_message("keyboard", yours=False, by=viewer.who.name))
        viewer.tell(write_message("keyboard", yours=True))
        self._open_keyboard(new_controller=not is_same_page)

    def _open_keyboard(self, *, new_controller: bool) -> None:
        controller = self._controller
        if controller is None or (not new_controller and controller.told_generation == self._input.generation is not None):
            return
        opened = self._input.open_keyboard(new_controller=new_controller)
        if opened is not None:
            self._tell_keyboard(opened)

    def _tell_keyboard(self, opened: KeyboardOpen) -> None:
        self._credit.set()
        if self._controller is None:
            return
        # Told once a socket and generation: bytes that are on their way already must not be sent again.
        self._controller.told_generation = opened.generation
        self._controller.ready_generation = None if self._controller.says_acks else opened.generation
        self._controller.tell(write_message("input", at=opened.at, generation=opened.generation, dropped=opened.dropped))

    def take_input(self, viewer: Viewer, data: bytes) -> None:
        """Take bytes of a viewer; only the controller's count, and only of the generation it has confirmed. Hot."""
        if viewer is not self._controller or viewer.ready_generation is None or viewer.ready_generation != self._input.generation:
            return
        orders = self._input.accept(data, self._loop.time())
        if orders:
            self._obey(orders)
        # One of these among a few bytes is a key; in a long paste it is text.
        if len(data) <= 8 and not _INTERRUPTS.isdisjoint(data) and viewer.position is not None and viewer.position.skip_ahead(self._loop.time()):
            self.look_at_reading()

    async def wait_for_credit(self, viewer: Viewer, length: int) -> None:
        """Hold back a viewer without control messages until its bytes have credit, or it is not the controller."""
        while viewer is self._controller and not self._over and not (
            self._input.is_open and viewer.ready_generation is not None and self._input.credit >= length
        ):
            self._credit.clear()
            await self._credit.wait()

    def resize(self, viewer: Viewer, columns: int, rows: int) -> None:
        """The controller's window has another size."""
        if viewer is not self._controller or (columns, rows) == (self.columns, self.rows) or self._over:
            return
        self.columns, self.rows = columns, rows
        if self.recorder is not None:
            self.recorder.append_resize(columns=columns, rows=rows, at=self._loop.time())
        if self._agent is not None:
            self._agent.send(Resize(columns=columns, rows=rows))
        for other in self._viewers:
            if other is not viewer:
                other.tell(write_message("size", columns=columns, rows=rows))

    def viewers(self) -> tuple[Viewer, ...]:
        """Everybody who looks at the moment."""
        return tuple(self._viewers)

    def _tell_watchers(self) -> None:
        names = sorted({viewer.who.name for viewer in self._viewers if not viewer.who.may_control})
        news = write_message("watchers", names=names)
        for viewer in self._viewers:
            if viewer.who.may_control:
                viewer.tell(news)

    def _tell_all(self, news: str) -> None:
        for viewer in tuple(self._viewers):
            viewer.tell(news)

    # The end.

    def end(self, reason: str, *, state: RelayState = RelayState.CLOSED) -> None:
        """End the channel: input is dead at once, the agent is told in-band, what it still says is recorded for a moment."""
        if self._over:
            return
        self._over = True
        self.end_reason = reason
        unconfirmed = self._input.kill()
        self._set_state(state)
        self._readable.set()
        self._credit.set()
        for viewer in tuple(self._viewers):
            viewer.tell(write_message("ended", reason=reason, failed=state is RelayState.FAILED, unconfirmed=unconfirmed))
        if self._agent is not None:
            self._agent.send(ChannelRevoke(reason=reason[:500]))
        self._last_words = self._loop.call_later(LAST_WORDS_SECONDS, self._without_last_words)

    def _without_last_words(self) -> None:
        if self._exit is None and not self._is_told_over:
            self._over_now(exit_status=None, reason=self.end_reason, complete=False)

    def _over_now(self, *, exit_status: int | None, reason: str, complete: bool) -> None:
        if self._last_words is not None:
            self._last_words.cancel()
        if self.state not in (RelayState.FAILED, RelayState.CLOSED):
            self._set_state(RelayState.EXITED)
        self._over = self._is_told_over = True
        self._readable.set()
        self._credit.set()
        if self._exit is not None:
            for viewer in tuple(self._viewers):
                self._tell_end(viewer)
        self._owner.channel_over(self, exit_status=exit_status, reason=reason, complete=complete)

    def _tell_end(self, viewer: Viewer) -> None:
        if self._exit is not None:
            viewer.tell_at(self.ring.end, write_message("exit", status=self.exit_status))
        elif self.end_reason:
            viewer.tell(write_message("ended", reason=self.end_reason, failed=self.state is RelayState.FAILED, unconfirmed=0))

    def finish(self) -> None:
        """Record and row are closed: the agent may forget the channel, viewers are let go when they have everything."""
        self._finished.set()
        if self.state is not RelayState.FAILED:
            self._set_state(RelayState.CLOSED)
        if self._agent is not None:
            self._agent.finish(Fin() if self.state is not RelayState.FAILED else ChannelErrorMessage(
                code=ChannelError.RECORDING, reason=self.end_reason[:500]))
        for viewer in tuple(self._viewers):
            viewer.close_soon(*self._last_code())

    def _last_code(self) -> tuple[CloseCode, str]:
        return CloseCode.OVER if self._exit is None else CloseCode.DONE, "the channel has ended"

    async def wait_finished(self) -> None:
        """Return when record and row are closed."""
        await self._finished.wait()

    async def let_go(self) -> None:
        """This process stops, or needs the channel no more: close every socket; the agent keeps the channel for its grace."""
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        for viewer in tuple(self._viewers):
            viewer.drop(CloseCode.RESTART, "the server restarts")
        if self._agent is not None:
            await self._agent.abandon()

    # Clock and orders.

    def _obey(self, orders: list[Order]) -> None:
        for order in orders:
            match order:
                case SendInput(data):
                    if self._agent is not None:
                        self._agent.send(data)
                    if self.recorder is not None:
                        self.recorder.note_input(data, self._loop.time())
                case SendRebase(generation):
                    if self._agent is not None:
                        self._agent.send(Rebase(generation=generation))
                case KeyboardOpen():
                    self._tell_keyboard(order)
                case KeyboardClosed(applied):
                    if self._controller is not None:
                        self._controller.ready_generation = None
                        self._controller.tell(write_message("not_confirmed", above=applied))

    def _tick(self) -> None:
        now = self._loop.time()
        self._ticker = self._loop.call_later(LOOK_SECONDS, self._tick)
        try:
            self._obey(self._input.look(now))
            if self._agent is not None:
                self._agent.look(now)
            for viewer in tuple(self._viewers):
                viewer.look(now)
            self.look_at_reading()
            controller = self._controller
            if controller is not None and controller.position is not None:
                if controller.position.detach_if_silent(now):
                    controller.tell(write_message("detached"))
                    self.look_at_reading()
                elif controller.position.return_if_due(now):
                    controller.wake()
        except Exception:
            log.exception("channel failed", channel=self.channel_id)
            self.end("internal error", state=RelayState.FAILED)

    def _set_state(self, state: RelayState) -> None:
        if self.state is not state:
            log.debug("channel", channel=self.channel_id, state=state)
            self.state = state
