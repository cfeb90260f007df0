"""Reads of recordings and command rows; all on the record database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, exists, select

from orchestrator.core.db import ReadUnit
from sessions.recording.interface import CommandRow as CommandValue
from sessions.recording.interface import CommandSource
from sessions.recording.models import CommandRow, RecordContent, RecordedExit, RecordErasure, RecordLink

_BATCH_ROWS = 32


class StoredContent(NamedTuple):
    """A link with its content as stored; ``payload``, ``salt`` and ``encoding`` are None when the content is gone."""

    link: RecordLink
    payload: bytes | None
    salt: bytes | None
    encoding: str | None
    is_erased: bool


class LastLink(NamedTuple):
    """The end of a stored recording; ``time_end`` in seconds since the channel's start."""

    seq: int
    hash: bytes
    offset_end: int
    time_end: float


def find_last_link(connection: Connection, channel_id: str) -> LastLink | None:
    """Return the end of a channel's chain, None if nothing was recorded."""
    statement = (
        select(RecordLink.seq, RecordLink.hash, RecordLink.offset_end, RecordLink.time_end)
        .where(RecordLink.channel_id == channel_id)
        .order_by(RecordLink.seq.desc())
        .limit(1)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else LastLink(*row)


def find_exit(connection: Connection, channel_id: str) -> int | None:
    """Return the recorded exit status of a channel's process, None if there is none."""
    return connection.execute(select(RecordedExit.status).where(RecordedExit.channel_id == channel_id)).scalar_one_or_none()


def read_contents(unit: ReadUnit, channel_id: str, *, from_offset: int = 0, from_seq: int = 1) -> Iterator[StoredContent]:
    """Read links and contents in order, in batches, from the one that holds ``from_offset`` on, without checking."""
    statement = (
        select(
            RecordLink,
            RecordContent.payload,
            RecordContent.salt,
            RecordContent.encoding,
            exists().where(RecordErasure.channel_id == RecordLink.channel_id, RecordErasure.seq == RecordLink.seq),
        )
        .outerjoin(RecordContent, (RecordContent.channel_id == RecordLink.channel_id) & (RecordContent.seq == RecordLink.seq))
        .where(RecordLink.channel_id == channel_id, RecordLink.seq >= from_seq)
        .order_by(RecordLink.seq)
        .limit(_BATCH_ROWS)
    )
    if from_offset:
        statement = statement.where(RecordLink.offset_end > from_offset)
    rows = unit.db.execute(statement).all()
    while rows:
        yield from (StoredContent(*row) for row in rows)
        rows = unit.db.execute(statement.where(RecordLink.seq > rows[-1][0].seq)).all()


def list_commands(unit: ReadUnit, *, session_id: str | None = None, channel_id: str | None = None) -> list[CommandRow]:
    """List command rows of a session or a channel, in the order they started."""
    statement = select(CommandRow).order_by(CommandRow.started_at, CommandRow.channel_id, CommandRow.seq)
    if session_id is not None:
        statement = statement.where(CommandRow.session_id == session_id)
    if channel_id is not None:
        statement = statement.where(CommandRow.channel_id == channel_id)
    if session_id is None and channel_id is None:
        raise ValueError("commands of a session or of a channel, not of everybody")
    return list(unit.db.scalars(statement))


def list_command_values(unit: ReadUnit, channel_id: str) -> list[CommandValue]:
    """List a channel's rows as the recorder's own values, for continuing where another process stopped."""
    return [
        CommandValue(
            number=row.seq, sequence=row.shell_sequence, depth=row.depth, shell=row.shell, line=row.line, line_length=row.line_length,
            directory=row.directory, directory_after=row.directory_after, exit_status=row.exit_status, started_at=row.started_at,
            seconds=row.seconds, offset_start=row.offset_start, offset_end=row.offset_end, source=CommandSource(row.source),
            flags=tuple(row.flags),
        )
        for row in sorted(list_commands(unit, channel_id=channel_id), key=lambda row: row.seq)
        if row.started_at is not None
    ]  # fmt: skip
