"""Writing on a ticket: a reply that leaves by mail and threads, and a note that stays inside."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import select

from orchestrator.accounts.actor import Actor, Right
from orchestrator.accounts.desk import read_desk_facts, read_own_addresses
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import InvalidInput
from orchestrator.customers.addresses import normalise_address
from orchestrator.customers.models import Contact
from orchestrator.notifications.outbox import enqueue_mail
from orchestrator.notifications.texts import Purpose, render_text
from orchestrator.tickets.blobs import NewAttachment
from orchestrator.tickets.changes import note_change
from orchestrator.tickets.collisions import require_nothing_new
from orchestrator.tickets.models import Attachment, Entry, EntryKind, Medium, Status, Ticket, Visibility
from orchestrator.tickets.service import add_entry, add_participant, lock_ticket, medium_of
from orchestrator.tickets.threading import last_customer_mail

MAX_TEXT = 500_000
MAX_COPIES = 20
_PREFIXES = re.compile(r"^(?:(?:re|aw|antw|wg|fwd?|sv|vs)(?:\[\d{1,3}\])?\s?:\s*|\[#[^\]]{1,60}\]\s*)+", re.IGNORECASE)


def reply_to_customer(unit: WriteUnit, actor: Actor, ticket: Ticket, *, text: str, to: str | None = None, cc: Sequence[str] = (),
                      attachments: Sequence[NewAttachment] = (), seen_seq: int | None = None) -> Entry:
    """Write a public reply and put it into the outbox, as an answer to the customer's last mail.

    ``to`` defaults to the contact's address. Whoever gets it may follow up. ``seen_seq`` is the last entry the writer saw.
    Raises ``InvalidInput`` (no text, no address), ``WrittenMeanwhile``.
    """
    actor.require(Right.TICKETS_WRITE)
    _require_text(text)
    ticket = lock_ticket(unit, ticket)
    require_nothing_new(unit, actor, ticket, seen_seq)
    contact = unit.db.get(Contact, ticket.contact_id) if ticket.contact_id else None
    address = normalise_address(to) if to and to.strip() else (contact.email if contact else None)
    if address is None:
        raise InvalidInput("There is no mail address to answer to. Enter one.", field="to")
    if address in read_own_addresses(unit):
        raise InvalidInput("{address} is a mailbox of this desk, not of a customer.", address=address, field="to")
    copies = _copies(unit, cc, address)
    entry = add_entry(
        unit, actor, ticket, kind=EntryKind.MESSAGE, visibility=Visibility.CUSTOMER, medium=Medium.MAIL, text=text,
        author_kind=str(actor.kind), author_id=actor.id, author_name=actor.name, attachments=attachments,
        data={"to": address, "cc": copies, "direction": "out"},
    )
    facts = read_desk_facts(unit)
    thread = last_customer_mail(unit, ticket)
    subject, body = render_text(Purpose.REPLY, ticket.language, text=text.strip(), technician=actor.name, desk=facts.mail_name,
                                number=ticket.number, subject=plain_subject(thread.subject or ticket.subject))
    mail = enqueue_mail(
        unit, purpose=Purpose.REPLY, to_address=address, to_name=contact.name if contact and contact.email == address else "",
        subject=subject, text=body, automatic=False, language=ticket.language, ticket=ticket, entry=entry, cc=copies,
        in_reply_to=thread.message_id, references=thread.references,
        attachment_ids=unit.db.scalars(select(Attachment.id).where(Attachment.entry_id == entry.id).order_by(Attachment.id)).all(),
    )
    entry.subject = mail.subject[:500]
    entry.data = {**entry.data, "mail_id": mail.id, "message_id": mail.message_id}
    for participant in (address, *copies):
        add_participant(unit, ticket, participant)
    _note_answered(unit, actor, ticket)
    unit.db.flush()
    return entry


def write_note(unit: WriteUnit, actor: Actor, ticket: Ticket, *, text: str, attachments: Sequence[NewAttachment] = ()) -> Entry:
    """Write an internal note. Raises ``InvalidInput`` when it is empty."""
    actor.require(Right.TICKETS_WRITE)
    _require_text(text)
    return add_entry(unit, actor, ticket, kind=EntryKind.NOTE, visibility=Visibility.INTERNAL, medium=medium_of(actor), text=text,
                     author_kind=str(actor.kind), author_id=actor.id, author_name=actor.name, attachments=attachments)


def write_call(unit: WriteUnit, actor: Actor, ticket: Ticket, *, text: str, with_whom: Contact | None, incoming: bool = True) -> Entry:
    """Write down a phone call; the customer may read it. An incoming one carries the caller as its author."""
    actor.require(Right.TICKETS_WRITE)
    _require_text(text)
    caller = with_whom if incoming else None
    entry = add_entry(
        unit, actor, ticket, kind=EntryKind.MESSAGE, visibility=Visibility.CUSTOMER, medium=Medium.PHONE, text=text,
        author_kind="contact" if caller else str(actor.kind), author_id=caller.id if caller else actor.id,
        author_name=caller.name if caller else actor.name,
        data={"direction": "in" if incoming else "out", "with": with_whom.name if with_whom else ""},
    )
    if not incoming:
        _note_answered(unit, actor, ticket)
    return entry


def plain_subject(subject: str) -> str:
    """Take answer prefixes and ticket tags off a subject."""
    return _PREFIXES.sub("", subject.strip()).strip() or subject.strip()


def _note_answered(unit: WriteUnit, actor: Actor, ticket: Ticket) -> None:
    if ticket.first_response_at is None:
        ticket.first_response_at = unit.now
    if ticket.status == Status.NEW:
        ticket.status = Status.OPEN
        note_change(unit, actor, ticket, what="status", before=str(Status.NEW), after=str(Status.OPEN), fields=("status",))


def _copies(unit: WriteUnit, cc: Sequence[str], address: str) -> list[str]:
    own = read_own_addresses(unit)
    copies = [one for one in dict.fromkeys(normalise_address(one) for one in cc if one.strip()) if one != address and one not in own]
    if len(copies) > MAX_COPIES:
        raise InvalidInput("At most {count} people can get a copy.", count=MAX_COPIES, field="cc")
    return copies


def _require_text(text: str) -> None:
    if not text.strip():
        raise InvalidInput("Write something first.", field="text")
    if len(text) > MAX_TEXT:
        raise InvalidInput("The text is longer than {count} characters. Attach it as a file.", count=MAX_TEXT, field="text")
