"""The search index: one row a document, beside the engine's own full-text structure (SQLite FTS5 table
``search_fts`` with rowid = ``search_documents.id``; PostgreSQL column ``vector`` with a GIN index), made in migrations."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.core.db import Base


class SearchRow(Base):
    """``kind``: ticket, entry, article, contact, organisation, endpoint, command. ``stems`` holds the
    stems of the body, ``title_stems`` those of the title and the token ``kind<kind>``, by which a search stays within a kind."""

    __tablename__ = "search_documents"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(20))
    ref_id: Mapped[str] = mapped_column(String(80))
    ticket_id: Mapped[str | None] = mapped_column(String(36), index=True)
    organisation_id: Mapped[str | None] = mapped_column(String(36))
    queue_id: Mapped[str | None] = mapped_column(String(36))
    internal: Mapped[bool]
    language: Mapped[str | None] = mapped_column(String(5))
    title: Mapped[str] = mapped_column(String(600))
    body: Mapped[str] = mapped_column(Text)
    title_stems: Mapped[str] = mapped_column(Text)
    stems: Mapped[str] = mapped_column(Text)
    happened_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("kind", "ref_id"), Index("ix_search_documents_kind_happened", "kind", "happened_at"))


class SearchPending(Base):
    """Documents whose index row must be renewed; written with the change, worked off at once after the commit."""

    __tablename__ = "search_pending"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(20))
    ref_id: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]
