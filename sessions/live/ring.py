"""The newest part of a channel's output, addressed by raw offsets, as viewers may see it. Pure.

Where shell marks were taken out of a stretch of the stream, raw and visible bytes differ in number; such a stretch is kept
whole, with its raw form, so that a viewer may go on at any raw offset that lies outside of a mark. Everything older is in
the record. Kept are the last ``keep_bytes`` and whatever is not durable yet.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from sessions.recording.marks import MarkParser

KEEP_BYTES = 1024 * 1024
FRAME_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """What a viewer is sent next. ``end`` is the raw offset after it; ``is_plain``: raw and visible bytes are the same."""

    data: bytes
    end: int
    is_plain: bool


class OffsetNotHeld(LookupError):
    """The offset is older than the ring, newer than the stream, or inside a mark: only a snapshot can help."""


@dataclass(slots=True)
class _Stretch:
    start: int
    end: int
    visible: bytearray
    raw: bytes | None


class Ring:
    """Output from ``start`` to ``end``. ``nonce`` is that of the shell marks, None for a stream without."""

    def __init__(self, *, offset: int = 0, nonce: str | None = None, keep_bytes: int = KEEP_BYTES) -> None:
        self.nonce = nonce
        self.end = offset
        self._keep_bytes = keep_bytes
        self._stretches: list[_Stretch] = []
        self._starts: list[int] = []

    @property
    def start(self) -> int:
        """The oldest raw offset held."""
        return self._starts[0] if self._starts else self.end

    def append(self, visible: bytes, raw: bytes, end: int) -> None:
        """Add what the stream showed up to raw offset ``end``; ``raw`` are the bytes from the old end to the new one."""
        if end == self.end:
            return
        if len(raw) != end - self.end:
            raise ValueError("the raw bytes are not those between the offsets")
        plain = len(visible) == len(raw)
        last = self._stretches[-1] if self._stretches else None
        if plain and last is not None and last.raw is None and len(last.visible) + len(visible) <= FRAME_BYTES:
            last.visible += visible
            last.end = self.end = end
            return
        self._stretches.append(_Stretch(self.end, end, bytearray(visible), None if plain else raw))
        self._starts.append(self.end)
        self.end = end

    def restore(self, raw: bytes, end: int) -> bytes:
        """Fill an empty ring from the record: ``raw`` ends at ``end`` and begins outside of any mark.

        Returns the raw bytes at its end that may be the start of a mark, and are not shown yet.
        """
        offset = end - len(raw)
        self.end = offset
        parser = MarkParser(self.nonce, offset=offset) if self.nonce else None
        pending = b""
        for position in range(0, len(raw), FRAME_BYTES):
            piece = raw[position : position + FRAME_BYTES]
            if parser is None:
                self.append(piece, piece, offset + position + len(piece))
                continue
            visible, _ = parser.feed(piece)
            pending += piece
            seen = parser.visible_offset - self.end
            self.append(visible, pending[:seen], parser.visible_offset)
            pending = pending[seen:]
        return pending

    def forget(self, durable: int) -> None:
        """Drop what is durable and older than the bytes to keep."""
        oldest = min(durable, self.end - self._keep_bytes)
        count = 0
        while count < len(self._stretches) and self._stretches[count].end <= oldest:
            count += 1
        if count:
            del self._stretches[:count]
            del self._starts[:count]

    def read(self, offset: int, limit: int = FRAME_BYTES) -> Frame | None:
        """Return the bytes at ``offset``: at most ``limit`` of plain output, or the rest of a stretch that had marks.

        None at the end of the stream. Raises OffsetNotHeld.
        """
        if offset == self.end:
            return None
        stretch = self._find(offset)
        skipped = offset - stretch.start
        if stretch.raw is None:
            data = bytes(memoryview(stretch.visible)[skipped : skipped + limit])
            return Frame(data, offset + len(data), True)
        if not skipped:
            return Frame(bytes(stretch.visible), stretch.end, False)
        return self._rest_of(stretch, skipped)

    def holds(self, offset: int) -> bool:
        """Tell whether a viewer who has everything below ``offset`` can go on from there."""
        if offset == self.end:
            return True
        try:
            self.read(offset, 1)
        except OffsetNotHeld:
            return False
        return True

    def tail_offset(self) -> int:
        """Return where a snapshot begins: at most ``keep_bytes`` back, at the start of a line where there is one."""
        wanted = self.end - self._keep_bytes
        if wanted <= 0 and self.start == 0:
            return 0
        wanted = max(wanted, self.start)
        if wanted >= self.end:
            return self.end
        first = bisect_right(self._starts, wanted) - 1
        for stretch in self._stretches[first:]:
            raw = stretch.raw if stretch.raw is not None else stretch.visible
            # A line feed is never part of a mark, so what follows it begins outside of any.
            found = raw.find(b"\n", max(0, wanted - stretch.start))
            if found >= 0:
                return stretch.start + found + 1
        return self._starts[first] if self._starts[first] >= wanted else self._starts[min(first + 1, len(self._starts) - 1)]

    def _find(self, offset: int) -> _Stretch:
        if not self.start <= offset < self.end:
            raise OffsetNotHeld(offset)
        last = self._stretches[-1]
        if offset >= last.start:
            return last
        return self._stretches[bisect_right(self._starts, offset) - 1]

    def _rest_of(self, stretch: _Stretch, skipped: int) -> Frame:
        """Show the rest of a stretch that had marks; only where no mark is cut."""
        raw, nonce = stretch.raw or b"", self.nonce or ""
        before = MarkParser(nonce, offset=stretch.start)
        before.feed(raw[:skipped])
        if before.visible_offset != stretch.start + skipped:
            raise OffsetNotHeld(stretch.start + skipped)
        visible, _ = MarkParser(nonce, offset=stretch.start + skipped).feed(raw[skipped:])
        return Frame(visible, stretch.end, len(visible) == len(raw) - skipped)
