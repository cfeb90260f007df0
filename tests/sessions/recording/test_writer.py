"""The recorder on both databases: what is durable, what is announced, how a record goes on and how it ends."""

from __future__ import annotations

import asyncio
import hashlib
import time

import pytest
from sqlalchemy import select

from orchestrator.core.db import Database
from sessions.recording.errors import RecordingUnavailable
from sessions.recording.interface import AgentWord, CommandRow, CommandSource, MarkEvent, MarkEventKind, RecorderLimits, RecorderState
from sessions.recording.models import RecordedExit, RecordLink
from sessions.recording.queries import list_command_values, list_commands
from sessions.recording.replay import iterate_raw
from sessions.recording.verify import verify_recording
from tests.sessions.recording.conftest import Stage, make_opening, mark, wait_durable, wait_until


def read_raw(database: Database, channel_id: str) -> bytes:
    with database.read() as unit:
        return b"".join(iterate_raw(unit, channel_id))


def test_output_is_durable_announced_and_read_back(stage: Stage, record_database: Database) -> None:
    opening = make_opening()
    told: list[int] = []

    async def story() -> None:
        async with stage.recorder() as recorder:
            channel = await recorder.open_channel(opening)
            channel.on_durable = told.append
            assert channel.append_output(b"hello ", time.monotonic()) == b"hello "
            assert channel.durable_offset == 0
            channel.append_resize(columns=100, rows=30, at=time.monotonic())
            channel.append_output(b"world", time.monotonic())
            await wait_durable(channel)
            assert channel.durable_offset == channel.received_offset == 11
            assert read_raw(record_database, opening.channel_id) == b"hello world"

    asyncio.run(story())
    assert told[-1] == 11
    assert told == sorted(set(told))


def test_close_returns_the_head_that_verifies_and_the_agents_word_is_compared(stage: Stage, record_database: Database) -> None:
    opening = make_opening()
    right = AgentWord(6, hashlib.sha256(b"output").hexdigest(), "signature")

    async def story() -> None:
        async with stage.recorder() as recorder:
            channel = await recorder.open_channel(opening)
            channel.append_output(b"output", time.monotonic())
            head = await channel.close(exit_status=3, word=right)
            assert (head.total_bytes, head.sha256_hex, head.exit_status, head.agent_agrees) == (6, right.sha256_hex, 3, True)
            assert await channel.close(exit_status=9, word=None) == head
            assert channel.append_output(b"late", time.monotonic()) == b""
            for word, agrees in ((None, None), (AgentWord(7, right.sha256_hex, ""), False), (AgentWord(0, "00", ""), False)):
                other = await recorder.open_channel(make_opening())
                assert (await other.close(exit_status=None, word=word, reason="agent lost")).agent_agrees is agrees
            with record_database.read() as unit:
                report = verify_recording(unit, opening.channel_id, expected_head=head.chain_head, expected_links=head.links)
                assert report.is_whole
                assert report.ended
                assert (report.sha256_hex, report.total_bytes) == (head.sha256_hex, 6)
                exits = unit.db.scalars(select(RecordedExit)).all()
                assert [(row.channel_id, row.status, row.output_bytes) for row in exits] == [(opening.channel_id, 3, 6)]

    asyncio.run(story())


