"""Reading a recording back: its events from an offset or a moment, the raw bytes, and what a viewer may see of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.core.db import ReadUnit
from sessions.recording.errors import RecordingDamaged
from sessions.recording.events import DamagedContent, EventKind, RecordedEvent, decode_events, unpack_content
from sessions.recording.interface import MEBIBYTE
from sessions.recording.marks import MarkParser
from sessions.recording.queries import StoredContent, find_last_link, read_contents

TAIL_BYTES = MEBIBYTE


@dataclass(frozen=True, slots=True)
class PlacedEvent:
    """An event and the raw offset of its first byte (for other events: of the output that follows)."""

    event: RecordedEvent
    offset: int


@dataclass(frozen=True, slots=True)
class History:
    """Visible output for a viewer: marks are taken out. It is what raw bytes ``offset_start`` to ``offset_end`` show."""

    visible: bytes
    offset_start: int
    offset_end: int


def iterate_events(unit: ReadUnit, channel_id: str, *, from_offset: int = 0, from_seconds: float = 0.0) -> Iterator[PlacedEvent]:
    """Read events in order; output before ``from_offset`` is left out, an event that spans it is cut. With
    ``from_seconds`` earlier events are left out. Erased contents are skipped: offsets then jump.

    Raises:
        RecordingDamaged: a content cannot be read; the error names its seq.
    """
    for stored in read_contents(unit, channel_id, from_offset=from_offset):
        for placed in _read_events(stored):
            event, offset = placed.event, placed.offset
            if event.seconds < from_seconds:
                continue
            if offset >= from_offset:
                yield placed
            elif event.kind is EventKind.OUTPUT and offset + len(event.data) > from_offset:
                skip = from_offset - offset
                yield PlacedEvent(RecordedEvent(event.kind, event.microseconds, event.data[skip:]), from_offset)


def _read_events(stored: StoredContent) -> Iterator[PlacedEvent]:
    link = stored.link
    if stored.payload is None or stored.encoding is None:
        if stored.is_erased:
            return
        raise RecordingDamaged("Part {seq} of the recording is missing.", seq=link.seq)
    offset = link.offset_start
    try:
        for event in decode_events(unpack_content(stored.payload, stored.encoding)):
            yield PlacedEvent(event, offset)
            if event.kind is EventKind.OUTPUT:
                offset += len(event.data)
    except DamagedContent as exc:
        raise RecordingDamaged("Part {seq} of the recording cannot be read: {why}.", seq=link.seq, why=str(exc)) from exc


def find_end(unit: ReadUnit, channel_id: str, last_seq: int) -> dict[str, Any] | None:
    """Return what the end of a recording says (see `events`), None if its last content does not hold the end."""
    for stored in read_contents(unit, channel_id, from_seq=last_seq):
        for placed in _read_events(stored):
            if placed.event.kind is EventKind.END:
                return json.loads(placed.event.data)
    return None


def iterate_raw(unit: ReadUnit, channel_id: str, *, from_offset: int = 0) -> Iterator[bytes]:
    """Read the raw output from an offset on."""
    for placed in iterate_events(unit, channel_id, from_offset=from_offset):
        if placed.event.kind is EventKind.OUTPUT:
            yield placed.event.data


def iterate_visible(unit: ReadUnit, channel_id: str, *, nonce: str | None) -> Iterator[PlacedEvent]:
    """Read the whole recording as viewers may see it: shell marks are taken out of the output. Offsets stay raw."""
    parser = MarkParser(nonce) if nonce else None
    last: PlacedEvent | None = None
    for placed in iterate_events(unit, channel_id):
        last = placed
        event = placed.event
        if parser is None or event.kind is not EventKind.OUTPUT:
            yield placed
            continue
        if parser.received_offset != placed.offset:
            # Something was erased in between: what was held cannot be completed.
            parser = MarkParser(nonce or "", offset=placed.offset)
        visible, _ = parser.feed(event.data)
        if visible:
            yield PlacedEvent(RecordedEvent(event.kind, event.microseconds, visible), placed.offset)
    if parser is not None and last is not None:
        rest, _ = parser.finish()
        if rest:
            yield PlacedEvent(RecordedEvent(EventKind.OUTPUT, last.event.microseconds, rest), parser.received_offset)


def read_tail(unit: ReadUnit, channel_id: str, *, nonce: str | None, tail_bytes: int = TAIL_BYTES) -> History:
    """Read the end of what is recorded, from a line start: what a new window or a late watcher is shown first."""
    last = find_last_link(unit.db.connection(), channel_id)
    end = last.offset_end if last is not None else 0
    start = max(0, end - tail_bytes)
    raw = b"".join(iterate_raw(unit, channel_id, from_offset=start))
    if start > 0:
        # Marks hold no line feed and no carriage return, so what follows one begins outside of any mark. Output without
        # either has no line to start from: nothing of it is shown.
        cut = (raw.find(b"\n") + 1) or (raw.find(b"\r") + 1) or len(raw)
        raw, start = raw[cut:], start + cut
    return show_raw(raw, offset=start, nonce=nonce)


def read_missing(unit: ReadUnit, channel_id: str, *, nonce: str | None, from_offset: int) -> History:
    """Read what follows a raw offset that a viewer has reached (one that `visible_offset` named, so never in a mark)."""
    return show_raw(b"".join(iterate_raw(unit, channel_id, from_offset=from_offset)), offset=from_offset, nonce=nonce)


def show_raw(raw: bytes, *, offset: int, nonce: str | None) -> History:
    """Take the marks out of raw output that begins outside of any; a mark that has only begun is left for what follows."""
    if not nonce:
        return History(raw, offset, offset + len(raw))
    parser = MarkParser(nonce, offset=offset)
    visible, _ = parser.feed(raw)
    return History(visible, offset, parser.visible_offset)
