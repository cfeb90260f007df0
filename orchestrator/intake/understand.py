"""One stored mail becomes a ticket, an entry, or a note about a bounce: everything in one transaction.

Here: acting on what was parsed and decided. Not here: storing the raw mail and the order of the transactions
(`receive.py`), the decisions themselves (`mail/follow_up.py`, `mail/loops.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM, ActorKind
from orchestrator.accounts.desk import read_desk_facts
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.customers.queries import language_of
from orchestrator.intake.bounces import attach_bounce
from orchestrator.intake.candidates import find_candidates, find_ticket_of_message
from orchestrator.intake.confirm import confirm_mail
from orchestrator.intake.mail.follow_up import Action, FollowUpDecision, Reason, decide_follow_up
from orchestrator.intake.mail.loops import is_own_message_id
from orchestrator.intake.mail.parsed import BounceClass, ParsedMail, SectionKind
from orchestrator.intake.models import RawInput
from orchestrator.intake.raw import RawState, split_recipients
from orchestrator.intake.senders import Sender, find_sender
from orchestrator.notifications.outbox import remember_message
from orchestrator.tickets.blobs import MAX_ATTACHMENT_BYTES, NewAttachment
from orchestrator.tickets.links import Relation, link_tickets
from orchestrator.tickets.models import Entry, EntryKind, Medium, Queue, Status, Ticket, Visibility
from orchestrator.tickets.queues import create_queue, default_queue
from orchestrator.tickets.reply import plain_subject
from orchestrator.tickets.service import add_entry, add_notice, add_participant, open_ticket
from orchestrator.tickets.status import change_status

_MAX_SHOWN_ADDRESSES = 50
_MAX_ATTACHMENTS = 200
_MAX_NAMES = 50
_WOKEN = (Status.WAITING_CUSTOMER, Status.WAITING_UNTIL)


class Outcome(StrEnum):
    """What became of an input; also on the command line."""

    CREATED = "created"
    APPENDED = "appended"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """Hold what became of an input."""

    outcome: Outcome
    ticket_number: str | None
    entry_id: str | None
    reason: str


def understand_mail(unit: WriteUnit, row: RawInput, mail: ParsedMail) -> IntakeResult:
    """Make a ticket or an entry of a stored mail and note the outcome on its row. The row is locked by the caller."""
    sender = find_sender(unit, mail)
    if mail.bounce.bounce_class is not BounceClass.NONE:
        attached = attach_bounce(unit, mail, data=_entry_data(row, mail, None))
        if attached is not None:
            return _finish(unit, row, mail, Outcome.APPENDED, *attached, reason="a bounce of a mail of this ticket")
    own = _own_mail_back(unit, mail, sender)
    if own is not None:
        return _finish(unit, row, mail, Outcome.IGNORED, own, None, reason="one of our own mails came back")
    recipients = _recipients(row, mail)
    decision = decide_follow_up(mail, find_candidates(unit, mail, recipients), sender.facts(row.sender_verified), now=unit.now)
    match decision.action:
        case Action.APPEND | Action.APPEND_REOPENING | Action.APPEND_QUIETLY:
            ticket, entry = _append(unit, row, mail, sender, decision)
            outcome = Outcome.APPENDED
        case Action.OPEN | Action.OPEN_LINKED:
            ticket, entry = _open(unit, row, mail, sender, decision, recipients)
            outcome = Outcome.CREATED
    if mail.message_id:
        remember_message(unit, mail.message_id, ticket, entry, ours=False)
    return _finish(unit, row, mail, outcome, ticket, entry, reason=str(decision.reason), decision=decision)


def _append(unit: WriteUnit, row: RawInput, mail: ParsedMail, sender: Sender, decision: FollowUpDecision) -> tuple[Ticket, Entry]:
    assert decision.ticket is not None
    ticket = unit.db.get_one(Ticket, decision.ticket.ticket_id)
    attachments, left_out = _attachments(mail)
    text, folded = _texts(mail)
    entry = add_entry(
        unit, SYSTEM, ticket, kind=EntryKind.MESSAGE, medium=Medium.MAIL, text=text, folded=folded, html=mail.html, subject=mail.subject,
        visibility=Visibility.INTERNAL if sender.technician is not None else Visibility.CUSTOMER, author_kind=str(ActorKind.CONTACT),
        author_id=sender.contact.id if sender.contact else None, author_name=_name_of(sender),
        data=_entry_data(row, mail, decision, left_out), attachments=attachments,
    )
    if decision.action is Action.APPEND_QUIETLY:
        return ticket, entry
    if sender.address:
        add_participant(unit, ticket, sender.address)
    if decision.action is Action.APPEND_REOPENING or ticket.status in _WOKEN:
        ticket = change_status(unit, SYSTEM, ticket, Status.OPEN, reason=f"Mail of {_name_of(sender)}")
    return ticket, entry


def _open(
    unit: WriteUnit, row: RawInput, mail: ParsedMail, sender: Sender, decision: FollowUpDecision, recipients: Sequence[str]
) -> tuple[Ticket, Entry]:
    facts = read_desk_facts(unit)
    attachments, left_out = _attachments(mail)
    text, folded = _texts(mail)
    author = sender.contact
    # The number of the other ticket must not stay in the subject: answers to the new one would name both.
    subject = plain_subject(mail.subject) if decision.action is Action.OPEN_LINKED else mail.subject
    ticket, entry = open_ticket(
        unit, SYSTEM, subject=subject, text=text, folded=folded, html=mail.html, queue_id=_queue_for(unit, recipients).id,
        contact_id=author.id if author else None, organisation_id=sender.organisation.id if sender.organisation else None,
        medium=Medium.MAIL, language=language_of(author, sender.organisation, mail.language, facts.default_language), author=author,
        attachments=attachments, data=_entry_data(row, mail, decision, left_out),
    )
    if author is None:
        entry.author_kind, entry.author_id, entry.author_name = str(ActorKind.CONTACT), None, _name_of(sender)[:200]
        if sender.address:
            add_participant(unit, ticket, sender.address)
    if decision.action is Action.OPEN_LINKED and decision.ticket is not None:
        other = unit.db.get_one(Ticket, decision.ticket.ticket_id)
        link_tickets(unit, SYSTEM, ticket, other, Relation.RELATED, reason=decision.explanation[-1] if decision.explanation else "")
        if decision.reason in (Reason.STRANGER, Reason.NOT_VERIFIED):
            add_notice(unit, ticket, code="written_by_stranger", values={"number": other.number})
            ticket.tags = [*ticket.tags, "stranger"]
    confirm_mail(unit, ticket, mail, sender, envelope_from=row.envelope_from, verified=row.sender_verified)
    return ticket, entry


def _own_mail_back(unit: ReadUnit, mail: ParsedMail, sender: Sender) -> Ticket | None:
    """Find the ticket when the mail is one that we sent ourselves, word for word: from our address, with an id we gave."""
    if not sender.is_ours or mail.message_id is None or not is_own_message_id(mail.message_id, read_desk_facts(unit).mail_domain):
        return None
    known = find_ticket_of_message(unit, mail.message_id)
    return known[0] if known is not None and known[1] else None


def _recipients(row: RawInput, mail: ParsedMail) -> list[str]:
    """Give the addresses the mail was sent to, the envelope's before those of the header, lower case."""
    stated = [address.address for address in mail.recipients]
    stated += [value.strip("<> ") for name in ("delivered-to", "x-original-to") for value in mail.all_headers(name)]
    return list(dict.fromkeys(address.lower() for address in (*split_recipients(row.envelope_to), *stated) if address))[:200]


