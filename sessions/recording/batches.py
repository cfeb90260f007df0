"""Batches of recorded events on their way into the database: cut into contents, linked, and written in one transaction.

A batch is prepared once and then written as it is, however often that takes: salt, hashes and payload stay the same, so a
commit whose answer was lost is recognised when it is tried again. Runs in the recorder's thread.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import zstandard
from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from orchestrator.audit.hashes import SALT_BYTES
from sessions.recording.events import EventKind, RecordedEvent, encode_events, pack_content
from sessions.recording.interface import CommandRow as CommandValue
from sessions.recording.links import ChainPosition, LinkFacts, make_link
from sessions.recording.models import CommandRow, RecordContent, RecordedExit, RecordLink

CONTENT_BYTES = 1024 * 1024
"""Output that one content holds at most, give or take one piece."""


@dataclass(slots=True)
class StreamHead:
    """Where the record of a channel ends: in the chain, in the output, in time."""

    position: ChainPosition
    offset: int
    microseconds: int
    links: int


@dataclass(frozen=True, slots=True)
class PendingExit:
    """An exit to be written beside the recording."""

    status: int
    output_bytes: int


@dataclass(slots=True)
class Batch:
    """What is to be written for one channel; ``head`` is where its record ends once this is committed."""

    channel_id: str
    session_id: str
    head: StreamHead
    items: int
    contents: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    exit: dict[str, Any] | None = None


def prepare_batch(
    *,
    channel_id: str,
    session_id: str,
    head: StreamHead,
    events: Sequence[RecordedEvent],
    commands: Sequence[CommandValue],
    exit: PendingExit | None,
    items: int,
    now: datetime,
    compressor: zstandard.ZstdCompressor,
) -> Batch:
    """Cut events into contents and link them after ``head``, which is left as it is."""
    batch = Batch(channel_id, session_id, StreamHead(head.position, head.offset, head.microseconds, head.links), items)
    group: list[RecordedEvent] = []
    size = 0
    for event in events:
        group.append(event)
        size += len(event.data)
        if size >= CONTENT_BYTES:
            _add_content(batch, group, now, compressor)
            group, size = [], 0
    if group:
        _add_content(batch, group, now, compressor)
    newest = {row.number: row for row in commands}
    batch.commands = [_command_values(channel_id, session_id, row) for row in newest.values()]
    if exit is not None:
        batch.exit = {"channel_id": channel_id, "status": exit.status, "output_bytes": exit.output_bytes, "recorded_at": now}
    return batch


def _add_content(batch: Batch, events: list[RecordedEvent], now: datetime, compressor: zstandard.ZstdCompressor) -> None:
    head = batch.head
    payload, encoding = pack_content(encode_events(events), compressor)
    salt = os.urandom(SALT_BYTES)
    facts = LinkFacts(
        encoding=encoding,
        events=len(events),
        offset_start=head.offset,
        offset_end=head.offset + sum(len(event.data) for event in events if event.kind is EventKind.OUTPUT),
        time_start=events[0].microseconds,
        time_end=events[-1].microseconds,
        recorded_at=now,
    )
    link = make_link(batch.channel_id, head.position, salt=salt, payload=payload, facts=facts)
    batch.contents.append(
        {"channel_id": batch.channel_id, "seq": link.seq, "payload": payload, "salt": salt, "encoding": encoding},
    )
    batch.links.append(
        {
            "channel_id": batch.channel_id, "seq": link.seq, "previous": link.previous, "content_hash": link.content_hash,
            "metadata_hash": link.metadata_hash, "hash": link.hash, "offset_start": facts.offset_start,
            "offset_end": facts.offset_end, "time_start": facts.time_start / 1_000_000, "time_end": facts.time_end / 1_000_000,
            "event_count": facts.events, "recorded_at": now,
        }
    )  # fmt: skip
    head.position = ChainPosition(link.seq, link.hash)
    head.offset, head.microseconds, head.links = facts.offset_end, facts.time_end, head.links + 1


def write_batches(connection: Connection, batches: Sequence[Batch]) -> None:
    """Write batches in the transaction of ``connection``, which the caller commits."""
    contents = [row for batch in batches for row in batch.contents]
    if contents:
        connection.execute(insert(RecordContent), contents)
        connection.execute(insert(RecordLink), [row for batch in batches for row in batch.links])
    commands = [row for batch in batches for row in batch.commands]
    make = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    if commands:
        statement = make(CommandRow)
        changed = ("directory_after", "exit_status", "seconds", "offset_end", "flags")
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["channel_id", "seq"], set_={name: statement.excluded[name] for name in changed}
            ),
            commands,
        )
    exits = [batch.exit for batch in batches if batch.exit is not None]
    if exits:
        # The same exit again is no news: it may have been written by a commit whose answer was lost.
        connection.execute(make(RecordedExit).on_conflict_do_nothing(), exits)


def is_written(connection: Connection, batch: Batch) -> bool:
    """Tell whether exactly this batch is in the database already: a commit whose answer was lost."""
    if not batch.links:
        return False
    last = batch.links[-1]
    statement = select(RecordLink.hash).where(RecordLink.channel_id == batch.channel_id, RecordLink.seq == last["seq"])
    return connection.execute(statement).scalar_one_or_none() == last["hash"]


def _command_values(channel_id: str, session_id: str, row: CommandValue) -> dict[str, Any]:
    return {
        "channel_id": channel_id, "seq": row.number, "session_id": session_id, "shell_sequence": row.sequence, "line": row.line,
        "line_length": row.line_length, "directory": row.directory, "directory_after": row.directory_after,
        "exit_status": row.exit_status, "started_at": row.started_at, "seconds": row.seconds, "offset_start": row.offset_start,
        "offset_end": row.offset_end, "shell": row.shell[:40], "depth": row.depth, "source": row.source.value,
        "flags": list(row.flags),
    }  # fmt: skip
