"""The outbox: mails to send, as due rows with a lease; and the count of automatic answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.core.db import Base, IdKey, Ref


class OutgoingMail(Base):
    """``state``: due, sent, failed. ``message_id`` is fixed when the row is made, so a repeated attempt is recognised.
    ``text`` is stored masked: ``{link}`` stands where the secret goes, ``sealed`` holds it encrypted until sent, then it
    is erased. ``automatic`` mails leave with a null return path (RFC 3834). After ``not_after`` a mail is of no use any more
    and is not sent."""

    __tablename__ = "outgoing_mails"

    id: Mapped[IdKey]
    purpose: Mapped[str] = mapped_column(String(40))
    ticket_id: Mapped[str | None] = mapped_column(ForeignKey("tickets.id"), index=True)
    entry_id: Mapped[str | None] = mapped_column(ForeignKey("entries.id"), index=True)
    reference_id: Mapped[str | None] = mapped_column(String(36), index=True)
    to_address: Mapped[str] = mapped_column(String(254))
    to_name: Mapped[str] = mapped_column(String(200), default="")
    cc: Mapped[list[str]] = mapped_column(JSON, default=list)
    subject: Mapped[str] = mapped_column(String(600))
    text: Mapped[str] = mapped_column(Text)
    headers: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    attachment_ids: Mapped[list[str]] = mapped_column(JSON, default=list)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    message_id: Mapped[str] = mapped_column(String(300), unique=True)
    in_reply_to: Mapped[str] = mapped_column(String(998), default="")
    references: Mapped[str] = mapped_column(Text, default="")
    automatic: Mapped[bool]
    state: Mapped[str] = mapped_column(String(10), default="due")
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    not_after: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(String(1000), default="")
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_outgoing_mails_state_due", "state", "due_at"),)


class AutomaticAnswer(Base):
    """One automatic answer sent or suppressed, for the rates of the loop guard."""

    __tablename__ = "automatic_answers"

    id: Mapped[IdKey]
    ticket_id: Mapped[Ref] = mapped_column(ForeignKey("tickets.id"))
    address: Mapped[str] = mapped_column(String(254))
    sent: Mapped[bool]
    reason: Mapped[str] = mapped_column(String(300), default="")
    created_at: Mapped[datetime]

    __table_args__ = (
        Index("ix_automatic_answers_ticket_address", "ticket_id", "address", "created_at"),
        Index("ix_automatic_answers_address", "address", "created_at"),
    )
