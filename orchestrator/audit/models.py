"""Tables of the hash chains in the main database: the global audit chain and one event chain for each session.

``chain_contents`` (payload and salt) may go when an ``erasures`` row names them; ``chain_links`` (hashes only) never
change or go. Triggers in both databases hold that; migrations and ``fernwart check`` compare the list of triggers.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.core.db import Base, IdKey, Ref


class Chain(Base):
    """The head of a chain: locked by ``append``. Kinds: ``audit`` (one), ``session`` (id = session id)."""

    __tablename__ = "chains"

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    seq: Mapped[int] = mapped_column(default=0)
    head: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[datetime]


class ChainContent(Base):
    """Canonical JSON payload and a random salt of 16 bytes."""

    __tablename__ = "chain_contents"

    id: Mapped[IdKey]
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    salt: Mapped[bytes] = mapped_column(LargeBinary(16))


class ChainLink(Base):
    """Chain entry: hash = SHA-256 over domain label, chain id, seq, previous, content hash, metadata hash."""

    __tablename__ = "chain_links"

    chain_id: Mapped[str] = mapped_column(ForeignKey("chains.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    previous: Mapped[bytes] = mapped_column(LargeBinary(32))
    content_id: Mapped[Ref]
    content_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    kind: Mapped[str] = mapped_column(String(60))
    happened_at: Mapped[datetime]
    metadata_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))

    __table_args__ = (UniqueConstraint("chain_id", "previous"),)


class Erasure(Base):
    """Names a content that was erased, why, and by whom. Append-only."""

    __tablename__ = "erasures"

    id: Mapped[IdKey]
    content_id: Mapped[Ref]
    reason: Mapped[str] = mapped_column(String(500))
    actor_name: Mapped[str] = mapped_column(String(200))
    happened_at: Mapped[datetime]


class AuditEntry(Base):
    """An index over the audit chain for the page and its filters; the chain is the proof, this is the list."""

    __tablename__ = "audit_entries"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(60))
    actor_kind: Mapped[str] = mapped_column(String(20))
    actor_id: Mapped[str | None] = mapped_column(String(36))
    actor_name: Mapped[str] = mapped_column(String(200))
    subject: Mapped[str] = mapped_column(String(200), default="")
    ticket_number: Mapped[str | None] = mapped_column(String(40))
    summary: Mapped[str] = mapped_column(String(1000), default="")
    address: Mapped[str | None] = mapped_column(String(64))
    happened_at: Mapped[datetime]

    __table_args__ = (Index("ix_audit_entries_kind_seq", "kind", "seq"), Index("ix_audit_entries_actor_id_seq", "actor_id", "seq"))
