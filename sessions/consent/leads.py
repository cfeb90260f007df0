"""Telling the leads that an approver has denied twice in a row."""

from __future__ import annotations

from sqlalchemy import select

from orchestrator.accounts.actor import Role
from orchestrator.accounts.models import User
from orchestrator.core.db import WriteUnit
from orchestrator.core.i18n import translator
from orchestrator.customers.models import Contact
from orchestrator.notifications.outbox import enqueue_mail
from orchestrator.tickets.models import Ticket
from orchestrator.tickets.service import add_notice
from sessions.consent.mails import write_pause_mail
from sessions.lifecycle.models import RemoteSession


def tell_leads_of_denials(unit: WriteUnit, session: RemoteSession, contact: Contact) -> None:
    """Write a notice on the ticket and a mail to every lead."""
    ticket = unit.db.get_one(Ticket, session.ticket_id)
    add_notice(unit, ticket, code="consent.paused", values={"contact": contact.name},
               text=f"{contact.name} denied remote access twice in a row and cannot be asked about this ticket for an hour")
    for lead in unit.db.scalars(select(User).where(User.disabled_at.is_(None)).order_by(User.id)):
        if Role.LEAD in lead.roles:
            text = write_pause_mail(ticket=ticket.number, contact=contact.name, technician=session.technician_name,
                                    words=translator(lead.language))
            enqueue_mail(unit, purpose="consent.paused", to_address=lead.email, to_name=lead.name, subject=text.subject, text=text.text,
                         automatic=True, ticket=ticket, reference_id=session.id, language=lead.language)
