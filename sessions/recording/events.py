"""The binary form of recorded events, pure: what a content of a recording holds. The format is documented here alone.

A content is a sequence of events, each ``u8 kind || u64 time || u32 length || data``, integers big-endian, time in
microseconds since the channel's start and never falling. Kinds:

- 1 **output**: raw bytes as the agent sent them; offsets of a recording count these bytes and no others.
- 2 **resize**: ``u16 columns || u16 rows``.
- 3 **start**: canonical JSON with the channel, its kind, shell, size and moment of start. First event of a recording.
- 4 **end**: canonical JSON with exit status, reason, and the agent's word. Last event of a recording.

Stored contents are raw, or one zstd frame where that is shorter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

import zstandard

MAX_CONTENT_BYTES = 64 * 1024 * 1024
"""No stored content unpacks to more: a larger one was not written by us."""

_HEAD = struct.Struct(">BQI")
_SIZE = struct.Struct(">HH")


class EventKind(IntEnum):
    OUTPUT = 1
    RESIZE = 2
    START = 3
    END = 4


class Encoding:
    """How a content is stored."""

    RAW = "raw"
    ZSTD = "zstd"


class DamagedContent(Exception):
    """Bytes that are no sequence of events: whoever reads says which content it was."""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One event; ``microseconds`` since the channel's start."""

    kind: EventKind
    microseconds: int
    data: bytes

    @property
    def seconds(self) -> float:
        return self.microseconds / 1_000_000


def encode_events(events: Iterable[RecordedEvent]) -> bytes:
    """Write events one after the other."""
    parts: list[bytes] = []
    for event in events:
        parts.append(_HEAD.pack(event.kind, event.microseconds, len(event.data)))
        parts.append(event.data)
    return b"".join(parts)


def decode_events(content: bytes) -> Iterator[RecordedEvent]:
    """Read the events of an unpacked content. Raises `DamagedContent`."""
    position = 0
    while position < len(content):
        data_start = position + _HEAD.size
        if data_start > len(content):
            raise DamagedContent("an event is cut off")
        kind, microseconds, length = _HEAD.unpack_from(content, position)
        position = data_start + length
        if position > len(content):
            raise DamagedContent("an event is longer than its content")
        try:
            yield RecordedEvent(EventKind(kind), microseconds, content[data_start:position])
        except ValueError as exc:
            raise DamagedContent(f"kind {kind} of an event is unknown") from exc


def pack_content(content: bytes, compressor: zstandard.ZstdCompressor) -> tuple[bytes, str]:
    """Compress where that pays; return the payload and its encoding."""
    packed = compressor.compress(content)
    return (packed, Encoding.ZSTD) if len(packed) < len(content) else (content, Encoding.RAW)


def unpack_content(payload: bytes, encoding: str) -> bytes:
    """Return the events' bytes. Raises `DamagedContent`."""
    if encoding == Encoding.RAW:
        return payload
    if encoding != Encoding.ZSTD:
        raise DamagedContent(f"the encoding {encoding!r} is unknown")
    try:
        if zstandard.frame_content_size(payload) > MAX_CONTENT_BYTES:
            raise DamagedContent("it says that it unpacks to more than any content has")
        return zstandard.ZstdDecompressor().decompress(payload, max_output_size=MAX_CONTENT_BYTES)
    except zstandard.ZstdError as exc:
        raise DamagedContent("it cannot be unpacked") from exc


def encode_size(*, columns: int, rows: int) -> bytes:
    """Write the data of a resize; values are brought into 1 to 65535."""
    return _SIZE.pack(min(max(columns, 1), 65_535), min(max(rows, 1), 65_535))


def decode_size(data: bytes) -> tuple[int, int]:
    """Return columns and rows of a resize. Raises `DamagedContent`."""
    try:
        columns, rows = _SIZE.unpack(data)
    except struct.error as exc:
        raise DamagedContent("a size has the wrong length") from exc
    return columns, rows
