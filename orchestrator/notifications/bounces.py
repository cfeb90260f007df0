"""What a bounce, or a server that refuses the address for good, means: the ticket says so, and the address approves nothing."""

from __future__ import annotations

from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM
from orchestrator.core.db import WriteUnit
from orchestrator.customers.approvers import suspend_approvers
from orchestrator.customers.models import Contact
from orchestrator.notifications.events import MailBounced, MailFailed
from orchestrator.notifications.models import OutgoingMail
from orchestrator.tickets.models import Ticket
from orchestrator.tickets.service import add_notice


def note_bounce(unit: WriteUnit, happened: MailBounced) -> None:
    """Inside the transaction of intake: note the bounce on the ticket; a permanent one suspends the right to approve."""
    mail = unit.db.get(OutgoingMail, happened.outgoing_mail_id)
    if mail is None:
        return
    ticket = unit.db.get(Ticket, mail.ticket_id) if mail.ticket_id else None
    if ticket is not None:
        add_notice(unit, ticket, code="mail_bounced", values={"subject": mail.subject, "address": mail.to_address})
    if happened.permanent:
        distrust_address(unit, mail.to_address)


def note_refused(unit: WriteUnit, happened: MailFailed) -> None:
    """Inside the transaction of the sender: an address that the receiving side refuses is as good as bounced."""
    mail = unit.db.get(OutgoingMail, happened.outgoing_mail_id) if happened.address_refused else None
    if mail is not None:
        distrust_address(unit, mail.to_address)


def distrust_address(unit: WriteUnit, address: str) -> None:
    """Mark the stored address as bounced and suspend what hangs on it."""
    contact = unit.db.scalar(select(Contact).where(Contact.email == address.lower()))
    if contact is None:
        return
    if contact.email_bounced_at is None:
        contact.email_bounced_at = unit.now
        contact.version += 1
    unit.db.flush()
    suspend_approvers(unit, contact.id, "address_bounced", actor=SYSTEM)