def _queue_for(unit: WriteUnit, recipients: Sequence[str]) -> Queue:
    """Find the queue of the first address that has one, else the default; a desk without any queue gets its first one."""
    wanted: dict[str, None] = {}
    for address in recipients:
        local, at, domain = address.rpartition("@")
        wanted |= dict.fromkeys((address, f"{local.partition('+')[0]}{at}{domain}"))
    found = {queue.address: queue for queue in unit.db.scalars(select(Queue).where(Queue.address.in_(wanted)))} if wanted else {}
    chosen = next((found[address] for address in wanted if address in found), None)
    return chosen or default_queue(unit) or create_queue(unit, SYSTEM, name="Support")


def _texts(mail: ParsedMail) -> tuple[str, str]:
    """Give what is new, and what is folded away; all of it when nothing is new."""
    new = "".join(part.text for part in mail.sections if part.kind is SectionKind.NEW).strip()
    if not new:
        return mail.text.strip(), ""
    return new, "".join(part.text for part in mail.sections if part.kind is not SectionKind.NEW).strip("\n")


def _attachments(mail: ParsedMail) -> tuple[list[NewAttachment], list[str]]:
    """Give the files, and the names of those too many or too large to store apart; these stay in the raw mail."""
    kept: list[NewAttachment] = []
    left_out: list[str] = []
    for file in mail.attachments:
        if file.size <= MAX_ATTACHMENT_BYTES and len(kept) < _MAX_ATTACHMENTS:
            kept.append(NewAttachment(file.name, file.content_type, file.data, file.content_id))
        else:
            left_out.append(file.name)
    return kept, left_out[:_MAX_NAMES]


def _name_of(sender: Sender) -> str:
    return sender.name or sender.address or "?"


def _entry_data(row: RawInput, mail: ParsedMail, decision: FollowUpDecision | None, left_out: Sequence[str] = ()) -> dict[str, Any]:
    """Give what the page shows beside the text, and what our answer needs to thread."""
    data: dict[str, Any] = {
        "direction": "in",
        "raw_input_id": row.id,
        "from": str(mail.from_address) if mail.from_address else "",
        "to": [str(address) for address in mail.to[:_MAX_SHOWN_ADDRESSES]],
        "cc": [str(address) for address in mail.cc[:_MAX_SHOWN_ADDRESSES]],
        "message_id": mail.message_id or "",
        "references": list(mail.references[-20:]),
        "sent_at": mail.sent_at.isoformat() if mail.sent_at else None,
        "sender_verified": row.sender_verified,
        "flags": sorted(mail.flags),
        "language": mail.language,
        "automatic": str(mail.automatic),
        "protection": str(mail.protection),
        "calendar": mail.calendar_method,
    }
    if mail.reply_to:
        data["reply_to"] = [str(address) for address in mail.reply_to[:5]]
    if mail.sender_address is not None:
        data["sender"] = str(mail.sender_address)
    if decision is not None:
        data["decision"] = decision.as_data()
    if left_out:
        data["left_in_raw_mail"] = list(left_out)
    return data


def _finish(
    unit: WriteUnit, row: RawInput, mail: ParsedMail, outcome: Outcome, ticket: Ticket, entry: Entry | None, *, reason: str,
    decision: FollowUpDecision | None = None,
) -> IntakeResult:
    """Note the outcome on the row, at the very end: it is written once."""
    row.message_id = mail.message_id[:998] if mail.message_id else None
    row.decision = decision.as_data() if decision is not None else {}
    row.state = str(RawState.UNDERSTOOD)
    row.outcome = str(outcome)
    row.reason = reason
    row.ticket_id = ticket.id
    row.entry_id = entry.id if entry is not None else None
    unit.db.flush()
    return IntakeResult(outcome, ticket.number, row.entry_id, reason)
