"""Tables of accounts: people who work with the desk, their logins, one-time links, API tokens, and program-wide settings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.core.db import Base, IdKey, Ref


class User(Base):
    """``roles`` is a list of Role values. ``email`` is stored lower case. Disabled users keep their rows.
    ``totp_secret`` is sealed: ``secret_box.py``."""

    __tablename__ = "users"

    id: Mapped[IdKey]
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    roles: Mapped[list[str]] = mapped_column(JSON)
    password_hash: Mapped[str | None] = mapped_column(String(500))
    totp_secret: Mapped[str | None] = mapped_column(String(200))
    totp_last_step: Mapped[int | None]
    language: Mapped[str] = mapped_column(String(5), default="de")
    time_zone: Mapped[str] = mapped_column(String(64), default="Europe/Berlin")
    theme: Mapped[str] = mapped_column(String(10), default="auto")
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Login(Base):
    """One login session of a user in a browser, found by the SHA-256 of its cookie. Revocable."""

    __tablename__ = "logins"

    id: Mapped[IdKey]
    user_id: Mapped[Ref] = mapped_column(ForeignKey("users.id"), index=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    csrf_secret: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    proved_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    address: Mapped[str] = mapped_column(String(64))
    agent_name: Mapped[str] = mapped_column(String(300), default="")


class OneTimeLink(Base):
    """A link that works once: set-up of password and second factor. Found by the SHA-256 of its token."""

    __tablename__ = "one_time_links"

    id: Mapped[IdKey]
    purpose: Mapped[str] = mapped_column(String(30))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class APIToken(Base):
    __tablename__ = "api_tokens"

    id: Mapped[IdKey]
    user_id: Mapped[Ref] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    rights: Mapped[list[str]] = mapped_column(JSON)
    address: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class StoredSetting(Base):
    """Settings an administrator changes in the running program, and secrets made at first start (``secret`` rows are
    never shown). Keys: ``instance.id``, ``instance.epoch``, ``desk.name``, ``desk.single_person`` …"""

    __tablename__ = "stored_settings"

    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[str] = mapped_column(String(4000))
    secret: Mapped[bool] = mapped_column(Boolean, default=False)
    changed_at: Mapped[datetime]


class IdempotencyKey(Base):
    """The answer to a POST that named an Idempotency-Key, kept for a day; in the transaction of the change."""

    __tablename__ = "idempotency_keys"

    id: Mapped[IdKey]
    owner: Mapped[str] = mapped_column(String(80))
    key: Mapped[str] = mapped_column(String(200))
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("owner", "key"), Index("ix_idempotency_keys_created_at", "created_at"))
