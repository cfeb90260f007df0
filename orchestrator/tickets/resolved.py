"""Telling the customer that a ticket is resolved: one mail for each time it becomes so."""

from __future__ import annotations

from sqlalchemy import select

from orchestrator.accounts.desk import read_desk_facts
from orchestrator.accounts.models import User
from orchestrator.core.db import WriteUnit
from orchestrator.customers.models import Contact
from orchestrator.notifications.outbox import enqueue_mail
from orchestrator.notifications.texts import Purpose, render_text
from orchestrator.tickets.models import Ticket
from orchestrator.tickets.service import add_notice
from orchestrator.tickets.threading import last_customer_mail


def tell_customer(unit: WriteUnit, ticket: Ticket) -> bool:
    """Put the mail into the outbox, in the ticket's language; a notice on the ticket says whether it could be."""
    contact = unit.db.get(Contact, ticket.contact_id) if ticket.contact_id else None
    if contact is None or not contact.email or contact.left_at is not None:
        add_notice(unit, ticket, code="resolved_not_told")
        return False
    facts = read_desk_facts(unit)
    technician = unit.db.scalar(select(User.name).where(User.id == ticket.assignee_id)) if ticket.assignee_id else None
    subject, text = render_text(Purpose.TICKET_RESOLVED, ticket.language, name=contact.name, number=ticket.number, subject=ticket.subject,
                                desk=facts.mail_name, technician=technician or facts.mail_name)
    entry = add_notice(unit, ticket, code="resolved_told", values={"address": contact.email})
    thread = last_customer_mail(unit, ticket)
    enqueue_mail(unit, purpose=Purpose.TICKET_RESOLVED, to_address=contact.email, to_name=contact.name, subject=subject, text=text,
                 automatic=True, language=ticket.language, ticket=ticket, entry=entry, in_reply_to=thread.message_id,
                 references=thread.references)
    return True
