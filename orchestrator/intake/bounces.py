"""Bounces: attached to the ticket of the mail that came back, and told to whoever must act.

Here: finding that mail and adding the entry. Not here: what a bounce means for an address (`notifications/bounces.py`) or
for a consent (`sessions/consent/bounces.py`); both hear `MailBounced`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM, ActorKind
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.intake.candidates import find_ticket_of_message
from orchestrator.intake.mail.parsed import BounceClass, ParsedMail
from orchestrator.notifications.events import MailBounced
from orchestrator.notifications.models import OutgoingMail
from orchestrator.tickets.blobs import MAX_ATTACHMENT_BYTES, NewAttachment
from orchestrator.tickets.models import Entry, EntryKind, Medium, Ticket, Visibility
from orchestrator.tickets.queries import find_tickets_in_text
from orchestrator.tickets.service import add_entry


def attach_bounce(unit: WriteUnit, mail: ParsedMail, *, data: Mapping[str, Any]) -> tuple[Ticket, Entry] | None:
    """Attach a bounce to the ticket of the mail that came back; None when that mail is not one of ours.

    Only a bounce that names the Message-ID of a mail of ours is believed and told on: anybody can write a number into a
    subject. The entry is internal and reopens nothing.
    """
    outgoing = _find_outgoing(unit, mail.bounce.original_message_id)
    ticket = _find_ticket(unit, mail, outgoing)
    if outgoing is not None:
        unit.emit(MailBounced(outgoing.id, permanent=mail.bounce.bounce_class is BounceClass.PERMANENT))
    if ticket is None:
        return None
    bounce = mail.bounce
    entry = add_entry(
        unit, SYSTEM, ticket, kind=EntryKind.MESSAGE, visibility=Visibility.INTERNAL, medium=Medium.MAIL, text=mail.new_text,
        author_kind=str(ActorKind.SYSTEM), author_id=None, author_name=str(mail.from_address or "Mail server"), subject=mail.subject,
        html=mail.html,
        data={**data, "bounce": {"class": str(bounce.bounce_class), "recipients": list(bounce.failed_recipients), "status": bounce.status,
                                 "diagnostic": bounce.diagnostic, "of_outgoing_mail": outgoing.id if outgoing else None}},
        attachments=[NewAttachment(file.name, file.content_type, file.data, file.content_id) for file in mail.attachments
                     if file.size <= MAX_ATTACHMENT_BYTES],
    )
    return ticket, entry


def _find_outgoing(unit: ReadUnit, message_id: str | None) -> OutgoingMail | None:
    if not message_id:
        return None
    return unit.db.scalar(select(OutgoingMail).where(OutgoingMail.message_id == f"<{message_id}>"))


def _find_ticket(unit: ReadUnit, mail: ParsedMail, outgoing: OutgoingMail | None) -> Ticket | None:
    if outgoing is not None:
        return unit.db.get(Ticket, outgoing.ticket_id) if outgoing.ticket_id else None
    for message_id in (mail.bounce.original_message_id, *mail.in_reply_to, *mail.references):
        known = find_ticket_of_message(unit, message_id) if message_id else None
        if known is not None:
            return known[0]
    return next(iter(find_tickets_in_text(unit, mail.bounce.original_subject)), None)
