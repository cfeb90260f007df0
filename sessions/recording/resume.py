"""Taking up a channel's record where the database says it ends: new, left by an earlier process, or closed already."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from orchestrator.core.db import ReadUnit
from sessions.recording.batches import StreamHead
from sessions.recording.channel import RecordedChannel, StoredStream
from sessions.recording.commands import CommandLog
from sessions.recording.interface import ChannelOpening, RecorderLimits
from sessions.recording.links import ChainPosition, begin_chain
from sessions.recording.marks import MAX_BODY_BYTES, MarkParser
from sessions.recording.queries import LastLink, find_last_link, list_command_values
from sessions.recording.replay import find_end, iterate_raw

_MARK_HEAD_BYTES = 256


def load_channel(
    unit: ReadUnit,
    opening: ChannelOpening,
    *,
    limits: RecorderLimits,
    wake: Callable[[], None],
    finish: Callable[[RecordedChannel], Awaitable[None]],
) -> RecordedChannel:
    """Make the loop's side of a record; one that was closed before comes back closed, with its head.

    Raises:
        RecordingDamaged: what is stored cannot be read, so it cannot be continued.
    """
    channel_id = opening.channel_id
    last = find_last_link(unit.db.connection(), channel_id)
    log = CommandLog(shell=opening.shell, marked=opening.marks_nonce is not None, started_at=opening.started_at)
    log.restore(list_command_values(unit, channel_id))
    head, elapsed = StreamHead(begin_chain(channel_id), 0, 0, 0), 0.0
    if last is not None:
        head = StreamHead(ChainPosition(last.seq, last.hash), last.offset_end, round(last.time_end * 1_000_000), last.seq)
        elapsed = max(last.time_end, (datetime.now(UTC) - opening.started_at).total_seconds())
    channel = RecordedChannel(
        opening,
        StoredStream(head, hashlib.sha256() if last is None else None),
        log,
        _restore_parser(unit, opening, last),
        limits=limits,
        elapsed_seconds=elapsed,
        wake=wake,
        finish=finish,
    )
    end = find_end(unit, channel_id, last.seq) if last is not None else None
    if end is not None:
        channel.stream.digest = hash_stored(unit, channel_id)
        channel.adopt_end(end)
    return channel


def hash_stored(unit: ReadUnit, channel_id: str) -> hashlib._Hash:
    """Hash all raw output that is stored."""
    digest = hashlib.sha256()
    for piece in iterate_raw(unit, channel_id):
        digest.update(piece)
    return digest


def _restore_parser(unit: ReadUnit, opening: ChannelOpening, last: LastLink | None) -> MarkParser | None:
    if not opening.marks_nonce:
        return None
    if last is None:
        return MarkParser(opening.marks_nonce)
    # Only what the parser holds matters: the rows of the marks before were written together with them.
    start = max(0, last.offset_end - MAX_BODY_BYTES - _MARK_HEAD_BYTES)
    tail = b"".join(iterate_raw(unit, opening.channel_id, from_offset=start))
    parser = MarkParser(opening.marks_nonce, offset=last.offset_end - len(tail))
    parser.feed(tail)
    return parser
