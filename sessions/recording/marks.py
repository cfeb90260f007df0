"""Shell marks in a stream of terminal output: finding them, and taking them out (marks.md 7). Pure.

A mark is ``ESC ] 633;fw1;NONCE;kind;field;field… BEL``. The nonce comes first, so what is searched for is itself the secret:
a forged mark never matches, is ordinary data, and never holds the stream up. What marks mean lives in `commands.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_BODY_BYTES = 256 * 1024
"""A mark that has not ended by then never will: its start is dropped and the rest is data."""

_BELL = b"\x07"
_ESCAPE = b"\x1b"
_CONTROLS = bytes((*range(32), 127))
_NO_MARKS: tuple[Mark, ...] = ()


class MarkKind(StrEnum):
    """What a mark says; a kind this version does not know is `DAMAGED`."""

    PROMPT = "A"
    START = "C"
    END = "D"
    DAMAGED = "!"
    """Other output was written into the middle of the mark, or it never ended: it cannot be believed."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark; it stood at raw bytes ``offset`` to ``offset_end`` of the stream. ``fields`` are still encoded."""

    kind: MarkKind
    fields: tuple[bytes, ...]
    offset: int
    offset_end: int


class MarkParser:
    """Takes the raw stream in pieces of any size and gives out what is visible, and the marks found."""

    __slots__ = ("_held", "_inside", "_prefix", "received_offset")

    def __init__(self, nonce: str, *, offset: int = 0) -> None:
        """Begin at raw ``offset`` of the stream, which must not lie inside a mark."""
        self._prefix = f"\x1b]633;fw1;{nonce};".encode("ascii")
        self._held = bytearray()
        self._inside = False
        self.received_offset = offset
        """Raw bytes taken so far, counted from the start of the stream."""

    @property
    def visible_offset(self) -> int:
        """Raw offset up to which everything was given out: less than received while a mark may be under way."""
        return self.received_offset - len(self._held)

    def feed(self, data: bytes) -> tuple[bytes, Sequence[Mark]]:
        """Take the next piece; return what is visible of it (the same object if there is nothing to take out) and marks."""
        prefix = self._prefix
        if not self._held:
            if prefix not in data and _ESCAPE not in data[1 - len(prefix) :]:
                self.received_offset += len(data)
                return data, _NO_MARKS
        elif self._inside and _BELL not in data and len(self._held) + len(data) <= MAX_BODY_BYTES:
            self._held += data
            self.received_offset += len(data)
            return b"", _NO_MARKS
        searched = len(self._held) if self._inside else 0
        base = self.visible_offset
        self.received_offset += len(data)
        if self._held:
            data = bytes(self._held) + data
            self._held.clear()
        return self._split(data, base=base, searched=searched)

    def finish(self) -> tuple[bytes, Sequence[Mark]]:
        """The stream is complete: give out what was held. A mark that has begun will not end any more."""
        rest = bytes(self._held)
        base = self.visible_offset
        self._held.clear()
        if not self._inside:
            return rest, _NO_MARKS
        self._inside = False
        return rest[len(self._prefix) :], (Mark(MarkKind.DAMAGED, (), base, base + len(self._prefix)),)

    def _split(self, data: bytes, *, base: int, searched: int) -> tuple[bytes, list[Mark]]:
        """Split ``data``, whose first byte stands at raw ``base``; its first ``searched`` bytes hold no BEL."""
        prefix = self._prefix
        visible: list[bytes] = []
        marks: list[Mark] = []
        position = 0
        while True:
            if not self._inside:
                start = data.find(prefix, position)
                if start < 0:
                    start = self._find_begun_prefix(data, position)
                    visible.append(data[position:start])
                    self._held += data[start:]
                    break
                visible.append(data[position:start])
                position, searched, self._inside = start, start + len(prefix), True
            end = data.find(_BELL, searched)
            if end < 0 and len(data) - position <= MAX_BODY_BYTES:
                self._held += data[position:]
                break
            body_start = position + len(prefix)
            self._inside = False
            if end < 0:
                marks.append(Mark(MarkKind.DAMAGED, (), base + position, base + body_start))
                position = body_start
                continue
            marks.append(_read_mark(data[body_start:end], base + position, base + end + 1))
            position = end + 1
        return b"".join(visible), marks

    def _find_begun_prefix(self, data: bytes, position: int) -> int:
        """Return where the longest proper start of the prefix at the end of ``data`` begins (its length if none)."""
        start = data.find(_ESCAPE, max(position, len(data) - len(self._prefix) + 1))
        while start >= 0:
            if self._prefix.startswith(data[start:]):
                return start
            start = data.find(_ESCAPE, start + 1)
        return len(data)


def _read_mark(body: bytes, offset: int, offset_end: int) -> Mark:
    if body.translate(None, _CONTROLS) == body:
        kind, *fields = body.split(b";")
        if kind in (b"A", b"C", b"D"):
            return Mark(MarkKind(kind.decode("ascii")), tuple(fields), offset, offset_end)
    return Mark(MarkKind.DAMAGED, (body,), offset, offset_end)
