"""Tables of endpoints: managed machines, their keys, and the tokens that let an agent enrol."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.core.db import Base, IdKey, Ref


class Endpoint(Base):
    """``state``: waiting (enrolled, not accepted), accepted, disabled. ``endpoint_class``: server or client.
    ``holder_label`` and ``holder_epoch`` name the process that holds the control link; a stale holder's writes are refused.
    ``online`` is what that holder last wrote. ``consent_mode``: here or server, as the agent's local policy says."""

    __tablename__ = "endpoints"

    id: Mapped[IdKey]
    organisation_id: Mapped[Ref] = mapped_column(ForeignKey("organisations.id"), index=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    state: Mapped[str] = mapped_column(String(20), default="waiting")
    endpoint_class: Mapped[str | None] = mapped_column(String(10))
    claimed_class: Mapped[str | None] = mapped_column(String(10))
    consent_mode: Mapped[str] = mapped_column(String(10), default="server")
    responsible_kind: Mapped[str | None] = mapped_column(String(10))
    responsible_id: Mapped[str | None] = mapped_column(String(36))
    public_key: Mapped[str] = mapped_column(String(100), unique=True)
    fingerprint: Mapped[str] = mapped_column(String(80), unique=True)
    protected: Mapped[bool] = mapped_column(Boolean, default=False)
    agent_user: Mapped[str] = mapped_column(String(64), default="")
    agent_version: Mapped[str] = mapped_column(String(40), default="")
    duplicate_name: Mapped[bool] = mapped_column(Boolean, default=False)
    inventory: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    accounts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    clock_offset_seconds: Mapped[float] = mapped_column(default=0.0)
    online: Mapped[bool] = mapped_column(Boolean, default=False)
    holder_label: Mapped[str | None] = mapped_column(String(20))
    holder_epoch: Mapped[int] = mapped_column(default=0)
    last_seen_at: Mapped[datetime | None]
    enrolled_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    accepted_by_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (Index("ix_endpoints_organisation_state", "organisation_id", "state"),)


class EnrolmentToken(Base):
    """``secret_hash`` is the SHA-256 of the secret part. ``auto_class`` and ``responsible_*`` are set on auto-accept tokens."""

    __tablename__ = "enrolment_tokens"

    id: Mapped[IdKey]
    secret_hash: Mapped[str] = mapped_column(String(64))
    organisation_id: Mapped[Ref] = mapped_column(ForeignKey("organisations.id"))
    uses_left: Mapped[int]
    auto_accept: Mapped[bool] = mapped_column(Boolean, default=False)
    auto_class: Mapped[str | None] = mapped_column(String(10))
    responsible_kind: Mapped[str | None] = mapped_column(String(10))
    responsible_id: Mapped[str | None] = mapped_column(String(36))
    created_by_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
