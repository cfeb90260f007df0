"""Tables of intake: every raw input as it came, before anybody tried to understand it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.core.db import Base, IdKey


class RawInput(Base):
    """``key`` is the SHA-256 of the raw bytes: the same input twice is one row. ``state``: stored, understood, failed,
    quarantined. ``raw`` is zstd-compressed and holds our own tokens masked. ``outcome`` and ``reason`` as on the command
    line; ``decision`` is the explained follow-up decision."""

    __tablename__ = "raw_inputs"

    id: Mapped[IdKey]
    door: Mapped[str] = mapped_column(String(20))
    key: Mapped[str] = mapped_column(String(64), unique=True)
    envelope_from: Mapped[str | None] = mapped_column(String(254))
    envelope_to: Mapped[str | None] = mapped_column(String(2000))
    message_id: Mapped[str | None] = mapped_column(String(998))
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int]
    sender_verified: Mapped[str] = mapped_column(String(10), default="none")
    state: Mapped[str] = mapped_column(String(20), default="stored")
    outcome: Mapped[str] = mapped_column(String(20), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    decision: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    ticket_id: Mapped[str | None] = mapped_column(ForeignKey("tickets.id"))
    entry_id: Mapped[str | None] = mapped_column(ForeignKey("entries.id"))
    received_at: Mapped[datetime]

    __table_args__ = (Index("ix_raw_inputs_state_received", "state", "received_at"),)


class KnownMessage(Base):
    """Message-IDs seen in or sent from a ticket, for threading. ``message_hash`` is the SHA-256 of the id without <>."""

    __tablename__ = "known_messages"

    id: Mapped[IdKey]
    message_hash: Mapped[str] = mapped_column(String(64), index=True)
    ticket_id: Mapped[str] = mapped_column(ForeignKey("tickets.id"), index=True)
    entry_id: Mapped[str | None] = mapped_column(ForeignKey("entries.id"))
    ours: Mapped[bool]
    created_at: Mapped[datetime]
