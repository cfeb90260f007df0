"""Tables of tickets: queues and members, tickets, the timeline and its attachments, followers, links."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Boolean, CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.core.db import Base, IdKey, Ref


class Status(StrEnum):
    NEW = "new"
    OPEN = "open"
    WAITING_CUSTOMER = "waiting_customer"
    WAITING_UNTIL = "waiting_until"
    RESOLVED = "resolved"
    CLOSED = "closed"


class Kind(StrEnum):
    INCIDENT = "incident"
    REQUEST = "request"
    COMPLAINT = "complaint"
    CLAIM = "claim"
    PROBLEM = "problem"


class Level(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Visibility(StrEnum):
    INTERNAL = "internal"
    CUSTOMER = "customer"


class Medium(StrEnum):
    MAIL = "mail"
    PHONE = "phone"
    FAX = "fax"
    FORM = "form"
    DESK = "desk"
    API = "api"
    REMOTE = "remote"
    PROGRAM = "program"


class EntryKind(StrEnum):
    MESSAGE = "message"          # from or to the customer
    NOTE = "note"                # internal
    CHANGE = "change"            # status, priority, queue, assignee …: ``data`` says what, from, to
    NOTICE = "notice"            # the program did or did not do a thing: confirmation sent, answer suppressed …
    SESSION = "session"          # a step of a remote session: ``data`` holds session_id and step


class Queue(Base):
    __tablename__ = "queues"

    id: Mapped[IdKey]
    name: Mapped[str] = mapped_column(String(100), unique=True)
    address: Mapped[str | None] = mapped_column(String(254), unique=True)
    reopen_days: Mapped[int] = mapped_column(default=14)
    require_verified: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime]


class QueueMember(Base):
    __tablename__ = "queue_members"

    queue_id: Mapped[Ref] = mapped_column(ForeignKey("queues.id"), primary_key=True)
    user_id: Mapped[Ref] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)


class TicketCounter(Base):
    """The next counter of a year; locked while a number is drawn, so numbers have no gap and no double."""

    __tablename__ = "ticket_counters"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]


UNTAKEN = text("assignee_id is null and status in ('new', 'open')")
"""Tickets that anybody of the queue may take; the same words in the index and in the query, or it is not used."""


class Ticket(Base):
    """``priority`` 1 to 5 comes from impact × urgency unless ``priority_reason`` says otherwise. ``rank`` orders boards:
    smaller breaks first."""

    __tablename__ = "tickets"

    id: Mapped[IdKey]
    number: Mapped[str] = mapped_column(String(40), unique=True)
    subject: Mapped[str] = mapped_column(String(500))
    kind: Mapped[Kind] = mapped_column(String(20), default=Kind.INCIDENT)
    status: Mapped[Status] = mapped_column(String(20), default=Status.NEW)
    impact: Mapped[Level] = mapped_column(String(10), default=Level.MEDIUM)
    urgency: Mapped[Level] = mapped_column(String(10), default=Level.MEDIUM)
    priority: Mapped[int] = mapped_column(default=3)
    priority_reason: Mapped[str] = mapped_column(String(500), default="")
    language: Mapped[str] = mapped_column(String(5), default="de")
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisations.id"))
    contact_id: Mapped[str | None] = mapped_column(ForeignKey("contacts.id"), index=True)
    queue_id: Mapped[Ref] = mapped_column(ForeignKey("queues.id"))
    assignee_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    tags: Mapped[list[str]] = mapped_column(JSON, default=list)
    wait_until: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    first_response_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("priority between 1 and 5", name="priority_range"),
        Index("ix_tickets_queue_status_rank", "queue_id", "status", "priority", "created_at"),
        Index("ix_tickets_assignee_status_rank", "assignee_id", "status", "priority", "created_at"),
        Index("ix_tickets_status_created", "status", "created_at"),
        Index("ix_tickets_organisation_created", "organisation_id", "created_at"),
        Index("ix_tickets_created", "created_at"),
        Index("ix_tickets_changed", "changed_at"),
        Index("ix_tickets_status_rank", "status", "priority", "created_at"),
        Index("ix_tickets_queue_created", "queue_id", "created_at"),
        Index("ix_tickets_queue_status_created", "queue_id", "status", "created_at"),
        Index("ix_tickets_assignee_created", "assignee_id", "created_at"),
        Index("ix_tickets_assignee_status_created", "assignee_id", "status", "created_at"),
        Index("ix_tickets_status_wait", "status", "wait_until"),
        Index("ix_tickets_untaken", "queue_id", "priority", "created_at", sqlite_where=UNTAKEN, postgresql_where=UNTAKEN),
    )


class Entry(Base):
    """One item of a ticket's timeline. Nothing is deleted; corrections are new entries. ``text`` is the new text of a
    mail, ``folded`` what was quoted or signed, ``html`` the sanitised form. ``data`` depends on the kind."""

    __tablename__ = "entries"

    id: Mapped[IdKey]
    ticket_id: Mapped[Ref] = mapped_column(ForeignKey("tickets.id"))
    seq: Mapped[int]
    kind: Mapped[EntryKind] = mapped_column(String(20))
    visibility: Mapped[Visibility] = mapped_column(String(20))
    medium: Mapped[Medium] = mapped_column(String(20))
    author_kind: Mapped[str] = mapped_column(String(20))
    author_id: Mapped[str | None] = mapped_column(String(36))
    author_name: Mapped[str] = mapped_column(String(200))
    subject: Mapped[str] = mapped_column(String(500), default="")
    text: Mapped[str] = mapped_column(Text, default="")
    folded: Mapped[str] = mapped_column(Text, default="")
    html: Mapped[str] = mapped_column(Text, default="")
    data: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    happened_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("ticket_id", "seq"), Index("ix_entries_ticket_happened", "ticket_id", "happened_at"))


class Attachment(Base):
    __tablename__ = "attachments"

    id: Mapped[IdKey]
    entry_id: Mapped[Ref] = mapped_column(ForeignKey("entries.id"), index=True)
    name: Mapped[str] = mapped_column(String(255))
    media_type: Mapped[str] = mapped_column(String(120))
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    content_id: Mapped[str | None] = mapped_column(String(255))
    blob_sha256: Mapped[str] = mapped_column(ForeignKey("blobs.sha256"))


class Blob(Base):
    """Bytes stored once by their SHA-256 (hex). ``size`` is the count before compression; ``encoding`` raw|zstd."""

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int]
    encoding: Mapped[str] = mapped_column(String(10), default="raw")
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Follower(Base):
    __tablename__ = "followers"

    ticket_id: Mapped[Ref] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    user_id: Mapped[Ref] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)


class Participant(Base):
    """A mail address that took part in a ticket and so may follow up."""

    __tablename__ = "participants"

    ticket_id: Mapped[Ref] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    address: Mapped[str] = mapped_column(String(254), primary_key=True)


class TicketLink(Base):
    """``relation``: parent, duplicate, related."""

    __tablename__ = "ticket_links"

    ticket_id: Mapped[Ref] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    other_id: Mapped[Ref] = mapped_column(ForeignKey("tickets.id"), primary_key=True, index=True)
    relation: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime]
