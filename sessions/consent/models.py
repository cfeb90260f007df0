"""Tables of consent: the signed request, the link by which it is answered, the answer, its receipt."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Boolean, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.core.db import Base, IdKey, Ref


class ConsentRequest(Base):
    """What the technician asks, signed by the server (``request_jws``); page and mail show the fields of the signed form
    and nothing else. ``state``: open, approved, denied, expired, withdrawn. ``follow_up`` asks for more on a live session.
    ``language`` is that of mail and page. ``call_back_*``: a lead rang the stored number of a shared mailbox."""

    __tablename__ = "consent_requests"

    id: Mapped[IdKey]
    session_id: Mapped[Ref] = mapped_column(ForeignKey("remote_sessions.id"), index=True)
    contact_id: Mapped[Ref] = mapped_column(ForeignKey("contacts.id"), index=True)
    approver_right_id: Mapped[str | None] = mapped_column(ForeignKey("approver_rights.id"))
    method: Mapped[str] = mapped_column(String(20), default="link")
    follow_up: Mapped[bool] = mapped_column(Boolean, default=False)
    state: Mapped[str] = mapped_column(String(20), default="open")
    request_jws: Mapped[str] = mapped_column(Text)
    request_hash: Mapped[str] = mapped_column(String(64))
    sent_to: Mapped[str] = mapped_column(String(254))
    shared_mailbox: Mapped[bool] = mapped_column(Boolean, default=False)
    rule_rested: Mapped[str] = mapped_column(String(300), default="")
    call_back_by_id: Mapped[str | None] = mapped_column(String(36))
    call_back_by_name: Mapped[str] = mapped_column(String(200), default="")
    call_back_name: Mapped[str] = mapped_column(String(200), default="")
    call_back_at: Mapped[datetime | None]
    language: Mapped[str] = mapped_column(String(5), default="de")
    questions: Mapped[int] = mapped_column(default=0)
    fetched_at: Mapped[datetime | None]
    bounced_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_consent_requests_contact_created", "contact_id", "created_at"),)


class ConsentLink(Base):
    """Found by the SHA-256 of its token. Deciding consumes the decision only; state and *stop* work until ``dies_at``.
    ``burned_at``: the token was seen in incoming mail. ``watcher_hash``: SHA-256 of the deciding browser's cookie."""

    __tablename__ = "consent_links"

    id: Mapped[IdKey]
    request_id: Mapped[Ref] = mapped_column(ForeignKey("consent_requests.id"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    form_secret: Mapped[str] = mapped_column(String(64))
    decision_until: Mapped[datetime]
    dies_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    burned_at: Mapped[datetime | None]
    watcher_hash: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]


class ConsentCode(Base):
    """Six digits mailed to the approver's stored address, for watch and replay in another browser. Keyed HMAC, five tries,
    ten minutes. ``viewer_hash``: SHA-256 of the cookie given to the browser that typed it."""

    __tablename__ = "consent_codes"

    id: Mapped[IdKey]
    link_id: Mapped[Ref] = mapped_column(ForeignKey("consent_links.id"), index=True)
    code_mac: Mapped[str] = mapped_column(String(64))
    tries_left: Mapped[int] = mapped_column(default=5)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    viewer_hash: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]


class Consent(Base):
    """The answer: yes (perhaps narrowed) or no, by whom, how, from where. ``receipt_jws`` is the signed receipt."""

    __tablename__ = "consents"

    id: Mapped[IdKey]
    request_id: Mapped[Ref] = mapped_column(ForeignKey("consent_requests.id"), unique=True)
    session_id: Mapped[Ref] = mapped_column(ForeignKey("remote_sessions.id"), index=True)
    decision: Mapped[str] = mapped_column(String(10))
    method: Mapped[str] = mapped_column(String(20))
    scopes: Mapped[list[str]] = mapped_column(JSON, default=list)
    max_seconds: Mapped[int] = mapped_column(default=0)
    clock_is_wrong: Mapped[bool] = mapped_column(Boolean, default=False)
    approver_name: Mapped[str] = mapped_column(String(200))
    name_given: Mapped[str] = mapped_column(String(200), default="")
    reason: Mapped[str] = mapped_column(String(300), default="")
    address: Mapped[str | None] = mapped_column(String(64))
    receipt_jws: Mapped[str] = mapped_column(Text, default="")
    withdrawn_at: Mapped[datetime | None]
    decided_at: Mapped[datetime]
