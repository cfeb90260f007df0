"""Tables of recordings and of command rows (``RecordBase``: a file of their own on SQLite; the same database on PostgreSQL).

``record_contents`` holds batches of binary events (kind, time, length, raw bytes), zstd where that pays; ``record_links``
the hash chain, one for each channel. Append-only by triggers in both databases.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Float, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.core.db import IdKey, RecordBase, Ref


class RecordContent(RecordBase):
    """``offset_start`` to ``offset_end`` count raw output bytes of the channel; ``encoding`` is raw or zstd."""

    __tablename__ = "record_contents"

    channel_id: Mapped[Ref] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    salt: Mapped[bytes] = mapped_column(LargeBinary(16))
    encoding: Mapped[str] = mapped_column(String(10))


class RecordLink(RecordBase):
    __tablename__ = "record_links"

    channel_id: Mapped[Ref] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    previous: Mapped[bytes] = mapped_column(LargeBinary(32))
    content_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    metadata_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    offset_start: Mapped[int] = mapped_column(BigInteger)
    offset_end: Mapped[int] = mapped_column(BigInteger)
    time_start: Mapped[float] = mapped_column(Float(53))
    time_end: Mapped[float] = mapped_column(Float(53))
    event_count: Mapped[int]
    recorded_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("channel_id", "previous"), Index("ix_record_links_channel_offset", "channel_id", "offset_end"))


class RecordErasure(RecordBase):
    """Names a recorded content that was erased, why and by whom. Append-only; the only licence to delete a content."""

    __tablename__ = "record_erasures"

    id: Mapped[IdKey]
    channel_id: Mapped[Ref]
    seq: Mapped[int]
    reason: Mapped[str] = mapped_column(String(500))
    actor_name: Mapped[str] = mapped_column(String(200))
    happened_at: Mapped[datetime]


class RecordedExit(RecordBase):
    """The exit of a channel's process, durable beside its recording: repeated at every attach."""

    __tablename__ = "recorded_exits"

    channel_id: Mapped[Ref] = mapped_column(primary_key=True)
    status: Mapped[int]
    output_bytes: Mapped[int] = mapped_column(BigInteger)
    recorded_at: Mapped[datetime]


class CommandRow(RecordBase):
    """One recorded command line; an index into the recording, not proof. ``line`` is None when the shell did not say.
    ``seq`` counts rows, ``shell_sequence`` is the number that the shell gave the line in its marks.
    ``flags`` as in docs/protocol: next-line, no-end-mark, shell-ended, cut:N, damaged, text-unknown, nested."""

    __tablename__ = "commands"

    channel_id: Mapped[Ref] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    session_id: Mapped[Ref] = mapped_column(index=True)
    shell_sequence: Mapped[int | None]
    line: Mapped[str | None] = mapped_column(Text)
    line_length: Mapped[int] = mapped_column(default=0)
    directory: Mapped[str | None] = mapped_column(String(4096))
    directory_after: Mapped[str | None] = mapped_column(String(4096))
    exit_status: Mapped[int | None]
    started_at: Mapped[datetime | None]
    seconds: Mapped[float | None]
    offset_start: Mapped[int] = mapped_column(BigInteger)
    offset_end: Mapped[int | None] = mapped_column(BigInteger)
    shell: Mapped[str] = mapped_column(String(40), default="")
    depth: Mapped[int] = mapped_column(default=0)
    source: Mapped[str] = mapped_column(String(20), default="marks")
    flags: Mapped[list[str]] = mapped_column(JSON, default=list)
