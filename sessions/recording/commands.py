"""Marks become command rows (marks.md 4 and 10). Pure: times and offsets are given, nothing is stored here.

A row is announced when its line starts and again, with the same number, when it is complete. What happened to the marks
themselves (begun, lost, repeated, damaged) is an event, never a row; a stretch without marks is one row of its own, so that
a gap is seen. Rows are an index into the recording, not proof.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import unquote_to_bytes

from sessions.recording.interface import CommandRow, CommandSource, MarkEvent, MarkEventKind
from sessions.recording.marks import Mark, MarkKind

FIRST_PROMPT_SECONDS = 3.0
LINE_START_SECONDS = 2.0
MAX_LINE_BYTES = 65_536
MAX_DIRECTORY_LENGTH = 4096
CLOCK_TOLERANCE_SECONDS = 5.0

_UNKNOWN_LINE = b"\x01?"
_NESTING = frozenset(
    ("ash", "bash", "csh", "dash", "doas", "fish", "ksh", "machinectl", "mksh", "mosh", "nsenter", "pwsh", "rbash", "screen", "sh", "ssh")
    + ("su", "sudo", "tcsh", "telnet", "tmux", "zellij", "zsh")
)
_LEADING_WORDS = re.compile(r"\s*(?:(?:\w+=\S*|exec|command|env|nohup|time)\s+)*(?:\S*/)?([\w.+-]+)")

Change = CommandRow | MarkEvent


class CommandLog:
    """Builds the rows of one channel. ``at`` is seconds since the channel's start, offsets are raw bytes of output."""

    def __init__(
        self, *, shell: str, marked: bool, started_at: datetime, source: CommandSource = CommandSource.MARKS, depth: int = 0
    ) -> None:
        self._shell = shell
        self._marked = marked
        self._started_at = started_at
        self._source = source
        self._depth = depth
        self._number = 0
        self._sequence = 0
        self._open: CommandRow | None = None
        self._open_at = 0.0
        self._open_clock: float | None = None
        self._gap: CommandRow | None = None
        self._gap_at = 0.0
        self._marks_on = False
        self._told_lost = False
        self._prompt: tuple[int, str | None] | None = None
        self._directory: str | None = None
        self._typed_lines = 0
        self._printed_lines = 0
        self._typed_at: float | None = None

    def restore(self, rows: Sequence[CommandRow]) -> None:
        """Continue after the rows of an earlier process (in the order of their numbers); call it before anything else."""
        for row in rows:
            self._number = max(self._number, row.number)
            self._sequence = max(self._sequence, row.sequence or 0)
            self._directory = row.directory_after or row.directory or self._directory
            if row.source is CommandSource.UNMARKED:
                self._gap = row if row.offset_end is None else None
                self._told_lost = row.offset_end is None
            else:
                self._marks_on = True
                self._open = row if row.offset_end is None else None
        for row in (self._open, self._gap):
            if row is not None:
                elapsed = (row.started_at - self._started_at).total_seconds()
                self._open_at = elapsed if row is self._open else self._open_at
                self._gap_at = elapsed if row is self._gap else self._gap_at

    @property
    def waits_for_start(self) -> bool:
        """A line was typed at the prompt and has not started: line feeds of the output matter now (`note_output`)."""
        return self._typed_at is not None

    def begin(self) -> list[Change]:
        """The channel begins: a shell without marks is one unmarked row from its first byte."""
        return [] if self._marked or self._gap is not None else [self._begin_gap(0, 0.0)]

    def note_input(self, data: bytes, *, at: float) -> None:
        """Input was sent; only whether it ends lines counts, its text is not kept."""
        lines = data.count(b"\r") + data.count(b"\n")
        if lines and self._prompt is not None:
            self._typed_lines += lines
            if self._typed_at is None:
                self._typed_at, self._printed_lines = at, 0

    def note_output(self, data: bytes) -> None:
        """Visible output came while `waits_for_start`."""
        self._printed_lines += data.count(b"\n")

    def take(self, mark: Mark, *, at: float) -> list[Change]:
        """Take the next mark; return rows and events in the order they happened."""
        changes: list[Change] = []
        try:
            match mark.kind:
                case MarkKind.PROMPT:
                    self._take_prompt(mark, at, changes)
                case MarkKind.START:
                    self._take_start(mark, at, changes)
                case MarkKind.END:
                    self._take_end(mark, at, changes)
                case MarkKind.DAMAGED:
                    changes.append(self._event(MarkEventKind.DAMAGED, mark.offset, at))
        except (IndexError, ValueError):
            changes.append(self._event(MarkEventKind.DAMAGED, mark.offset, at))
        return changes

    def look(self, *, at: float, offset: int) -> list[Change]:
        """Look at the clock (about once a second): marks that should have come and did not are lost.

        Lost are marks if no prompt was reported 3 s after the start; or if a line was ended at a prompt, more lines were
        printed than typed (a continued line prints only its own), and no start was reported within 2 s.
        """
        if not self._marked or self._told_lost:
            return []
        if not self._marks_on:
            return self._lose(0, at, offset) if at >= FIRST_PROMPT_SECONDS else []
        late = self._typed_at is not None and at - self._typed_at >= LINE_START_SECONDS
        if late and self._open is None and self._prompt is not None and self._printed_lines > self._typed_lines:
            return self._lose(self._prompt[0], at, offset)
        return []

    def finish(self, *, at: float, offset: int, exit_status: int | None) -> list[Change]:
        """The stream is complete. A line still running ended with the shell."""
        changes: list[Change] = []
        if self._open is not None:
            changes.append(self._close_open(exit_status, at, offset, None, None, "shell-ended"))
        if self._gap is not None:
            changes.append(self._close_gap(at, offset, exit_status))
        return changes

    # The three kinds of marks.

    def _take_prompt(self, mark: Mark, at: float, changes: list[Change]) -> None:
        if int(mark.fields[0]) < self._sequence:
            changes.append(self._event(MarkEventKind.REPLAYED, mark.offset, at))
            return
        directory = decode_text(mark.fields[1])[:MAX_DIRECTORY_LENGTH]
        self._marks_work(mark, at, changes)
        if self._open is not None:
            changes.append(self._close_open(None, at, mark.offset, None, None, "no-end-mark"))
        self._directory = directory
        self._prompt = (mark.offset_end, directory)
        self._typed_at, self._typed_lines = None, 0

    def _take_start(self, mark: Mark, at: float, changes: list[Change]) -> None:
        sequence, clock, directory = int(mark.fields[0]), _clock(mark.fields[1]), decode_text(mark.fields[2])
        length, encoded = int(mark.fields[3]), mark.fields[4]
        before = int(mark.fields[5]) if len(mark.fields) > 5 and mark.fields[5] else None
        if sequence <= self._sequence:
            changes.append(self._event(MarkEventKind.REPLAYED, mark.offset, at))
            return
        self._marks_work(mark, at, changes)
        if self._open is not None:
            flag = "no-end-mark" if before is None else "next-line"
            changes.append(self._close_open(before, at, mark.offset, clock, directory, flag))
        line, flags = _read_line(unquote_to_bytes(encoded), length)
        self._open = self._row(
            at, mark.offset_end, sequence=sequence, line=line, line_length=length, directory=directory[:MAX_DIRECTORY_LENGTH], flags=flags
        )
        self._open_at, self._open_clock = at, clock
        self._sequence = sequence
        self._prompt = self._typed_at = None
        self._typed_lines = 0
        changes.append(self._open)

    def _take_end(self, mark: Mark, at: float, changes: list[Change]) -> None:
        sequence, status, clock = int(mark.fields[0]), int(mark.fields[1]), _clock(mark.fields[2])
        directory = decode_text(mark.fields[3])
        if sequence < self._sequence or (sequence == self._sequence and self._open is None):
            changes.append(self._event(MarkEventKind.REPLAYED, mark.offset, at))
            return
        self._marks_work(mark, at, changes)
        if self._open is None or sequence != self._open.sequence:
            # Its start mark was damaged: a row without text, rather than none.
            if self._open is not None:
                changes.append(self._close_open(None, at, mark.offset, None, None, "no-end-mark"))
            start = self._prompt[0] if self._prompt else mark.offset
            self._open = self._row(
                at, start, sequence=sequence, line=None, line_length=0, directory=self._directory, flags=("no-start-mark", "text-unknown")
            )
            self._open_at, self._open_clock = at, None
            self._sequence = sequence
        changes.append(self._close_open(status, at, mark.offset, clock, directory, None))
        self._prompt = self._typed_at = None

    # Rows, gaps and events.

    def _marks_work(self, mark: Mark, at: float, changes: list[Change]) -> None:
        if self._gap is not None:
            changes.append(self._close_gap(at, mark.offset, None))
        if not self._marks_on or self._told_lost:
            changes.append(self._event(MarkEventKind.ON, mark.offset, at))
        self._marks_on, self._told_lost = True, False

    def _lose(self, since: int, at: float, offset: int) -> list[Change]:
        self._told_lost = True
        self._typed_at = None
        return [self._event(MarkEventKind.LOST, offset, at), self._begin_gap(since, at)]

    def _begin_gap(self, offset: int, at: float) -> CommandRow:
        self._gap = replace(
            self._row(at, offset, sequence=None, line=None, line_length=0, directory=self._directory, flags=()),
            source=CommandSource.UNMARKED,
        )
        self._gap_at = at
        return self._gap

    def _close_gap(self, at: float, offset: int, exit_status: int | None) -> CommandRow:
        if self._gap is None:
            raise AssertionError("there is no gap to close")
        row = replace(self._gap, seconds=max(0.0, at - self._gap_at), offset_end=offset, exit_status=exit_status)
        self._gap = None
        return row

    def _row(
        self,
        at: float,
        offset: int,
        *,
        sequence: int | None,
        line: str | None,
        line_length: int,
        directory: str | None,
        flags: tuple[str, ...],
    ) -> CommandRow:
        self._number += 1
        return CommandRow(
            number=self._number, sequence=sequence, depth=self._depth, shell=self._shell, line=line, line_length=line_length,
            directory=directory, directory_after=None, exit_status=None, started_at=self._started_at + timedelta(seconds=at),
            seconds=None, offset_start=offset, offset_end=None, source=self._source, flags=flags,
        )  # fmt: skip

    def _close_open(
        self, status: int | None, at: float, offset: int, clock: float | None, directory: str | None, flag: str | None
    ) -> CommandRow:
        row = self._open
        if row is None:
            raise AssertionError("there is no row to close")
        seconds = max(0.0, at - self._open_at)
        if clock is not None and self._open_clock is not None and 0 <= clock - self._open_clock <= seconds + CLOCK_TOLERANCE_SECONDS:
            # Many lines can arrive in one piece: the shell's own clock is finer than ours, unless it jumped.
            seconds = clock - self._open_clock
        self._open = None
        if directory is not None:
            self._directory = directory[:MAX_DIRECTORY_LENGTH]
        return replace(
            row, exit_status=status, seconds=round(seconds, 6), offset_end=max(offset, row.offset_start),
            directory_after=None if directory is None else directory[:MAX_DIRECTORY_LENGTH],
            flags=(*row.flags, flag) if flag else row.flags,
        )  # fmt: skip

    def _event(self, kind: MarkEventKind, offset: int, at: float) -> MarkEvent:
        return MarkEvent(kind=kind, offset=offset, happened_at=self._started_at + timedelta(seconds=at))


def decode_text(encoded: bytes) -> str:
    """Decode a field of a mark. Bytes that are no UTF-8 become ``\\xNN``, so that every database can hold the text."""
    return unquote_to_bytes(encoded).decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def _read_line(raw: bytes, length: int) -> tuple[str | None, tuple[str, ...]]:
    """Return the text and its flags; ``length`` (bytes, or characters in other shells) tells whether it is whole."""
    if raw == _UNKNOWN_LINE:
        return None, ("text-unknown",)
    cut = length > MAX_LINE_BYTES and len(raw) == MAX_LINE_BYTES
    text = raw.decode("utf-8", "ignore" if cut else "backslashreplace").replace("\x00", "\\x00")
    if cut:
        flags: tuple[str, ...] = (f"cut:{length}",)
    elif length in (len(raw), len(text)):
        flags = ()
    else:
        return None, ("damaged", "text-unknown")
    word = _LEADING_WORDS.match(text)
    if word and word.group(1) in _NESTING:
        flags = (*flags, "nested")
    return text, flags


def _clock(field: bytes) -> float | None:
    # Some languages write the decimal point as a comma.
    return float(field.replace(b",", b".")) if field else None
