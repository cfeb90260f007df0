"""When the record cannot be written: stalled, recovered without loss, given up; and the bounds of a record."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from sessions.recording import writer as writer_module
from sessions.recording.errors import RecordingUnavailable
from sessions.recording.interface import MEBIBYTE, RecorderLimits, RecorderState
from sessions.recording.verify import verify_recording
from tests.sessions.recording.conftest import FAST, Stage, make_opening, wait_durable, wait_until
from tests.sessions.recording.test_writer import read_raw

QUICK = RecorderLimits(batch_seconds=0.02, stalled_after_seconds=0.2, failed_after_seconds=1.0, retry_seconds=0.05)
PATIENT = replace(QUICK, failed_after_seconds=60.0)


@contextmanager
def writing_blocked(database: Database) -> Iterator[None]:
    """Hold a lock that lets nobody write recordings."""
    with database.write_engine.connect() as connection, connection.begin():
        if not database.is_sqlite:
            connection.execute(text("lock table record_contents, record_links in exclusive mode"))
        yield


@pytest.fixture
def full_disk(sqlite_settings: Settings) -> Iterator[tuple[Database, Callable[[bool], None]]]:
    """A recorder's database whose file cannot grow while it is said to be full."""
    database = Database(sqlite_settings.recordings_url, pool_size=2)

    def set_full(full: bool) -> None:
        with database.write_engine.connect() as connection:
            pages = connection.exec_driver_sql("pragma page_count").scalar_one()
            connection.exec_driver_sql(f"pragma max_page_count = {pages if full else 1_000_000}")

    yield database, set_full
    database.dispose()


def test_locked_database_stalls_the_record_and_nothing_is_lost(stage: Stage, record_database: Database) -> None:
    opening = make_opening()
    states: list[RecorderState] = []

    async def story() -> None:
        async with stage.recorder(PATIENT) as recorder:
            channel = await recorder.open_channel(opening)
            channel.on_state = lambda state, reason: states.append(state)
            with writing_blocked(record_database):
                channel.append_output(b"during", time.monotonic())
                await wait_until(lambda: channel.state is RecorderState.STALLED)
                assert channel.failure_reason
                channel.append_output(b" and more", time.monotonic())
                assert channel.durable_offset == 0
            await wait_until(lambda: channel.state is RecorderState.OK)
            await wait_durable(channel)
            assert channel.durable_offset == 15
            with record_database.read() as unit:
                assert verify_recording(unit, opening.channel_id).is_whole

    asyncio.run(story())
    assert states == [RecorderState.STALLED, RecorderState.OK]
    assert read_raw(record_database, opening.channel_id) == b"during and more"


def test_record_not_written_for_too_long_is_given_up(stage: Stage, record_database: Database) -> None:
    async def story() -> None:
        async with stage.recorder(QUICK) as recorder:
            channel = await recorder.open_channel(make_opening())
            states: list[RecorderState] = []
            channel.on_state = lambda state, reason: states.append(state)
            with writing_blocked(record_database):
                channel.append_output(b"never seen", time.monotonic())
                await wait_until(lambda: channel.state is RecorderState.FAILED)
                assert channel.append_output(b"not shown", time.monotonic()) == b""
                with pytest.raises(RecordingUnavailable):
                    await channel.close(exit_status=0, word=None)
            assert states == [RecorderState.STALLED, RecorderState.FAILED]
            assert "1 seconds" in channel.failure_reason

    asyncio.run(story())


def test_full_disk_stalls_and_goes_on_when_there_is_room(
    sqlite_stage: Stage, sqlite_records: Database, full_disk: tuple[Database, Callable[[bool], None]]
) -> None:
    database, set_full = full_disk
    opening = make_opening(marks_nonce=None)
    noise = os.urandom(65_536)

    async def story() -> None:
        async with sqlite_stage.recorder(PATIENT, database=database) as recorder:
            channel = await recorder.open_channel(opening)
            await asyncio.to_thread(set_full, True)
            for _ in range(20):
                channel.append_output(noise, time.monotonic())
            await wait_until(lambda: channel.state is RecorderState.STALLED)
            with pytest.raises(RecordingUnavailable, match="cannot be written"):
                recorder.check_room()
            # The recorder holds its connection only while it tries, so the tests can lift the bound in between.
            await asyncio.to_thread(set_full, False)
            await wait_until(lambda: channel.state is RecorderState.OK)
            recorder.check_room()
            await wait_durable(channel)
            head = await channel.close(exit_status=0, word=None)
            with sqlite_records.read() as unit:
                assert verify_recording(unit, opening.channel_id, expected_head=head.chain_head).is_whole

    asyncio.run(story())
    assert read_raw(sqlite_records, opening.channel_id) == noise * 20


