"""Tickets that a mail may belong to: by number in the subject, by thread, by plus-address.

Here: the queries. Not here: which one it is and whether the sender may write there (`mail/follow_up.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select

from orchestrator.core.db import ReadUnit
from orchestrator.customers.models import Contact
from orchestrator.intake.mail.follow_up import CandidateTicket, Via
from orchestrator.intake.mail.parsed import ParsedMail
from orchestrator.intake.models import KnownMessage
from orchestrator.notifications.outbox import hash_message_id
from orchestrator.tickets.models import Participant, Queue, Status, Ticket
from orchestrator.tickets.queries import find_tickets_in_text

_MAX_ANCESTORS = 100
_MAX_CANDIDATES = 10
_DONE = (Status.RESOLVED, Status.CLOSED)


def find_candidates(unit: ReadUnit, mail: ParsedMail, recipients: Sequence[str]) -> list[CandidateTicket]:
    """Find every ticket that the mail points to, each once, by the strongest sign."""
    found: dict[str, tuple[Ticket, Via]] = {}
    for ticket in find_tickets_in_text(unit, mail.subject):
        found.setdefault(ticket.id, (ticket, Via.SUBJECT_NUMBER))
    for ticket, ours in _by_thread(unit, (*mail.in_reply_to, *reversed(mail.references))):
        found.setdefault(ticket.id, (ticket, Via.OUR_MESSAGE if ours else Via.ANCESTOR))
    for tag in _tags_of(recipients):
        for ticket in find_tickets_in_text(unit, tag):
            found.setdefault(ticket.id, (ticket, Via.PLUS_ADDRESS))
    return [_describe(unit, ticket, via) for ticket, via in list(found.values())[:_MAX_CANDIDATES]]


def find_ticket_of_message(unit: ReadUnit, message_id: str) -> tuple[Ticket, bool] | None:
    """Find the ticket of one known Message-ID, and whether the mail was ours."""
    return next(iter(_by_thread(unit, (message_id,))), None)


def _by_thread(unit: ReadUnit, message_ids: Iterable[str]) -> list[tuple[Ticket, bool]]:
    hashes = list(dict.fromkeys(hash_message_id(one) for one in message_ids))[:_MAX_ANCESTORS]
    if not hashes:
        return []
    rows = unit.db.execute(
        select(KnownMessage.message_hash, KnownMessage.ours, Ticket)
        .join(Ticket, Ticket.id == KnownMessage.ticket_id)
        .where(KnownMessage.message_hash.in_(hashes))
        .order_by(KnownMessage.created_at.desc())
        .limit(_MAX_ANCESTORS)
    ).all()
    order = {message_hash: position for position, message_hash in enumerate(hashes)}
    return [(row.Ticket, row.ours) for row in sorted(rows, key=lambda row: order[row.message_hash])]


def _tags_of(recipients: Iterable[str]) -> list[str]:
    """Give what stands behind the plus in `support+2026-000123-4@…`."""
    tags = (address.rpartition("@")[0].partition("+")[2] for address in recipients)
    return [tag for tag in tags if tag][:10]


def _describe(unit: ReadUnit, ticket: Ticket, via: Via) -> CandidateTicket:
    queue = unit.db.get_one(Queue, ticket.queue_id)
    addresses = set(unit.db.scalars(select(Participant.address).where(Participant.ticket_id == ticket.id)))
    if ticket.contact_id is not None:
        email = unit.db.scalar(select(Contact.email).where(Contact.id == ticket.contact_id))
        addresses |= {email} if email else set()
    return CandidateTicket(
        ticket_id=ticket.id, number=ticket.number, via=via, is_done=ticket.status in _DONE, closed_at=ticket.closed_at,
        reopen_days=queue.reopen_days, require_verified=queue.require_verified, organisation_id=ticket.organisation_id,
        participants=frozenset(addresses),
    )  # fmt: skip
