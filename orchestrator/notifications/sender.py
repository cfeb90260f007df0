"""Sending the outbox: due rows with a lease, backoff, and an end. At least once, always under the same Message-ID.

Order in ``perform``: read the row, talk to the server without any transaction, then write the outcome. Killed in between,
the lease runs out and the mail leaves again; the receiver recognises it by its Message-ID.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Select, func, or_, select

from orchestrator.accounts.desk import read_desk_facts
from orchestrator.core.db import Database, ReadUnit, WriteUnit
from orchestrator.core.errors import AppError
from orchestrator.core.jobs import skip_locked
from orchestrator.core.settings import Settings
from orchestrator.notifications.events import MailFailed, MailSent
from orchestrator.notifications.message import AttachedFile, build_message
from orchestrator.notifications.models import OutgoingMail
from orchestrator.notifications.sealing import SealBroken, unseal
from orchestrator.notifications.smtp import TIMEOUT_SECONDS, Delivered, DeliveryError, send_message
from orchestrator.tickets.blobs import read_blob
from orchestrator.tickets.models import Attachment, Ticket
from orchestrator.tickets.service import add_notice

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 16
"""With the backoff below: about three days."""
FIRST_WAIT_SECONDS = 30
LONGEST_WAIT_SECONDS = 6 * 3600
COPIES_MAY_WAIT = 5
"""After so many attempts a copy that is still put off is left out."""


@dataclass(frozen=True, slots=True)
class _Ready:
    mail: OutgoingMail
    sender_name: str
    sender_address: str
    files: tuple[AttachedFile, ...]


class MailDelivery:
    """Due work over ``outgoing_mails``. Without a mail server in the settings nothing is claimed, and the mails wait."""

    name = "mail"

    def __init__(self, database: Database, settings: Settings, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._database = database
        self._settings = settings
        self._timeout_seconds = timeout_seconds

    def claim(self, unit: WriteUnit, *, lease_until: datetime, limit: int) -> Sequence[str]:
        if not self._settings.smtp_host:
            return []
        statement: Select[str] = select(OutgoingMail.id).where(
            OutgoingMail.state == "due", OutgoingMail.due_at <= unit.now,
            or_(OutgoingMail.lease_until.is_(None), OutgoingMail.lease_until <= unit.now),
        ).order_by(OutgoingMail.due_at, OutgoingMail.id).limit(limit)
        ids = unit.db.scalars(skip_locked(unit, statement)).all()
        claimed: list[str] = []
        for mail in unit.db.scalars(select(OutgoingMail).where(OutgoingMail.id.in_(ids)).order_by(OutgoingMail.due_at, OutgoingMail.id)).all():
            useless = why_useless(mail, unit.now)
            if useless is not None:
                _give_up(unit, mail, useless)
                continue
            mail.lease_until = lease_until
            mail.attempts += 1
            claimed.append(mail.id)
        return claimed

    def perform(self, row_id: str) -> None:
        """Send one claimed mail and write down what became of it."""
        with self._database.read() as unit:
            ready = self._load(unit, row_id)
        if ready is None:
            return
        try:
            delivered = self._send(ready)
        except DeliveryError as exc:
            log.warning("mail not delivered", mail=row_id, stage=exc.stage, reason=exc.answer, permanent=exc.permanent,
                        attempt=ready.mail.attempts)
            with self._database.write() as unit:
                note_undelivered(unit, row_id, exc)
            return
        with self._database.write() as unit:
            note_delivered(unit, row_id, delivered)

    def _load(self, unit: ReadUnit, row_id: str) -> _Ready | None:
        mail = unit.db.get(OutgoingMail, row_id)
        if mail is None or mail.state != "due":
            return None
        facts = read_desk_facts(unit)
        rows = unit.db.scalars(select(Attachment).where(Attachment.id.in_(mail.attachment_ids)).order_by(Attachment.id)).all()
        files = tuple(AttachedFile(one.name, one.media_type, read_blob(unit, one.blob_sha256)) for one in rows)
        return _Ready(mail, facts.mail_name, facts.mail_address, files)

    def _send(self, ready: _Ready) -> Delivered:
        mail = ready.mail
        try:
            secrets = unseal(self._settings.data_dir, mail.sealed, label=mail.id) if mail.sealed else {}
            message = build_message(mail, sender_name=ready.sender_name, sender_address=ready.sender_address, date=mail.created_at,
                                    secrets=secrets, files=ready.files)
        except SealBroken as exc:
            raise DeliveryError("sealing", str(exc), permanent=True) from exc
        except (AppError, ValueError, IndexError) as exc:  # a row that cannot become a message will never be one
            raise DeliveryError("message", f"{type(exc).__name__}: {exc}"[:300], permanent=True) from exc
        return send_message(self._settings, message, return_path="" if mail.automatic else ready.sender_address,
                            to_address=mail.to_address, cc=mail.cc, timeout_seconds=self._timeout_seconds,
                            skip_deferred_copies=mail.attempts >= COPIES_MAY_WAIT)


def note_delivered(unit: WriteUnit, mail_id: str, delivered: Delivered) -> None:
    """The server has taken the mail: its secret is erased."""
    mail = _lock(unit, mail_id)
    if mail is None or mail.state != "due":
        return
    mail.state, mail.sent_at, mail.sealed, mail.lease_until, mail.last_error = "sent", unit.now, None, None, ""
    ticket = unit.db.get(Ticket, mail.ticket_id) if mail.ticket_id else None
    if delivered.refused and ticket is not None:
        add_notice(unit, ticket, code="mail_partly_refused", values={
            "subject": mail.subject, "addresses": ", ".join(delivered.refused), "error": next(iter(delivered.refused.values()))})
    unit.db.flush()
    unit.emit(MailSent(mail.id, mail.purpose, mail.reference_id, mail.ticket_id))


def note_undelivered(unit: WriteUnit, mail_id: str, error: DeliveryError) -> None:
    """Try again later, or give up: then the secret is erased too and the ticket says so."""
    mail = _lock(unit, mail_id)
    if mail is None or mail.state != "due":
        return
    mail.lease_until, mail.last_error = None, str(error)[:1000]
    if not error.permanent and mail.attempts < MAX_ATTEMPTS:
        mail.due_at = unit.now + wait_before(mail.attempts, random.random())  # noqa: S311  # spreads load, protects nothing
        return
    _give_up(unit, mail, error)


def why_useless(mail: OutgoingMail, now: datetime) -> DeliveryError | None:
    """Say why a due mail is not tried any more, or None: its last attempt ended without an outcome, or its time is over."""
    if mail.attempts >= MAX_ATTEMPTS:
        return DeliveryError("attempts", "no attempt is left, and the outcome of the last one is unknown", permanent=True)
    if mail.not_after is not None and mail.not_after <= now:
        return DeliveryError("time", "what the mail is about is over", permanent=True)
    return None


def _give_up(unit: WriteUnit, mail: OutgoingMail, error: DeliveryError) -> None:
    mail.state, mail.sealed, mail.lease_until, mail.last_error = "failed", None, None, str(error)[:1000]
    ticket = unit.db.get(Ticket, mail.ticket_id) if mail.ticket_id else None
    if ticket is not None:
        add_notice(unit, ticket, code="mail_failed", values={"subject": mail.subject, "address": mail.to_address, "error": error.answer})
    unit.db.flush()
    unit.emit(MailFailed(mail.id, mail.purpose, mail.reference_id, mail.ticket_id, error.address_refused))


def wait_before(attempts: int, chance: float) -> timedelta:
    """How long to wait after ``attempts`` failed ones: doubling from 30 s to 6 h, spread by ``chance`` (0 to 1) over the
    upper half, so that many mails do not come back at once."""
    longest = min(FIRST_WAIT_SECONDS * 2 ** min(attempts - 1, 20), LONGEST_WAIT_SECONDS)
    return timedelta(seconds=longest * (0.5 + chance / 2))


def count_waiting(unit: ReadUnit) -> tuple[int, int]:
    """Return how many mails wait longer than five minutes and how many failed within a day; for the health page."""
    late = select(func.count()).select_from(OutgoingMail).where(
        OutgoingMail.state == "due", OutgoingMail.created_at < unit.now - timedelta(minutes=5))
    failed = select(func.count()).select_from(OutgoingMail).where(
        OutgoingMail.state == "failed", OutgoingMail.due_at > unit.now - timedelta(days=1))
    return unit.db.scalar(late) or 0, unit.db.scalar(failed) or 0


def _lock(unit: WriteUnit, mail_id: str) -> OutgoingMail | None:
    return unit.db.scalar(select(OutgoingMail).where(OutgoingMail.id == mail_id).with_for_update(key_share=True)
                          .execution_options(populate_existing=True))