def test_command_rows_are_written_open_and_completed(stage: Stage, record_database: Database) -> None:
    opening = make_opening()
    seen: list[CommandRow] = []
    events: list[MarkEvent] = []

    async def story() -> None:
        async with stage.recorder() as recorder:
            channel = await recorder.open_channel(opening)
            channel.on_command, channel.on_mark_event = seen.append, events.append
            now = time.monotonic()
            first = mark("A;0;/home")
            assert channel.append_output(first + b"$ ", now) == b"$ "
            start = mark("C;1;10.5;/home;7;echo hi;0")
            assert channel.append_output(b"echo hi\r\n" + start[:20], now) == b"echo hi\r\n"
            assert channel.visible_offset == channel.received_offset - 20
            assert channel.append_output(start[20:] + b"hi\r\n", now + 1) == b"hi\r\n"
            await wait_durable(channel)
            with record_database.read() as unit:
                (row,) = list_commands(unit, session_id=opening.session_id)
                assert (row.line, row.exit_status, row.offset_end, row.seconds) == ("echo hi", None, None, None)
            channel.append_output(mark("D;1;0;10.75;/tmp"), now + 2)
            await wait_durable(channel)
            with record_database.read() as unit:
                (row,) = list_commands(unit, channel_id=opening.channel_id)
                assert (row.line, row.exit_status, row.seconds, row.directory, row.directory_after) == ("echo hi", 0, 0.25, "/home", "/tmp")
                assert read_raw(record_database, opening.channel_id)[row.offset_start : row.offset_end] == b"hi\r\n"
                assert list_command_values(unit, opening.channel_id) == seen[-1:]
            await channel.close(exit_status=0, word=None)

    asyncio.run(story())
    assert [row.offset_end is None for row in seen] == [True, False]
    assert [event.kind for event in events] == [MarkEventKind.ON]


def test_shell_without_marks_has_one_unmarked_row(stage: Stage, record_database: Database) -> None:
    opening = make_opening(marks_nonce=None, shell="dash")

    async def story() -> None:
        async with stage.recorder() as recorder:
            channel = await recorder.open_channel(opening)
            data = b"$ " + mark("C;1;1;/;2;ls;0")
            assert channel.append_output(data, time.monotonic()) is data
            await channel.close(exit_status=0, word=None)

    asyncio.run(story())
    with record_database.read() as unit:
        (row,) = list_commands(unit, channel_id=opening.channel_id)
    assert (row.source, row.line, row.shell, row.offset_start) == (CommandSource.UNMARKED, None, "dash", 0)
    assert row.offset_end is not None


def test_record_goes_on_after_the_process_that_began_it(stage: Stage, record_database: Database) -> None:
    opening = make_opening()
    start = mark("C;1;10.5;/;8;sleep 60;0")

    async def first() -> int:
        async with stage.recorder() as recorder:
            channel = await recorder.open_channel(opening)
            channel.append_output(mark("A;0;/") + b"$ " + start + b"out" + mark("D;1;0;11;/")[:30], time.monotonic())
            await wait_durable(channel)
            return channel.durable_offset

    async def second(durable: int) -> None:
        async with stage.recorder() as recorder:
            channel = await recorder.open_channel(opening)
            assert channel.durable_offset == channel.received_offset == durable
            assert channel.visible_offset == durable - 30
            rows: list[CommandRow] = []
            events: list[MarkEvent] = []
            channel.on_command, channel.on_mark_event = rows.append, events.append
            assert channel.append_output(mark("D;1;0;11;/")[30:] + b"rest", time.monotonic()) == b"rest"
            assert [(row.number, row.line, row.exit_status) for row in rows] == [(1, "sleep 60", 0)]
            assert channel.append_output(start, time.monotonic()) == b""
            assert [event.kind for event in events] == [MarkEventKind.REPLAYED]
            head = await channel.close(exit_status=0, word=None)
            raw = read_raw(record_database, opening.channel_id)
            assert raw == mark("A;0;/") + b"$ " + start + b"out" + mark("D;1;0;11;/") + b"rest" + start
            assert head.sha256_hex == hashlib.sha256(raw).hexdigest()
            with record_database.read() as unit:
                assert verify_recording(unit, opening.channel_id, expected_head=head.chain_head).is_whole

    durable = asyncio.run(first())
    asyncio.run(second(durable))


def test_record_that_was_closed_stays_closed(stage: Stage, record_database: Database) -> None:
    opening = make_opening()

    async def story() -> None:
        async with stage.recorder() as recorder:
            channel = await recorder.open_channel(opening)
            channel.append_output(b"output", time.monotonic())
            word = AgentWord(6, hashlib.sha256(b"output").hexdigest(), "signature")
            head = await channel.close(exit_status=3, word=word)
        async with stage.recorder() as recorder:
            for _ in range(2):
                again = await recorder.open_channel(opening)
                assert again.head == head
                assert again.append_output(b"more", time.monotonic()) == b""
                assert await again.close(exit_status=None, word=None, reason="lost") == head
        assert read_raw(record_database, opening.channel_id) == b"output"

    asyncio.run(story())


