"""Tables of the knowledge base: articles, their versions, and links to tickets that they solved."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.core.db import Base, IdKey, Ref


class Article(Base):
    """``state``: draft, published, withdrawn. The current text is kept here; each change adds a version row. ``group_id``
    joins the languages of one article."""

    __tablename__ = "articles"

    id: Mapped[IdKey]
    group_id: Mapped[Ref] = mapped_column(index=True)
    language: Mapped[str] = mapped_column(String(5))
    title: Mapped[str] = mapped_column(String(300))
    problem: Mapped[str] = mapped_column(Text, default="")
    body: Mapped[str] = mapped_column(Text, default="")
    internal: Mapped[bool] = mapped_column(Boolean, default=True)
    state: Mapped[str] = mapped_column(String(20), default="draft")
    version: Mapped[int] = mapped_column(default=1)
    from_session_id: Mapped[str | None] = mapped_column(String(36))
    from_ticket_id: Mapped[str | None] = mapped_column(ForeignKey("tickets.id"))
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    published_at: Mapped[datetime | None]


class ArticleVersion(Base):
    __tablename__ = "article_versions"

    id: Mapped[IdKey]
    article_id: Mapped[Ref] = mapped_column(ForeignKey("articles.id"))
    version: Mapped[int]
    title: Mapped[str] = mapped_column(String(300))
    problem: Mapped[str] = mapped_column(Text, default="")
    body: Mapped[str] = mapped_column(Text, default="")
    author_name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("article_id", "version"),)


class ArticleUse(Base):
    """An article linked to a ticket: suggested and taken as the solution, or written from it."""

    __tablename__ = "article_uses"

    article_id: Mapped[Ref] = mapped_column(ForeignKey("articles.id"), primary_key=True)
    ticket_id: Mapped[Ref] = mapped_column(ForeignKey("tickets.id"), primary_key=True, index=True)
    helped: Mapped[bool | None]
    created_at: Mapped[datetime]
