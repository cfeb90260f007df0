"""Every door ends here: store the raw input durably, understand it, then let the door acknowledge.

Here: the order of the transactions, and what happens when understanding fails. Not here: doors (`mail/smtp.py`, `pipe.py`),
what a mail becomes (`understand.py`).

The first transaction holds the raw bytes and nothing else: once it is committed, the mail cannot be lost. Whatever fails
later, it is there and is understood again, by the sender's next attempt or at the next start.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from orchestrator.accounts.actor import SYSTEM
from orchestrator.core.db import Database, ReadUnit, WriteUnit
from orchestrator.core.errors import Unavailable
from orchestrator.core.settings import Settings
from orchestrator.intake.mail.masking import mask_tokens
from orchestrator.intake.mail.parse import parse_message
from orchestrator.intake.mail.parsed import ParsedMail
from orchestrator.intake.models import RawInput
from orchestrator.intake.raw import Arrival, RawState, hash_raw, list_waiting, lock_raw, read_raw, store_raw
from orchestrator.intake.understand import IntakeResult, Outcome, understand_mail
from orchestrator.tickets.blobs import NewAttachment
from orchestrator.tickets.models import Medium, Ticket
from orchestrator.tickets.queues import create_queue, default_queue
from orchestrator.tickets.service import open_ticket

log = structlog.get_logger(__name__)

_RECOVER_AT_ONCE = 500


def receive_mail(
    database: Database, settings: Settings, raw: bytes, *, door: str, envelope_from: str | None, envelope_to: Sequence[str] = (),
    sender_verified: str = "none",
) -> IntakeResult:
    """Take in one raw mail. When this returns, the door may acknowledge; the same bytes again change nothing.

    ``envelope_from`` is empty for the null return path and None where the door does not know it. ``sender_verified`` is
    pass, fail or none.

    Raises:
        Unavailable: nothing could be stored, or not all of it; the sender must try again.
    """
    started = time.monotonic()
    arrival = arrive(raw, settings, door=door, envelope_from=envelope_from, envelope_to=envelope_to, sender_verified=sender_verified)
    with database.write() as unit:
        row_id = store_raw(unit, arrival)
    result = understand_stored(database, row_id, raw=arrival.masked.raw)
    log.info("mail received", door=door, outcome=str(result.outcome), ticket=result.ticket_number, reason=result.reason, bytes=len(raw),
             milliseconds=round((time.monotonic() - started) * 1000))
    return result


def receive_arrivals(database: Database, arrivals: Sequence[Arrival]) -> list[IntakeResult]:
    """Take in several mails with two transactions for all: one that stores them, one that understands them.

    All or nothing: when anything fails, nothing was acknowledged and the caller receives each mail by itself (those that
    were stored already are then only understood).
    """
    with database.write() as unit:
        by_key = {arrival.key: store_raw(unit, arrival) for arrival in sorted(arrivals, key=lambda one: one.key)}
    mails = [parse_message(arrival.masked.raw) for arrival in arrivals]
    with database.write() as unit:
        # Locked in one order, so that two batches with the same mail never wait for each other.
        rows = {row_id: lock_raw(unit, row_id) for row_id in sorted(set(by_key.values()))}
        results = [_understand_row(unit, rows[by_key[arrival.key]], mail) for arrival, mail in zip(arrivals, mails, strict=True)]
    log.info("mails received", door=arrivals[0].door, count=len(arrivals), outcomes=[str(result.outcome) for result in results])
    return results


def arrive(raw: bytes, settings: Settings, *, door: str, envelope_from: str | None, envelope_to: Sequence[str] = (),
           sender_verified: str = "none") -> Arrival:
    """Prepare a raw mail for storing: its key, and our own links masked."""
    masked = mask_tokens(raw, public_url=settings.public_url)
    return Arrival(hash_raw(raw), masked, door, envelope_from, tuple(envelope_to), sender_verified)


def understand_stored(database: Database, row_id: str, *, raw: bytes | None = None) -> IntakeResult:
    """Understand an input that is stored. One that was understood before is a duplicate.

    When understanding fails, the mail still becomes a ticket with the raw bytes attached, and its row is marked failed.
    """
    if raw is None:
        with database.read() as unit:
            row = unit.db.get_one(RawInput, row_id)
            if row.state == RawState.UNDERSTOOD:
                return _duplicate(unit, row)
            raw = read_raw(row)
    mail = parse_message(raw)
    try:
        return _understand(database, row_id, mail)
    except Unavailable:
        raise
    except Exception:  # whatever is in a mail, it must not be lost: the next transaction makes a ticket of it as it is
        log.exception("a mail could not be understood", raw_input=row_id)
    return _keep_as_it_is(database, row_id, mail, raw)


def recover_waiting(database: Database) -> int:
    """Understand what was stored before the program was stopped between the two transactions; return how many."""
    with database.read() as unit:
        waiting = list_waiting(unit, limit=_RECOVER_AT_ONCE)
    for row_id in waiting:
        understand_stored(database, row_id)
    if waiting:
        log.warning("stored mails were understood late", count=len(waiting))
    return len(waiting)


def _understand(database: Database, row_id: str, mail: ParsedMail) -> IntakeResult:
    with database.write() as unit:
        return _understand_row(unit, lock_raw(unit, row_id), mail)


def _understand_row(unit: WriteUnit, row: RawInput, mail: ParsedMail) -> IntakeResult:
    if row.state in (RawState.UNDERSTOOD, RawState.FAILED):
        return _duplicate(unit, row)
    return understand_mail(unit, row, mail)


def _keep_as_it_is(database: Database, row_id: str, mail: ParsedMail, raw: bytes) -> IntakeResult:
    """Open a plain ticket with the raw mail attached and mark the row for the health page."""
    with database.write() as unit:
        row = lock_raw(unit, row_id)
        if row.state in (RawState.UNDERSTOOD, RawState.FAILED):
            return _duplicate(unit, row)
        queue = default_queue(unit) or create_queue(unit, SYSTEM, name="Support")
        ticket, entry = open_ticket(
            unit, SYSTEM, subject=mail.subject, text=mail.new_text[:10_000], queue_id=queue.id, contact_id=None, organisation_id=None,
            medium=Medium.MAIL, language="de", attachments=[NewAttachment("message.eml", "message/rfc822", raw)],
            data={"direction": "in", "raw_input_id": row.id, "from": str(mail.from_address or ""), "flags": ["not_understood"]},
        )
        row.state, row.outcome, row.reason = str(RawState.FAILED), str(Outcome.CREATED), "not understood, kept as it is"
        row.ticket_id, row.entry_id = ticket.id, entry.id
        return IntakeResult(Outcome.CREATED, ticket.number, entry.id, row.reason)


def _duplicate(unit: ReadUnit | WriteUnit, row: RawInput) -> IntakeResult:
    ticket = unit.db.get(Ticket, row.ticket_id) if row.ticket_id else None
    return IntakeResult(Outcome.DUPLICATE, ticket.number if ticket else None, row.entry_id, "the same mail was received before")
