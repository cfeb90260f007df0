"""One channel's record as the event loop sees it: taking output, showing what is visible, counting, bounds and state.

Nothing here blocks or touches a database. What is taken waits in a queue that the recorder's thread empties
(`writer.py`); only that thread takes from it, only the loop adds to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.audit.hashes import canonical_json
from sessions.recording.batches import PendingExit, StreamHead
from sessions.recording.commands import Change, CommandLog
from sessions.recording.errors import RecordingUnavailable
from sessions.recording.events import EventKind, encode_size
from sessions.recording.interface import (
    AgentWord,
    ChannelOpening,
    CommandRow,
    MarkEvent,
    RecorderLimits,
    RecorderState,
    RecordingHead,
)
from sessions.recording.marks import Mark, MarkParser

Queued = tuple[EventKind, int, bytes] | CommandRow | PendingExit
"""What waits to be written: an event (kind, microseconds, data), a command row, or the exit."""


@dataclass(slots=True)
class StoredStream:
    """What the recorder's thread keeps of a channel; only that thread touches it. ``digest`` is None if the record was
    begun by another process: the hash is then made from what is stored."""

    head: StreamHead
    digest: hashlib._Hash | None
    taken_items: int = 0


class RecordedChannel:
    """Implements `interface.ChannelRecorder`. Made by `writer.RecordWriter.open_channel`."""

    def __init__(
        self,
        opening: ChannelOpening,
        stream: StoredStream,
        log: CommandLog,
        parser: MarkParser | None,
        *,
        limits: RecorderLimits,
        elapsed_seconds: float,
        wake: Callable[[], None],
        finish: Callable[[RecordedChannel], Awaitable[None]],
    ) -> None:
        self.on_durable: Callable[[int], None] | None = None
        self.on_state: Callable[[RecorderState, str], None] | None = None
        self.on_command: Callable[[CommandRow], None] | None = None
        self.on_mark_event: Callable[[MarkEvent], None] | None = None
        self.opening = opening
        self.stream = stream
        self.state = RecorderState.OK
        self.failure_reason = ""
        self.durable_offset = stream.head.offset
        self.received_offset = stream.head.offset
        self.head: RecordingHead | None = None
        self.queue: deque[Queued] = deque()
        self.queued_items = 0
        self.durable_items = 0
        self.closing = False
        self.is_refused = False
        self._ended_with: int | None = None
        self._log = log
        self._parser = parser
        self._limits = limits
        self._wake = wake
        self._finish = finish
        self._started = time.monotonic() - elapsed_seconds
        self._last_microseconds = stream.head.microseconds
        self._unbatched_bytes = 0
        self._waiting_since: float | None = None
        self._level = 0.0
        self._level_at = time.monotonic()
        self._close_lock = asyncio.Lock()

    # The hot path.

    def append_output(self, data: bytes, at: float) -> bytes:
        """Take raw output and return what viewers may see of it; nothing once the channel's record has failed."""
        if self.state is RecorderState.FAILED or self.closing or not data:
            return b""
        self.received_offset += len(data)
        self._enqueue(EventKind.OUTPUT, data, at)
        self._count(len(data), at)
        parser = self._parser
        if parser is None:
            return data
        visible, marks = parser.feed(data)
        if marks:
            self._take_marks(marks, at)
        elif self._log.waits_for_start:
            self._log.note_output(visible)
        return visible

    def append_resize(self, *, columns: int, rows: int, at: float) -> None:
        """Record a new size of the terminal."""
        if self.state is not RecorderState.FAILED and not self.closing:
            self._enqueue(EventKind.RESIZE, encode_size(columns=columns, rows=rows), at)

    def note_input(self, data: bytes, at: float) -> None:
        """Input was sent; it is not recorded."""
        self._log.note_input(data, at=at - self._started)

    @property
    def visible_offset(self) -> int:
        """Raw offset up to which what is visible was given out."""
        return self.received_offset if self._parser is None else self._parser.visible_offset

    @property
    def read_delay_seconds(self) -> float:
        """How long to wait before reading more, above 0 only beyond the sustained rate."""
        excess = self._level - self._limits.burst_bytes
        return max(0.0, excess / self._limits.sustained_bytes_per_second)

    def _enqueue(self, kind: EventKind, data: bytes, at: float) -> None:
        microseconds = max(self._last_microseconds, int((at - self._started) * 1_000_000))
        self._last_microseconds = microseconds
        self._queue((kind, microseconds, data), at)

    def _queue(self, item: Queued, at: float) -> None:
        self.queue.append(item)
        self.queued_items += 1
        if self._waiting_since is None:
            self._waiting_since = at

    def _count(self, length: int, at: float) -> None:
        limits = self._limits
        self._level = max(0.0, self._level - (at - self._level_at) * limits.sustained_bytes_per_second) + length
        self._level_at = at
        self._unbatched_bytes += length
        if self._unbatched_bytes >= limits.batch_bytes:
            self._unbatched_bytes = 0
            self._wake()
        if self.received_offset > limits.channel_bytes:
            self.fail(f"The channel has produced more than {limits.channel_bytes // 1024**2} MiB, the most that is recorded of one.")
        elif self.received_offset - self.durable_offset > limits.pending_bytes:
            self.fail("More output came in than could be written to the record.")

    def _take_marks(self, marks: Sequence[Mark], at: float) -> None:
        for mark in marks:
            self._announce(self._log.take(mark, at=at - self._started), at)

    def _announce(self, changes: list[Change], at: float) -> None:
        for change in changes:
            if isinstance(change, CommandRow):
                self._queue(change, at)
                if self.on_command is not None:
                    self.on_command(change)
            elif self.on_mark_event is not None:
                self.on_mark_event(change)

    # What the recorder tells, on the loop.

    def waited_seconds(self, now: float) -> float:
        """How long the oldest thing that is not durable has waited."""
        return 0.0 if self._waiting_since is None else now - self._waiting_since

    def begin(self, *, is_new: bool, at: float) -> None:
        """Queue the start of a new record, and the first row of a shell without marks."""
        if is_new:
            opening = self.opening
            self._enqueue(
                EventKind.START,
                canonical_json(
                    {
                        "channel": opening.channel_id,
                        "columns": opening.columns,
                        "kind": opening.kind,
                        "rows": opening.rows,
                        "session": opening.session_id,
                        "shell": opening.shell,
                        "started_at": opening.started_at.isoformat(),
                    }
                ),
                at,
            )
        self._announce(self._log.begin(), at)

    def note_durable(self, *, items: int, offset: int, taken_at: float) -> None:
        """A commit returned: ``items`` in all and output up to ``offset`` are durable; younger ones came after ``taken_at``."""
        self.durable_items = items
        moved = offset > self.durable_offset
        self.durable_offset = offset
        self._waiting_since = None if items == self.queued_items else max(taken_at, self._waiting_since or taken_at)
        if self.state is RecorderState.STALLED:
            self._set_state(RecorderState.OK, "")
        if moved and self.on_durable is not None:
            self.on_durable(offset)

    def look(self, now: float) -> None:
        """Look at the clock: is the record late, are marks missing?"""
        if self.state is RecorderState.FAILED:
            return
        waited = self.waited_seconds(now)
        if waited >= self._limits.failed_after_seconds:
            self.fail(f"The record could not be written for {self._limits.failed_after_seconds:.0f} seconds.")
        elif waited >= self._limits.stalled_after_seconds and self.state is RecorderState.OK:
            self._set_state(RecorderState.STALLED, "The record cannot be written at the moment; the session waits for it.")
        if not self.closing:
            self._announce(self._log.look(at=now - self._started, offset=self.received_offset), now)

    def refuse(self, reason: str) -> None:
        """The database refuses the batches of this channel for good."""
        self.is_refused = True
        self.fail(reason)

    def fail(self, reason: str) -> None:
        """The record is given up; what was taken is still written if that becomes possible."""
        if self.state is not RecorderState.FAILED:
            self._set_state(RecorderState.FAILED, reason)

    def _set_state(self, state: RecorderState, reason: str) -> None:
        self.state = state
        self.failure_reason = reason
        if self.on_state is not None:
            self.on_state(state, reason)

    # The end.

    async def close(self, *, exit_status: int | None, word: AgentWord | None, reason: str = "") -> RecordingHead:
        """Write everything and the exit, return the head of the chain. See `interface.ChannelRecorder.close`."""
        async with self._close_lock:
            if self.head is not None:
                return self.head
            if not self.closing:
                self._queue_end(exit_status, word, reason)
            await self._finish(self)
            self.head = self._make_head(self._ended_with, None if word is None else (word.total_bytes, word.sha256_hex))
            return self.head

    def adopt_end(self, end: Mapping[str, Any]) -> None:
        """The record was closed by an earlier process; ``end`` is what its last event says."""
        self.closing = True
        agent = end["agent"]
        self.head = self._make_head(end["exit_status"], None if agent is None else (agent["bytes"], agent["sha256"]))

    def _make_head(self, exit_status: int | None, told: tuple[int, str] | None) -> RecordingHead:
        if self.stream.digest is None:
            raise RecordingUnavailable("The recording could not be read back to compare it with the agent's word.")
        head, sha256_hex = self.stream.head, self.stream.digest.hexdigest()
        return RecordingHead(
            channel_id=self.opening.channel_id,
            chain_head=head.position.hash.hex(),
            links=head.links,
            total_bytes=head.offset,
            sha256_hex=sha256_hex,
            exit_status=exit_status,
            agent_agrees=None if told is None else told == (head.offset, sha256_hex),
        )

    def _queue_end(self, exit_status: int | None, word: AgentWord | None, reason: str) -> None:
        at = time.monotonic()
        self._ended_with = exit_status
        if self._parser is not None:
            _, marks = self._parser.finish()
            self._take_marks(marks, at)
        self._announce(self._log.finish(at=at - self._started, offset=self.received_offset, exit_status=exit_status), at)
        self._enqueue(
            EventKind.END,
            canonical_json(
                {
                    "agent": None if word is None else {"bytes": word.total_bytes, "sha256": word.sha256_hex, "signature": word.signature},
                    "exit_status": exit_status,
                    "reason": reason,
                }
            ),
            at,
        )
        if exit_status is not None:
            self._queue(PendingExit(exit_status, self.received_offset), at)
        self.closing = True
