"""The recorder: one thread with its own connection commits the batches of all channels together (remote.md 7).

The thread wakes twice a second while channels are open, or earlier when one has gathered 256 KiB, takes what waits,
prepares it (`batches.py`) and writes everything in one transaction. If that fails the same batches are tried again every
half second; heads of chains move only when COMMIT has returned. The loop is told once per commit. Seen from the loop a
record is late or given up by the age of what waits (`channel.py`), so that a commit that hangs is noticed as well.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import zstandard
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from orchestrator.core.db import Database
from orchestrator.core.errors import Unavailable
from sessions.recording.batches import Batch, PendingExit, is_written, prepare_batch, write_batches
from sessions.recording.channel import RecordedChannel
from sessions.recording.errors import RecordingUnavailable
from sessions.recording.events import EventKind, RecordedEvent
from sessions.recording.interface import ChannelOpening, CommandRow, RecorderLimits
from sessions.recording.resume import hash_stored, load_channel

COMMIT_BYTES = 8 * 1024 * 1024
"""Taken from one channel for one transaction at most, so that no transaction lasts long."""
LOOK_SECONDS = 0.25
OPEN_SECONDS = 5.0
STOP_SECONDS = 5.0

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Taken:
    """One channel's part of a transaction."""

    channel: RecordedChannel
    batch: Batch


