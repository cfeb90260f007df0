"""Tables of remote sessions and their channels."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.core.db import Base, IdKey, Ref


class SessionState(StrEnum):
    REQUESTED = "requested"
    APPROVED = "approved"
    LIVE = "live"
    SUSPENDED = "suspended"
    PAUSED = "paused"
    ENDED = "ended"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


FINAL_STATES = frozenset({SessionState.ENDED, SessionState.DENIED, SessionState.EXPIRED, SessionState.CANCELLED})


class RemoteSession(Base):
    """One remote session of one ticket on one endpoint under one leading technician. ``due_at`` is the next moment at
    which the clock must look (decision expires, start window closes, warning, time limit, grace, summary to write); claimed
    like any due row. ``administrator`` says that the OS user may become root. ``login_id`` or
    ``token_id`` is the key by which the technician came in."""

    __tablename__ = "remote_sessions"

    id: Mapped[IdKey]
    ticket_id: Mapped[Ref] = mapped_column(ForeignKey("tickets.id"), index=True)
    ticket_number: Mapped[str] = mapped_column(String(40))
    organisation_id: Mapped[Ref] = mapped_column(ForeignKey("organisations.id"))
    endpoint_id: Mapped[Ref] = mapped_column(ForeignKey("endpoints.id"), index=True)
    technician_id: Mapped[Ref] = mapped_column(ForeignKey("users.id"), index=True)
    technician_name: Mapped[str] = mapped_column(String(200))
    login_id: Mapped[str | None] = mapped_column(String(36))
    token_id: Mapped[str | None] = mapped_column(String(36))
    contact_id: Mapped[Ref] = mapped_column(ForeignKey("contacts.id"))
    contact_name: Mapped[str] = mapped_column(String(200))
    state: Mapped[SessionState] = mapped_column(String(20))
    purpose: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    os_user: Mapped[str] = mapped_column(String(64))
    administrator: Mapped[bool] = mapped_column(default=False)
    recording: Mapped[str] = mapped_column(String(10), default="full")
    max_seconds: Mapped[int]
    start_within_minutes: Mapped[int] = mapped_column(default=480)
    grace_seconds: Mapped[int] = mapped_column(default=120)
    granted_scopes: Mapped[list[str] | None] = mapped_column(JSON)
    granted_seconds: Mapped[int | None]
    consent_id: Mapped[str | None] = mapped_column(String(36))
    grant_id: Mapped[str | None] = mapped_column(String(36))
    grant_jws: Mapped[str | None] = mapped_column(Text)
    start_by_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    suspended_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    warned_minutes: Mapped[int | None]
    end_reason: Mapped[str] = mapped_column(String(60), default="")
    end_actor_name: Mapped[str] = mapped_column(String(200), default="")
    summary: Mapped[str] = mapped_column(Text, default="")
    summary_written: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (Index("ix_remote_sessions_state_created", "state", "created_at"), Index("ix_remote_sessions_due", "due_at"))


class ChannelRow(Base):
    """One channel of a session. ``state``: opening, live, away, exited, closed, failed. ``record_head`` (hex) is the head of
    its recording chain at close; ``word`` the agent's signed account, ``word_differs`` when it does not match ours."""

    __tablename__ = "channels"

    id: Mapped[IdKey]
    session_id: Mapped[Ref] = mapped_column(ForeignKey("remote_sessions.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20), default="opening")
    os_user: Mapped[str] = mapped_column(String(64))
    shell: Mapped[str] = mapped_column(String(100), default="")
    marked: Mapped[bool] = mapped_column(default=False)
    label: Mapped[str] = mapped_column(String(20), default="0")
    columns: Mapped[int]
    rows: Mapped[int]
    agent_instance: Mapped[str] = mapped_column(String(64), default="")
    connection: Mapped[int] = mapped_column(default=0)
    marks_nonce: Mapped[str] = mapped_column(String(64), default="")
    exit_status: Mapped[int | None]
    close_reason: Mapped[str] = mapped_column(String(60), default="")
    output_bytes: Mapped[int] = mapped_column(default=0)
    output_sha256: Mapped[str] = mapped_column(String(64), default="")
    record_head: Mapped[str] = mapped_column(String(64), default="")
    record_count: Mapped[int] = mapped_column(default=0)
    word: Mapped[str] = mapped_column(Text, default="")
    word_differs: Mapped[bool] = mapped_column(default=False)
    data: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