def test_commit_whose_answer_was_lost_is_not_written_twice(
    stage: Stage, record_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = make_opening()
    real = writer_module.RecordWriter._write_once
    lost: list[int] = []

    def write_then_lose_the_answer(self: writer_module.RecordWriter, batches: list[writer_module.Batch]) -> None:
        real(self, batches)
        if any(batch.head.offset == 3 for batch in batches) and not lost:
            lost.append(1)
            raise writer_module.OperationalError("commit", None, OSError("connection lost"))

    monkeypatch.setattr(writer_module.RecordWriter, "_write_once", write_then_lose_the_answer)

    async def story() -> None:
        async with stage.recorder(PATIENT) as recorder:
            channel = await recorder.open_channel(opening)
            channel.append_output(b"abc", time.monotonic())
            await wait_durable(channel)
            channel.append_output(b"def", time.monotonic())
            await channel.close(exit_status=0, word=None)

    asyncio.run(story())
    assert lost
    assert read_raw(record_database, opening.channel_id) == b"abcdef"


def test_dead_thread_fails_every_channel(sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def break_down(*args: object, **values: object) -> None:
        raise MemoryError("no memory for a batch")

    async def story() -> None:
        async with sqlite_stage.recorder() as recorder:
            channel = await recorder.open_channel(make_opening())
            monkeypatch.setattr(writer_module, "prepare_batch", break_down)
            channel.append_output(b"x", time.monotonic())
            await wait_until(lambda: channel.state is RecorderState.FAILED)
            with pytest.raises(RecordingUnavailable):
                recorder.check_room()
            with pytest.raises(RecordingUnavailable):
                await channel.close(exit_status=0, word=None)

    asyncio.run(story())
    assert "the recorder has failed" in caplog.text


def test_channel_beyond_its_size_is_closed_with_the_reason_and_ends_well(sqlite_stage: Stage, sqlite_records: Database) -> None:
    opening = make_opening(marks_nonce=None)

    async def story() -> None:
        async with sqlite_stage.recorder(replace(FAST, channel_bytes=2 * MEBIBYTE)) as recorder:
            channel = await recorder.open_channel(opening)
            block = b"x" * 65_536
            taken = 0
            while channel.append_output(block, time.monotonic()):
                taken += len(block)
            assert (channel.state, taken) == (RecorderState.FAILED, channel.received_offset)
            assert "2 MiB" in channel.failure_reason
            head = await channel.close(exit_status=None, word=None, reason=channel.failure_reason)
            assert head.total_bytes == taken

    asyncio.run(story())
    with sqlite_records.read() as unit:
        assert verify_recording(unit, opening.channel_id).ended


def test_sustained_flood_is_slowed_down_after_the_burst(sqlite_stage: Stage) -> None:
    async def story() -> None:
        limits = replace(FAST, sustained_bytes_per_second=1_000_000, burst_bytes=2_000_000)
        async with sqlite_stage.recorder(limits) as recorder:
            channel = await recorder.open_channel(make_opening(marks_nonce=None))
            now = time.monotonic()
            channel.append_output(b"x" * 2_000_000, now)
            assert channel.read_delay_seconds == 0.0
            channel.append_output(b"x" * 500_000, now)
            assert channel.read_delay_seconds == pytest.approx(0.5, abs=0.05)
            channel.append_output(b"x", now + 1)
            assert channel.read_delay_seconds == 0.0

    asyncio.run(story())


def test_more_than_the_recorder_can_hold_fails_the_channel(sqlite_stage: Stage, sqlite_records: Database) -> None:
    async def story() -> None:
        async with sqlite_stage.recorder(replace(PATIENT, pending_bytes=100_000)) as recorder:
            channel = await recorder.open_channel(make_opening(marks_nonce=None))
            with writing_blocked(sqlite_records):
                assert channel.append_output(b"x" * 100_000, time.monotonic())
                channel.append_output(b"x", time.monotonic())
                assert channel.state is RecorderState.FAILED

    asyncio.run(story())


def test_no_new_session_when_the_reserve_is_reached(sqlite_stage: Stage) -> None:
    async def story() -> None:
        async with sqlite_stage.recorder(replace(FAST, reserved_disk_bytes=2**62)) as recorder:
            with pytest.raises(RecordingUnavailable, match="too little room"):
                recorder.check_room()
            with pytest.raises(RecordingUnavailable, match="too little room"):
                await recorder.open_channel(make_opening())

    asyncio.run(story())


def test_record_that_cannot_begin_is_refused(stage: Stage, record_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "OPEN_SECONDS", 0.5)

    async def story() -> None:
        async with stage.recorder(PATIENT) as recorder:
            with writing_blocked(record_database), pytest.raises(RecordingUnavailable, match="cannot be written"):
                await recorder.open_channel(make_opening())

    asyncio.run(story())
