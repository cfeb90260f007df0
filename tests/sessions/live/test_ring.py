"""The ring: offsets, marks taken out, snapshots. Checked against the whole stream at once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessions.live.ring import OffsetNotHeld, Ring
from sessions.recording.marks import MarkParser

NONCE = "ab" * 16
MARK = f"\x1b]633;fw1;{NONCE};C;1;2\x07".encode()


def fill(raw: bytes, sizes: list[int], *, keep: int = 1024 * 1024) -> Ring:
    """Feed a stream in pieces, as the relay does."""
    ring, parser, tail = Ring(nonce=NONCE, keep_bytes=keep), MarkParser(NONCE), bytearray()
    position = 0
    while position < len(raw):
        size = sizes[position % len(sizes)]
        piece = raw[position : position + size]
        position += size
        visible, _ = parser.feed(piece)
        tail += piece
        shown = parser.visible_offset - ring.end
        ring.append(visible, bytes(tail[:shown]), parser.visible_offset)
        del tail[:shown]
    return ring


def read_all(ring: Ring, offset: int) -> bytes:
    out = b""
    while (frame := ring.read(offset)) is not None:
        out += frame.data
        assert frame.end > offset
        assert frame.is_plain == (len(frame.data) == frame.end - offset)
        offset = frame.end
    assert offset == ring.end
    return out


def visible(raw: bytes, offset: int = 0) -> bytes:
    return MarkParser(NONCE, offset=offset).feed(raw)[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(min_size=1, max_size=300), st.just(MARK)), max_size=40), st.lists(st.integers(1, 200), min_size=1, max_size=5))
def test_reading_from_the_start_gives_exactly_what_is_visible(parts: list[bytes], sizes: list[int]) -> None:
    raw = b"".join(parts)
    assert read_all(fill(raw, sizes), 0) == visible(raw)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(min_size=1, max_size=40).filter(lambda piece: b"\x1b" not in piece), st.just(MARK)), min_size=1, max_size=30),
       st.lists(st.integers(1, 90), min_size=1, max_size=5))
def test_a_viewer_goes_on_anywhere_outside_of_a_mark_and_nowhere_inside(parts: list[bytes], sizes: list[int]) -> None:
    raw = b"".join(parts)
    ring = fill(raw, sizes)
    outside = {0}
    position = 0
    for part in parts:
        outside |= {position + len(part)} if part == MARK else {position + index for index in range(len(part) + 1)}
        position += len(part)
    for offset in range(ring.end + 1):
        if offset in outside:
            assert read_all(ring, offset) == visible(raw[offset : ring.end])
        else:
            assert not ring.holds(offset)


def test_what_is_durable_and_old_is_forgotten_and_nothing_else() -> None:
    ring = fill(b"x" * 300_000, [1000], keep=100_000)
    ring.forget(0)
    assert ring.start == 0
    ring.forget(150_000)
    assert ring.start <= 150_000 < ring.start + 66_000
    ring.forget(300_000)
    assert 100_000 <= ring.end - ring.start <= 170_000
    with pytest.raises(OffsetNotHeld):
        ring.read(0)


def test_a_snapshot_begins_at_a_line_start_at_most_its_size_back() -> None:
    lines = b"".join(b"line %d %s\n" % (number, MARK if number % 50 == 0 else b"") for number in range(40_000))
    ring = fill(lines, [777, 4096], keep=200_000)
    ring.forget(ring.end)
    offset = ring.tail_offset()
    assert ring.end - offset <= 200_000
    assert lines[offset - 1 : offset] == b"\n"
    assert read_all(ring, offset) == visible(lines[offset:])


def test_a_short_stream_is_its_own_snapshot() -> None:
    assert fill(b"one line without an end", [5]).tail_offset() == 0
    assert Ring().tail_offset() == 0
    assert Ring(offset=77).tail_offset() == 77


def test_a_stream_without_any_line_is_shown_all_the_same() -> None:
    ring = fill(b"x" * 300_000, [1000], keep=100_000)
    ring.forget(300_000)
    offset = ring.tail_offset()
    assert ring.start <= offset < ring.end
    assert len(read_all(ring, offset)) == ring.end - offset


def test_a_restored_ring_goes_on_where_the_record_ends_even_inside_a_mark() -> None:
    raw = b"before\n" + MARK + b"after\n" + MARK[:20]
    ring = Ring(nonce=NONCE)
    left = ring.restore(raw, 1000 + len(raw))
    assert left == MARK[:20]
    assert ring.end == 1000 + len(raw) - 20
    assert read_all(ring, 1000) == b"before\nafter\n"


def test_single_keys_do_not_cost_a_stretch_each() -> None:
    ring = Ring()
    rng = random.Random(1)
    for _ in range(50_000):
        byte = bytes([rng.randrange(32, 127)])
        ring.append(byte, byte, ring.end + 1)
    assert len(ring._stretches) <= 2
