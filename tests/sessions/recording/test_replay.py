"""Reading back: from an offset, from a moment, the tail for a new window, the cast, and what verification names."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from orchestrator.core.db import Database
from orchestrator.core.ids import new_id
from sessions.recording.cast import iterate_cast
from sessions.recording.errors import RecordingDamaged
from sessions.recording.events import EventKind
from sessions.recording.interface import RecordingHead
from sessions.recording.models import RecordContent, RecordedExit, RecordErasure, RecordLink
from sessions.recording.replay import iterate_events, iterate_visible, read_missing, read_tail
from sessions.recording.verify import RecordingProblem, verify_recording
from tests.sessions.recording.conftest import NONCE, Stage, make_opening, mark, wait_durable

PIECES = [mark("A;0;/"), b"$ ls\r\n", mark("C;1;;/;2;ls;0"), b"one\r\n\xc3", b"\xbc two\r\n\xff", mark("D;1;0;;/"), mark("A;1;/"), b"$ "]
VISIBLE = b"$ ls\r\none\r\n\xc3\xbc two\r\n\xff$ "


def record(stage: Stage, channel_id: str, pieces: list[bytes], *, each_in_a_batch: bool = True) -> RecordingHead:
    """Record pieces one second apart, with a resize in the middle."""

    async def story() -> RecordingHead:
        async with stage.recorder() as recorder:
            channel = await recorder.open_channel(make_opening(channel_id=channel_id))
            now = time.monotonic()
            for number, piece in enumerate(pieces):
                channel.append_output(piece, now + number)
                if number == 3:
                    channel.append_resize(columns=120, rows=40, at=now + number)
                if each_in_a_batch:
                    await wait_durable(channel)
            return await channel.close(exit_status=0, word=None)

    return asyncio.run(story())


def test_replay_starts_anywhere(stage: Stage, record_database: Database) -> None:
    channel_id = new_id()
    record(stage, channel_id, PIECES)
    raw = b"".join(PIECES)
    with record_database.read() as unit:
        for offset in range(len(raw) + 1):
            assert (
                b"".join(p.event.data for p in iterate_events(unit, channel_id, from_offset=offset) if p.event.kind is EventKind.OUTPUT)
                == raw[offset:]
            )
        placed = list(iterate_events(unit, channel_id))
        assert [p.event.kind for p in placed].count(EventKind.RESIZE) == 1
        assert (placed[0].event.kind, placed[-1].event.kind) == (EventKind.START, EventKind.END)
        assert json.loads(placed[0].event.data)["channel"] == channel_id
        moment = placed[5].event.seconds
        late = list(iterate_events(unit, channel_id, from_seconds=moment))
        assert late == [p for p in placed if p.event.seconds >= moment]
        assert 0 < len(late) < len(placed)
        assert b"".join(p.event.data for p in iterate_visible(unit, channel_id, nonce=NONCE) if p.event.kind is EventKind.OUTPUT) == VISIBLE


def test_tail_begins_at_a_line_and_shows_no_mark(stage: Stage, record_database: Database) -> None:
    channel_id = new_id()
    record(stage, channel_id, PIECES)
    raw = b"".join(PIECES)
    with record_database.read() as unit:
        whole = read_tail(unit, channel_id, nonce=NONCE)
        assert (whole.visible, whole.offset_start, whole.offset_end) == (VISIBLE, 0, len(raw))
        for tail_bytes in range(1, len(raw)):
            history = read_tail(unit, channel_id, nonce=NONCE, tail_bytes=tail_bytes)
            assert VISIBLE.endswith(history.visible)
            assert history.offset_end == len(raw)
            assert history.offset_start >= len(raw) - tail_bytes
        empty = read_tail(unit, new_id(), nonce=NONCE)
        assert (empty.visible, empty.offset_end) == (b"", 0)
        missing = read_missing(unit, channel_id, nonce=NONCE, from_offset=len(PIECES[0]) + 2)
        assert missing.visible == VISIBLE[2:]


def test_mark_that_has_only_begun_is_left_for_what_follows(stage: Stage, record_database: Database) -> None:
    channel_id = new_id()
    record(stage, channel_id, [b"text", mark("A;0;/")[:25]])
    with record_database.read() as unit:
        history = read_tail(unit, channel_id, nonce=NONCE)
    assert (history.visible, history.offset_end) == (b"text", 4)


def test_cast_is_valid_and_replaces_what_is_no_text(stage: Stage, record_database: Database) -> None:
    channel_id = new_id()
    record(stage, channel_id, PIECES)
    started_at = datetime(2026, 11, 23, 9, tzinfo=UTC)
    with record_database.read() as unit:
        lines = list(iterate_cast(unit, channel_id, nonce=NONCE, columns=80, rows=24, started_at=started_at, title="A session"))
    header, *events = [json.loads(line) for line in lines]
    assert header == {
        "version": 2, "width": 80, "height": 24, "timestamp": int(started_at.timestamp()), "env": {"TERM": "xterm-256color"},
        "title": "A session",
    }  # fmt: skip
    assert "".join(data for _, code, data in events if code == "o") == "$ ls\r\none\r\nü two\r\n\ufffd$ "
    assert [data for _, code, data in events if code == "r"] == ["120x40"]
    assert [seconds for seconds, _, _ in events] == sorted(seconds for seconds, _, _ in events)
    assert NONCE not in "".join(lines)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=10))
def test_any_bytes_are_recorded_exactly_and_make_a_cast(sqlite_stage: Stage, sqlite_records: Database, pieces: list[bytes]) -> None:
    channel_id = new_id()
    record(sqlite_stage, channel_id, pieces, each_in_a_batch=False)
    with sqlite_records.read() as unit:
        assert b"".join(p.event.data for p in iterate_events(unit, channel_id) if p.event.kind is EventKind.OUTPUT) == b"".join(pieces)
        lines = list(iterate_cast(unit, channel_id, nonce=None, columns=80, rows=24, started_at=datetime.now(UTC)))
        assert "".join(json.loads(line)[2] for line in lines[1:] if '"o"' in line) == b"".join(pieces).decode("utf-8", "replace")


# Tampering: as whoever owns the database file can, with the triggers out of the way.

TRIGGERS = ("record_contents_no_update", "record_links_no_update", "record_links_no_delete", "record_contents_erased_only")


def tamper(database: Database, *statements: object) -> None:
    with database.write_engine.begin() as connection:
        for name in TRIGGERS:
            table = name.split("_no_")[0].removesuffix("_erased_only")
            connection.execute(text(f"drop trigger {name}" + ("" if database.is_sqlite else f" on {table}")))
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]  # any statement of a test


def test_whole_recording_verifies_against_its_head(stage: Stage, record_database: Database) -> None:
    channel_id = new_id()
    head = record(stage, channel_id, PIECES)
    with record_database.read() as unit:
        report = verify_recording(unit, channel_id, expected_head=head.chain_head, expected_links=head.links)
        assert (report.is_whole, report.ended, report.erased, report.head.hex()) == (True, True, 0, head.chain_head)
        wrong = verify_recording(unit, channel_id, expected_head="00" * 32)
        assert (wrong.first_bad_seq, wrong.problem) == (head.links, RecordingProblem.HEAD_DIFFERS)


@pytest.mark.parametrize(
    ("change", "bad_seq", "problem"),
    [
        ("payload", 4, RecordingProblem.CONTENT_EDITED),
        ("salt", 4, RecordingProblem.CONTENT_EDITED),
        ("encoding", 4, RecordingProblem.LINK_EDITED),
        ("offset", 4, RecordingProblem.LINK_EDITED),
        ("time", 4, RecordingProblem.LINK_EDITED),
        ("hash", 4, RecordingProblem.LINK_EDITED),
        ("content gone", 4, RecordingProblem.CONTENT_DELETED),
        ("link gone", 4, RecordingProblem.MISSING),
        ("tail cut", None, RecordingProblem.CUT),
        ("all gone", 1, RecordingProblem.CUT),
    ],
)
def test_touched_recording_names_the_first_bad_link(
    sqlite_stage: Stage, sqlite_records: Database, change: str, bad_seq: int | None, problem: RecordingProblem
) -> None:
    channel_id = new_id()
    head = record(sqlite_stage, channel_id, PIECES)
    content, link = RecordContent, RecordLink
    of_content = (content.channel_id == channel_id, content.seq == 4)
    of_link = (link.channel_id == channel_id, link.seq == 4)
    bad_seq = head.links if bad_seq is None else bad_seq
    statements: dict[str, list[object]] = {
        "payload": [update(content).where(*of_content).values(payload=b"\x01" + bytes(8) + b"\0\0\0\x01x")],
        "salt": [update(content).where(*of_content).values(salt=bytes(16))],
        "encoding": [update(content).where(*of_content).values(encoding="zstd")],
        "offset": [update(link).where(*of_link).values(offset_end=link.offset_end + 1)],
        "time": [update(link).where(*of_link).values(time_end=link.time_end + 1)],
        "hash": [update(link).where(*of_link).values(hash=bytes(32))],
        "content gone": [delete(content).where(*of_content)],
        "link gone": [delete(link).where(*of_link)],
        "tail cut": [delete(link).where(link.channel_id == channel_id, link.seq == head.links)],
        "all gone": [delete(link).where(link.channel_id == channel_id)],
    }
    tamper(sqlite_records, *statements[change])
    with sqlite_records.read() as unit:
        report = verify_recording(unit, channel_id, expected_head=head.chain_head, expected_links=head.links)
    assert (report.first_bad_seq, report.problem, report.sha256_hex) == (bad_seq, problem, "")


def test_damaged_content_is_named_when_it_is_replayed(stage: Stage, record_database: Database) -> None:
    channel_id = new_id()
    record(stage, channel_id, PIECES)
    with record_database.read() as unit:
        assert list(iterate_events(unit, channel_id))
    tamper(
        record_database, update(RecordContent).where(RecordContent.channel_id == channel_id, RecordContent.seq == 4).values(payload=b"junk")
    )
    with record_database.read() as unit, pytest.raises(RecordingDamaged, match="Part 4"):
        list(iterate_events(unit, channel_id))


def test_erased_content_leaves_a_chain_that_verifies(stage: Stage, record_database: Database) -> None:
    channel_id = new_id()
    head = record(stage, channel_id, PIECES)
    with record_database.write() as unit:
        unit.db.add(RecordErasure(channel_id=channel_id, seq=4, reason="holds a password", actor_name="Lead", happened_at=unit.now))
        unit.db.flush()
        unit.db.execute(delete(RecordContent).where(RecordContent.channel_id == channel_id, RecordContent.seq == 4))
    with record_database.read() as unit:
        report = verify_recording(unit, channel_id, expected_head=head.chain_head, expected_links=head.links)
        assert (report.is_whole, report.erased, report.sha256_hex) == (True, 1, "")
        assert list(iterate_events(unit, channel_id))
    tamper(record_database, update(RecordLink).where(RecordLink.channel_id == channel_id, RecordLink.seq == 4).values(event_count=99))
    with record_database.read() as unit:
        assert verify_recording(unit, channel_id).first_bad_seq == 4


REFUSED = {
    "edit content": update(RecordContent).values(payload=b""),
    "edit link": update(RecordLink).values(offset_end=0),
    "delete content": delete(RecordContent),
    "delete link": delete(RecordLink),
    "edit exit": update(RecordedExit).values(status=0),
    "delete exit": delete(RecordedExit),
    "replace content": insert(RecordContent).prefix_with("or replace", dialect="sqlite"),
}


def test_database_itself_refuses_to_change_a_recording(stage: Stage, record_database: Database) -> None:
    channel_id = new_id()
    head = record(stage, channel_id, PIECES[:2])
    values = {"channel_id": channel_id, "seq": 1, "payload": b"", "salt": bytes(16), "encoding": "raw"}
    for name, statement in REFUSED.items():
        with pytest.raises(DBAPIError), record_database.write() as unit:
            unit.db.execute(statement, values if name == "replace content" else {})
    with record_database.read() as unit:
        assert verify_recording(unit, channel_id, expected_head=head.chain_head).is_whole
