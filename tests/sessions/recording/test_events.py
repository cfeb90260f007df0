"""The binary form of events: what is written is read back, and anything else is refused by name."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sessions.recording.events import (
    DamagedContent,
    Encoding,
    EventKind,
    RecordedEvent,
    decode_events,
    decode_size,
    encode_events,
    encode_size,
    pack_content,
    unpack_content,
)

EVENTS = st.builds(RecordedEvent, st.sampled_from(EventKind), st.integers(0, 2**60), st.binary(max_size=200))


@given(st.lists(EVENTS, max_size=20))
def test_events_survive_writing_packing_and_reading(events: list[RecordedEvent]) -> None:
    content = encode_events(events)
    payload, encoding = pack_content(content, zstandard.ZstdCompressor(level=1))
    assert len(payload) <= len(content)
    assert list(decode_events(unpack_content(payload, encoding))) == events


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for encoding in (Encoding.RAW, Encoding.ZSTD, "gzip"):
        try:
            list(decode_events(unpack_content(content, encoding)))
        except DamagedContent:
            continue


@pytest.mark.parametrize("cut", [1, 12, 14])
def test_cut_content_is_refused(cut: int) -> None:
    content = encode_events([RecordedEvent(EventKind.OUTPUT, 1, b"abc")])
    with pytest.raises(DamagedContent):
        list(decode_events(content[:cut]))


def test_content_that_unpacks_to_too_much_is_refused() -> None:
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(65 * 1024 * 1024))
    with pytest.raises(DamagedContent, match="more than any"):
        unpack_content(bomb, Encoding.ZSTD)


def test_sizes_are_bounded_and_read_back() -> None:
    assert decode_size(encode_size(columns=132, rows=43)) == (132, 43)
    assert decode_size(encode_size(columns=-1, rows=10**6)) == (1, 65_535)
    with pytest.raises(DamagedContent):
        decode_size(b"abc")
