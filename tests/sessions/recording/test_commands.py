"""From marks to command rows: what is believed, what is flagged, and what is an event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sessions.recording.commands import MAX_LINE_BYTES, CommandLog
from sessions.recording.interface import CommandRow, CommandSource, MarkEvent, MarkEventKind
from sessions.recording.marks import Mark, MarkKind

STARTED_AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class Story:
    """Feeds marks to a log, each one second and 100 raw bytes after the one before."""

    def __init__(self, *, marked: bool = True) -> None:
        self.log = CommandLog(shell="bash", marked=marked, started_at=STARTED_AT)
        self.at = 0.0
        self.offset = 0
        self.rows: dict[int, CommandRow] = {}
        self.events: list[MarkEventKind] = []
        self.keep(self.log.begin())

    def keep(self, changes: list[CommandRow | MarkEvent]) -> None:
        for change in changes:
            if isinstance(change, CommandRow):
                self.rows[change.number] = change
            else:
                self.events.append(change.kind)

    def step(self, kind: MarkKind, *fields: str) -> None:
        self.at += 1
        self.offset += 100
        mark = Mark(kind, tuple(field.encode() for field in fields), self.offset - 10, self.offset)
        self.keep(self.log.take(mark, at=self.at))

    def prompt(self, sequence: int, directory: str = "/") -> None:
        self.step(MarkKind.PROMPT, str(sequence), directory)

    def start(self, sequence: int, line: str = "ls", *, length: int | None = None, before: str = "0", clock: str = "") -> None:
        self.step(MarkKind.START, str(sequence), clock, "/", str(len(line) if length is None else length), line, before)

    def end(self, sequence: int, status: int = 0, *, directory: str = "/", clock: str = "") -> None:
        self.step(MarkKind.END, str(sequence), str(status), clock, directory)

    def lines(self) -> list[tuple[str | None, int | None, tuple[str, ...]]]:
        return [(row.line, row.exit_status, row.flags) for row in self.rows.values()]


def test_line_becomes_a_row_with_directories_times_and_offsets() -> None:
    story = Story()
    story.prompt(0, "/home/tech")
    story.start(1, "cd /tmp", length=7)
    assert story.rows[1].seconds is None
    story.end(1, 0, directory="/tmp")
    row = story.rows[1]
    assert (row.line, row.directory, row.directory_after, row.exit_status) == ("cd /tmp", "/", "/tmp", 0)
    assert (row.offset_start, row.offset_end) == (200, 290)
    assert (row.started_at, row.seconds) == (STARTED_AT + timedelta(seconds=2), 1.0)
    assert (row.source, row.shell, row.depth, row.flags) == (CommandSource.MARKS, "bash", 0, ())
    assert story.events == [MarkEventKind.ON]


def test_shells_own_clock_gives_finer_seconds_unless_it_jumped() -> None:
    story = Story()
    story.start(1, clock="1000.25")
    story.end(1, clock="1000,50")
    story.start(2, clock="1000.25")
    story.end(2, clock="5000.25")
    assert [row.seconds for row in story.rows.values()] == [0.25, 1.0]


def test_encoded_text_is_decoded_and_bytes_that_are_no_text_are_escaped() -> None:
    story = Story()
    story.start(1, "a%3b b%25 %1b", length=7)
    story.start(2, "\x00", length=1)
    story.log.take(Mark(MarkKind.END, (b"2", b"0", b"", b"/"), 0, 0), at=9)
    mark = Mark(MarkKind.START, (b"3", b"", b"/", b"7", b"echo \xff\xfe", b"0"), 900, 910)
    story.keep(story.log.take(mark, at=10))
    assert [row.line for row in story.rows.values()] == ["a; b% \x1b", "\\x00", "echo \\xff\\xfe"]


def test_status_that_comes_with_the_next_line_is_taken_and_flagged() -> None:
    story = Story()
    story.start(1, "false", before="0")
    story.start(2, "true", before="1")
    story.end(2)
    assert story.lines() == [("false", 1, ("next-line",)), ("true", 0, ())]


def test_missing_end_leaves_the_status_unknown() -> None:
    story = Story()
    story.start(1, "sleep 9")
    story.prompt(1)
    story.start(2, "true")
    story.start(3, "false", before="")
    assert story.lines()[:2] == [("sleep 9", None, ("no-end-mark",)), ("true", None, ("no-end-mark",))]


def test_end_without_start_is_a_row_without_text_from_the_prompt_on() -> None:
    story = Story()
    story.prompt(0, "/srv")
    story.step(MarkKind.DAMAGED)
    story.end(1, 3)
    assert story.lines() == [(None, 3, ("no-start-mark", "text-unknown"))]
    assert (story.rows[1].offset_start, story.rows[1].directory) == (100, "/srv")
    assert story.events == [MarkEventKind.ON, MarkEventKind.DAMAGED]


def test_replayed_marks_are_events_and_change_nothing() -> None:
    story = Story()
    for sequence in (1, 2, 3):
        story.start(sequence, f"echo {sequence}")
        story.end(sequence)
    before = story.lines()
    story.start(2, "rm -rf /")
    story.end(2)
    story.end(3, 9)
    story.prompt(1)
    assert story.lines() == before
    assert story.events == [MarkEventKind.ON] + [MarkEventKind.REPLAYED] * 4


def test_line_that_the_shell_did_not_keep_has_no_text() -> None:
    story = Story()
    story.start(1, "%01?", length=2)
    story.end(1)
    assert story.lines() == [(None, 0, ("text-unknown",))]


def test_long_line_is_cut_and_says_how_long_it_was() -> None:
    story = Story()
    story.start(1, "x" * MAX_LINE_BYTES, length=90_000)
    assert (story.rows[1].line, story.rows[1].flags) == ("x" * MAX_LINE_BYTES, ("cut:90000",))
    assert story.rows[1].line_length == 90_000


@pytest.mark.parametrize("length", [3, 12, 90_000])
def test_line_of_another_length_than_said_is_damaged_and_has_no_text(length: int) -> None:
    story = Story()
    story.start(1, "echo ok", length=length)
    assert story.lines() == [(None, None, ("damaged", "text-unknown"))]


@pytest.mark.parametrize(
    ("line", "nested"),
    [
        ("su - root", True),
        (" exec bash", True),
        ("A=1 /usr/bin/ssh host", True),
        ("tmux", True),
        ("ls /bin/bash", False),
        ("sshd -t", False),
    ],
)
def test_line_that_brings_in_a_shell_is_flagged(line: str, nested: bool) -> None:
    story = Story()
    story.start(1, line)
    assert story.rows[1].flags == (("nested",) if nested else ())


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("x", "", "/", "2", "ls", "0"),
        ("1",),
        ("1", "", "/", "two", "ls", "0"),
        ("1", "soon", "/", "2", "ls", "0"),
        ("1", "", "/", "2", "ls", "q"),
    ],
)
def test_mark_with_broken_fields_is_damaged_and_no_row(fields: tuple[str, ...]) -> None:
    story = Story()
    story.step(MarkKind.START, *fields)
    assert (story.rows, story.events) == ({}, [MarkEventKind.DAMAGED])


def test_end_of_the_shell_ends_the_running_line() -> None:
    story = Story()
    story.start(1, "exit 42")
    story.keep(story.log.finish(at=5, offset=400, exit_status=42))
    assert story.lines() == [("exit 42", 42, ("shell-ended",))]
    assert story.rows[1].offset_end == 400


def test_shell_without_marks_is_one_unmarked_row() -> None:
    story = Story(marked=False)
    assert (story.rows[1].source, story.rows[1].offset_start, story.rows[1].offset_end) == (CommandSource.UNMARKED, 0, None)
    story.keep(story.log.look(at=60, offset=50))
    story.keep(story.log.finish(at=61, offset=700, exit_status=0))
    assert (story.rows[1].offset_end, story.rows[1].line, story.rows[1].seconds) == (700, None, 61)
    assert story.events == []


def test_marks_that_never_come_are_lost_after_three_seconds_and_found_again() -> None:
    story = Story()
    story.keep(story.log.look(at=2.9, offset=10))
    assert story.events == []
    story.keep(story.log.look(at=3.0, offset=10))
    story.keep(story.log.look(at=4.0, offset=20))
    assert story.events == [MarkEventKind.LOST]
    story.at, story.offset = 9, 500
    story.prompt(0)
    assert story.events == [MarkEventKind.LOST, MarkEventKind.ON]
    assert (story.rows[1].source, story.rows[1].offset_start, story.rows[1].offset_end) == (CommandSource.UNMARKED, 0, 590)


def test_line_typed_at_a_prompt_that_never_starts_means_lost_marks() -> None:
    story = Story()
    story.prompt(0)
    story.log.note_input(b"ec", at=2)
    assert not story.log.waits_for_start
    story.log.note_input(b"ho\r", at=2)
    assert story.log.waits_for_start
    story.log.note_output(b"\r\nhello\r\n$ ")
    story.keep(story.log.look(at=3.9, offset=300))
    assert story.events == [MarkEventKind.ON]
    story.keep(story.log.look(at=4.0, offset=300))
    assert story.events == [MarkEventKind.ON, MarkEventKind.LOST]
    assert (story.rows[1].source, story.rows[1].offset_start) == (CommandSource.UNMARKED, 100)


def test_continued_line_and_empty_enter_lose_nothing() -> None:
    story = Story()
    story.prompt(0)
    story.log.note_input(b"for i in 1 2\r", at=2)
    story.log.note_output(b"\r\n> ")
    story.keep(story.log.look(at=30, offset=300))
    story.prompt(0)
    story.log.note_input(b"\r", at=40)
    story.log.note_output(b"\r\n")
    story.prompt(0)
    story.keep(story.log.look(at=60, offset=300))
    assert story.events == [MarkEventKind.ON]


def test_restored_log_goes_on_where_it_was() -> None:
    story = Story()
    story.start(1, "ls")
    story.end(1, directory="/srv")
    story.start(2, "sleep 60")
    again = Story()
    again.log.restore([story.rows[1], story.rows[2]])
    again.at, again.offset = story.at, story.offset
    again.end(2, 0)
    again.start(2, "replayed")
    again.start(3, "next")
    assert again.lines() == [("sleep 60", 0, ()), ("next", None, ())]
    assert list(again.rows) == [2, 3]
    assert again.rows[2].seconds == 1.0
    assert again.events == [MarkEventKind.REPLAYED]
