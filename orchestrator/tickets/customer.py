"""Whose ticket it is: setting or changing its contact and organisation."""

from __future__ import annotations

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import InvalidInput
from orchestrator.customers.models import Contact, Organisation
from orchestrator.tickets.changes import note_change
from orchestrator.tickets.events import TicketOrganisationChanged
from orchestrator.tickets.models import Ticket
from orchestrator.tickets.service import add_participant, lock_ticket


def set_customer(unit: WriteUnit, actor: Actor, ticket: Ticket, *, contact_id: str | None, organisation_id: str | None = None) -> Ticket:
    """Say who the ticket is for. Without an ``organisation_id`` it is the contact's.

    Another organisation ends every remote session of the ticket (``TicketOrganisationChanged``). Raises ``InvalidInput``.
    """
    actor.require(Right.TICKETS_WRITE)
    contact = unit.db.get(Contact, contact_id) if contact_id else None
    if contact_id and contact is None:
        raise InvalidInput("There is no such contact.", field="contact_id")
    organisation_id = organisation_id or (contact.organisation_id if contact else None)
    organisation = unit.db.get(Organisation, organisation_id) if organisation_id else None
    if organisation_id and organisation is None:
        raise InvalidInput("There is no such organisation.", field="organisation_id")
    ticket = lock_ticket(unit, ticket)
    old_contact = unit.db.get(Contact, ticket.contact_id) if ticket.contact_id else None
    old_organisation = unit.db.get(Organisation, ticket.organisation_id) if ticket.organisation_id else None
    if ticket.contact_id != contact_id:
        ticket.contact_id = contact_id
        note_change(unit, actor, ticket, what="contact", before=old_contact.id if old_contact else None, after=contact_id,
                    fields=("contact_id",), names=_names(old_contact, contact))
        if contact is not None and contact.email:
            add_participant(unit, ticket, contact.email)
    if ticket.organisation_id != organisation_id:
        ticket.organisation_id = organisation_id
        note_change(unit, actor, ticket, what="organisation", before=old_organisation.id if old_organisation else None,
                    after=organisation_id, fields=("organisation_id",), names=_names(old_organisation, organisation))
        unit.emit(TicketOrganisationChanged(ticket.id, organisation_id))
    return ticket


def _names(before: Contact | Organisation | None, after: Contact | Organisation | None) -> dict[str, str]:
    return {"from": before.name if before else "", "to": after.name if after else ""}