def test_two_writers_of_one_channel_fence_each_other(stage: Stage, record_database: Database) -> None:
    opening = make_opening()

    async def story() -> None:
        async with stage.recorder() as one, stage.recorder() as two:
            first = await one.open_channel(opening)
            other = await one.open_channel(make_opening())
            second = await two.open_channel(opening)
            states: list[tuple[RecorderState, str]] = []
            first.on_state = lambda state, reason: states.append((state, reason))
            second.append_output(b"newer", time.monotonic())
            await wait_durable(second)
            first.append_output(b"older", time.monotonic())
            other.append_output(b"apart", time.monotonic())
            await wait_until(lambda: first.state is RecorderState.FAILED)
            assert "refuses" in states[-1][1]
            with pytest.raises(RecordingUnavailable):
                await first.close(exit_status=0, word=None)
            await wait_durable(other)
            assert other.state is RecorderState.OK
            second.append_output(b" still", time.monotonic())
            await wait_durable(second)
            assert read_raw(record_database, opening.channel_id) == b"newer still"

    asyncio.run(story())


def test_all_channels_share_a_commit(stage: Stage, record_database: Database) -> None:
    openings = [make_opening() for _ in range(20)]

    async def story() -> None:
        async with stage.recorder(RecorderLimits(batch_seconds=0.2)) as recorder:
            channels = await asyncio.gather(*(recorder.open_channel(opening) for opening in openings))
            for _ in range(10):
                for channel in channels:
                    channel.append_output(b"x" * 100, time.monotonic())
            for channel in channels:
                await wait_durable(channel)
        with record_database.read() as unit:
            moments = set(unit.db.scalars(select(RecordLink.recorded_at).where(RecordLink.offset_end == 1000)))
            links = unit.db.scalars(select(RecordLink).where(RecordLink.offset_end > 0)).all()
        assert len(links) <= 40
        assert (max(moments) - min(moments)).total_seconds() < 0.15

    asyncio.run(story())


def test_gathered_batch_is_written_before_the_timer(stage: Stage) -> None:
    async def story() -> None:
        async with stage.recorder(RecorderLimits(batch_seconds=60)) as recorder:
            channel = await recorder.open_channel(make_opening())
            channel.append_output(b"x" * 300_000, time.monotonic())
            await wait_until(lambda: channel.durable_offset == 300_000, seconds=5)

    asyncio.run(story())


def test_large_output_is_cut_into_contents_and_is_whole(stage: Stage, record_database: Database) -> None:
    opening = make_opening()
    block = hashlib.sha256(b"seed").digest() * 2048

    async def story() -> str:
        async with stage.recorder() as recorder:
            channel = await recorder.open_channel(opening)
            for _ in range(200):
                channel.append_output(block, time.monotonic())
            head = await channel.close(exit_status=0, word=None)
        return head.sha256_hex

    sha256_hex = asyncio.run(story())
    raw = read_raw(record_database, opening.channel_id)
    assert raw == block * 200
    assert hashlib.sha256(raw).hexdigest() == sha256_hex
    with record_database.read() as unit:
        report = verify_recording(unit, opening.channel_id)
    assert report.is_whole
    assert report.links > 10


def test_stop_writes_what_waits(stage: Stage, record_database: Database) -> None:
    opening = make_opening()

    async def story() -> None:
        async with stage.recorder(RecorderLimits(batch_seconds=60)) as recorder:
            channel = await recorder.open_channel(opening)
            channel.append_output(b"last words", time.monotonic())
        with pytest.raises(RecordingUnavailable):
            await recorder.open_channel(make_opening())

    asyncio.run(story())
    assert read_raw(record_database, opening.channel_id) == b"last words"
