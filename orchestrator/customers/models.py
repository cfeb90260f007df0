"""Tables of customers: organisations, contacts, their addresses and numbers, and the right to approve remote access."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.core.db import Base, IdKey, Ref


class Organisation(Base):
    """A customer company. ``domains`` are its mail domains, lower case. ``internal`` marks the house itself.
    ``priority_matrix`` (``impact/urgency`` → priority) goes before the default one where it is set."""

    __tablename__ = "organisations"

    id: Mapped[IdKey]
    number: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    language: Mapped[str | None] = mapped_column(String(5))
    internal: Mapped[bool] = mapped_column(Boolean, default=False)
    note: Mapped[str] = mapped_column(String(4000), default="")
    priority_matrix: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]


class OrganisationDomain(Base):
    __tablename__ = "organisation_domains"

    domain: Mapped[str] = mapped_column(String(253), primary_key=True)
    organisation_id: Mapped[Ref] = mapped_column(ForeignKey("organisations.id"), index=True)


class Contact(Base):
    """A person at a customer. ``email`` lower case, unique where set. ``email_changed_at`` starts the 24 h in which a
    changed address cannot be used for consent unless ``email_confirmed_at`` is set later. ``shared_mailbox`` marks info@."""

    __tablename__ = "contacts"

    id: Mapped[IdKey]
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisations.id"), index=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    email: Mapped[str | None] = mapped_column(String(254), unique=True)
    phone: Mapped[str | None] = mapped_column(String(40), index=True)
    language: Mapped[str | None] = mapped_column(String(5))
    shared_mailbox: Mapped[bool] = mapped_column(Boolean, default=False)
    email_changed_at: Mapped[datetime | None]
    email_confirmed_at: Mapped[datetime | None]
    email_bounced_at: Mapped[datetime | None]
    left_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]


class ApproverRight(Base):
    """The right of a contact to consent to remote access: for scopes, until a date (at most 12 months), or for one
    ticket with a reason. Ended or suspended rights keep their rows."""

    __tablename__ = "approver_rights"

    id: Mapped[IdKey]
    contact_id: Mapped[Ref] = mapped_column(ForeignKey("contacts.id"), index=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    until: Mapped[datetime]
    ticket_id: Mapped[str | None] = mapped_column(String(36))
    reason: Mapped[str] = mapped_column(String(500), default="")
    granted_by_id: Mapped[Ref] = mapped_column(ForeignKey("users.id"))
    granted_by_name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    suspended_at: Mapped[datetime | None]
    suspended_reason: Mapped[str] = mapped_column(String(200), default="")

    __table_args__ = (Index("ix_approver_rights_contact_until", "contact_id", "until"),)


class CustomerCounter(Base):
    """The last customer number drawn; one row, locked while a number is drawn."""

    __tablename__ = "customer_counters"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]