class RecordWriter:
    """Implements `interface.Recorder`. ``database`` is for this recorder alone: its writing connection is held all the time.

    ``room`` is a folder on the disk that recordings share with the desk; None if they do not.
    """

    def __init__(self, database: Database, *, limits: RecorderLimits | None = None, room: Path | None = None) -> None:
        self._database = database
        self._limits = limits or RecorderLimits()
        self._room = room
        self._channels: dict[str, RecordedChannel] = {}
        self._jobs: deque[Callable[[], None]] = deque()
        self._wake_thread = threading.Event()
        self._stop = threading.Event()
        self._stop_by = 0.0
        self._failing = False
        self._dead = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._compressor = zstandard.ZstdCompressor(level=1)

    # On the event loop.

    def start(self) -> None:
        """Start the writer thread."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()
        self._looking = self._loop.call_later(LOOK_SECONDS, self._look)

    async def stop(self) -> None:
        """Write what waits (for at most five seconds), then end the thread."""
        if self._thread is None or self._loop is None:
            return
        if self._looking is not None:
            self._looking.cancel()
        self._stop_by = time.monotonic() + STOP_SECONDS
        self._stop.set()
        self._wake_thread.set()
        await asyncio.to_thread(self._thread.join, STOP_SECONDS + 1)
        if self._thread.is_alive():
            logger.error("the recorder could not write everything before it was stopped")
        self._thread = None

    def check_room(self) -> None:
        """Raise `RecordingUnavailable` unless a new session may be recorded."""
        if self._dead or self._thread is None or self._stop.is_set():
            raise RecordingUnavailable("The recorder does not run; no session can be opened.")
        if self._failing:
            raise RecordingUnavailable("Recordings cannot be written at the moment; no session can be opened.")
        if self._room is not None and shutil.disk_usage(self._room).free < self._limits.reserved_disk_bytes:
            raise RecordingUnavailable("There is too little room on the disk to record a session.")

    async def open_channel(self, opening: ChannelOpening) -> RecordedChannel:
        """Begin or continue a record; returns once its start is durable."""
        self.check_room()
        if opening.channel_id in self._channels:
            raise RecordingUnavailable("This channel is being recorded already.")
        try:
            channel = await asyncio.wait_for(self._in_thread(lambda: self._load(opening)), OPEN_SECONDS)
        except (SQLAlchemyError, Unavailable, TimeoutError) as exc:
            raise RecordingUnavailable("The record of the channel cannot be opened.") from exc
        if channel.head is not None:
            return channel
        self._channels[opening.channel_id] = channel
        # Without channels the thread sleeps for ever; now it must look twice a second.
        self._wake_thread.set()
        channel.begin(is_new=channel.stream.head.links == 0, at=time.monotonic())
        try:
            await asyncio.wait_for(self._until_durable(channel), OPEN_SECONDS)
        except TimeoutError as exc:
            self._channels.pop(opening.channel_id, None)
            raise RecordingUnavailable("The record of the channel cannot be written.") from exc
        return channel

    async def _finish(self, channel: RecordedChannel) -> None:
        try:
            left = self._limits.failed_after_seconds - channel.waited_seconds(time.monotonic())
            await asyncio.wait_for(self._until_durable(channel), max(1.0, left))
            if channel.stream.digest is None:
                await self._in_thread(lambda: self._hash_stored(channel))
        except (SQLAlchemyError, Unavailable, TimeoutError) as exc:
            raise RecordingUnavailable("The end of the channel could not be written to its record.") from exc
        self._channels.pop(channel.opening.channel_id, None)

    async def _until_durable(self, channel: RecordedChannel) -> None:
        """Wait until everything queued so far is durable."""
        wanted = channel.queued_items
        while channel.durable_items < wanted:
            if channel.is_refused:
                raise RecordingUnavailable(channel.failure_reason)
            await self._in_thread(lambda: None)
            # The job came after a commit, whose news reach the loop before the job's own; if not, writing fails.
            if channel.durable_items < wanted:
                await asyncio.sleep(self._limits.retry_seconds / 5)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        if self._dead or self._thread is None:
            raise RecordingUnavailable("The recorder has stopped.")
        done: Future[Result] = Future()

        def job() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(work())
            except BaseException as exc:  # noqa: BLE001 - whatever it is, it belongs to whoever asked
                done.set_exception(exc)

        self._jobs.append(job)
        self._wake_thread.set()
        return await asyncio.wrap_future(done)

    def _look(self) -> None:
        if self._loop is None or self._stop.is_set():
            return
        now = time.monotonic()
        if self._thread is None or not self._thread.is_alive():
            self._dead = True
        for channel in list(self._channels.values()):
            if self._dead:
                channel.fail("The recorder has stopped.")
            channel.look(now)
        self._looking = self._loop.call_later(LOOK_SECONDS, self._look)

    def _told(self, taken: Sequence[_Taken], taken_at: float) -> None:
        for part in taken:
            part.channel.note_durable(items=part.batch.items, offset=part.batch.head.offset, taken_at=taken_at)

    # In the thread.

    def _run(self) -> None:
        try:
            while True:
                self._wake_thread.wait(self._limits.batch_seconds if self._channels else None)
                self._wake_thread.clear()
                stopping = self._stop.is_set()
                more = self._write_waiting()
                while self._jobs:
                    self._jobs.popleft()()
                if more:
                    self._wake_thread.set()
                elif stopping:
                    return
        except Exception:
            # The end of the thread is the end of every record: the loop notices, and fails the channels.
            logger.exception("the recorder has failed")
        finally:
            self._dead = True
            self._database.dispose()
            while self._jobs:
                self._jobs.popleft()()

    def _write_waiting(self) -> bool:
        """Write what waits; True if there is more already."""
        taken_at = time.monotonic()
        taken: list[_Taken] = []
        for channel in list(self._channels.values()):
            part = self._take(channel)
            if part is not None:
                taken.append(part)
        if not taken:
            return False
        written = self._write_until_done(taken)
        for part in written:
            part.channel.stream.head = part.batch.head
        if self._loop is not None and written:
            self._loop.call_soon_threadsafe(self._told, written, taken_at)
        limit = self._limits.batch_bytes
        return any(part.channel.received_offset - part.batch.head.offset >= limit for part in written)

    def _take(self, channel: RecordedChannel) -> _Taken | None:
        queue, stream = channel.queue, channel.stream
        events: list[RecordedEvent] = []
        commands: list[CommandRow] = []
        exit: PendingExit | None = None
        items = size = 0
        for _ in range(len(queue)):
            item = queue.popleft()
            items += 1
            if isinstance(item, tuple):
                kind, microseconds, data = item
                events.append(RecordedEvent(kind, microseconds, data))
                if kind is EventKind.OUTPUT:
                    size += len(data)
                    if stream.digest is not None:
                        stream.digest.update(data)
                    if size >= COMMIT_BYTES:
                        break
            elif isinstance(item, CommandRow):
                commands.append(item)
            else:
                exit = item
        if not items:
            return None
        stream.taken_items += items
        batch = prepare_batch(
            channel_id=channel.opening.channel_id,
            session_id=channel.opening.session_id,
            head=stream.head,
            events=events,
            commands=commands,
            exit=exit,
            items=stream.taken_items,
            now=datetime.now(UTC),
            compressor=self._compressor,
        )
        return _Taken(channel, batch)

    def _write_until_done(self, taken: list[_Taken]) -> list[_Taken]:
        """Write all parts in one transaction, tried again until it is done; return those written.

        A part that the database will never take (it belongs to another writer by now) fails its channel alone.
        """
        while True:
            try:
                self._write_once([part.batch for part in taken])
            except (OperationalError, InternalError, InterfaceError, PoolTimeout) as exc:
                if not self._failing:
                    logger.error("recordings cannot be written: %s", exc)
                self._failing = True
                if self._stop.is_set() and time.monotonic() >= self._stop_by:
                    logger.error("what waited for %d channels was not written before the stop", len(taken))
                    return []
                time.sleep(self._limits.retry_seconds)
            except SQLAlchemyError as exc:
                if len(taken) > 1:
                    return [part for one in taken for part in self._write_until_done([one])]
                self._refuse(taken[0].channel, exc)
                return []
            else:
                self._failing = False
                return taken

    def _write_once(self, batches: list[Batch]) -> None:
        with self._database.write_engine.connect() as connection, connection.begin():
            # After an error it is not known whether the commit before was lost, or only its answer.
            missing = [batch for batch in batches if not (self._failing and is_written(connection, batch))]
            write_batches(connection, missing)

    def _refuse(self, channel: RecordedChannel, exc: SQLAlchemyError) -> None:
        logger.error("the record of channel %s was refused: %s", channel.opening.channel_id, exc)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(channel.refuse, "The database refuses the record of this channel.")

    def _load(self, opening: ChannelOpening) -> RecordedChannel:
        with self._database.read() as unit:
            return load_channel(unit, opening, limits=self._limits, wake=self._wake_thread.set, finish=self._finish)

    def _hash_stored(self, channel: RecordedChannel) -> None:
        with self._database.read() as unit:
            channel.stream.digest = hash_stored(unit, channel.opening.channel_id)
