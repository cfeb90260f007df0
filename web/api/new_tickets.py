"""POST /tickets: opening a ticket for a known contact, or for a caller never entered before."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput
from orchestrator.core.i18n import _
from orchestrator.core.ids import parse_id
from orchestrator.customers.models import Contact, Organisation
from orchestrator.customers.queries import find_contact_by_address, find_contacts_by_phone, get_contact, language_of
from orchestrator.customers.service import create_contact
from orchestrator.notifications.confirmation import confirm_ticket
from orchestrator.tickets.models import Kind, Level, Medium, Queue
from orchestrator.tickets.queues import default_queue
from orchestrator.tickets.service import open_ticket
from web.api.idempotency import KeyHeader, answer_once
from web.api.shapes.tickets import Caller, NewTicket, TicketShape
from web.api.tickets import get_queue_by_name, ticket_shape
from web.auth import CurrentUser
from web.deps import Parts, Writing

router = APIRouter(prefix="/tickets", tags=["tickets"])


@router.post("", name="api:tickets-open", status_code=201, response_model=TicketShape)
def open_one(request: Request, unit: Writing, actor: CurrentUser, services: Parts, body: NewTicket, key: KeyHeader = None) -> Response:
    """Open a ticket, for a known contact or one made on the spot; the contact gets the confirmation by mail."""

    def make() -> TicketShape:
        actor.require(Right.TICKETS_WRITE)
        organisation = _organisation(unit, body)
        contact = _contact(unit, actor, body, organisation)
        if organisation is None and contact is not None and contact.organisation_id:
            organisation = unit.db.get(Organisation, contact.organisation_id)
        ticket, _entry = open_ticket(
            unit, actor, subject=body.subject, text=body.text, queue_id=_queue(unit, body.queue).id, contact_id=contact.id if contact else None,
            organisation_id=organisation.id if organisation else None, medium=Medium.API, kind=Kind(body.kind), impact=Level(body.impact),
            urgency=Level(body.urgency), language=language_of(contact, organisation, None, services.settings), author=contact)
        if contact is not None and contact.email:
            confirm_ticket(unit, ticket, to_address=contact.email, to_name=contact.name)
        return ticket_shape(unit, ticket)

    return answer_once(unit, actor, request, key, body, make)


def _organisation(unit: WriteUnit, body: NewTicket) -> Organisation | None:
    if body.organisation_id is None:
        return None
    organisation = unit.db.get(Organisation, body.organisation_id)
    if organisation is None:
        raise InvalidInput(_("There is no such organisation."), field="organisation_id")
    return organisation


def _contact(unit: WriteUnit, actor: Actor, body: NewTicket, organisation: Organisation | None) -> Contact | None:
    if body.contact is not None:
        return _caller(unit, actor, body.contact, organisation)
    if body.contact_id is None:
        return None
    contact = unit.db.get(Contact, body.contact_id)
    if contact is None:
        raise InvalidInput(_("There is no such contact."), field="contact_id")
    return get_contact(unit, actor, parse_id(contact.id))


def _caller(unit: WriteUnit, actor: Actor, caller: Caller, organisation: Organisation | None) -> Contact:
    """The caller's contact: who has the address, or the number and the name, already; else a new one."""
    actor.require(Right.CUSTOMERS_WRITE)
    known = find_contact_by_address(unit, caller.email) if caller.email else None
    if known is None and not caller.email and caller.phone:
        known = next((one for one in find_contacts_by_phone(unit, caller.phone) if one.name.casefold() == caller.name.strip().casefold()), None)
    return known or create_contact(unit, actor, name=caller.name, email=caller.email, phone=caller.phone,
                                   organisation_id=organisation.id if organisation else None)


def _queue(unit: WriteUnit, name: str | None) -> Queue:
    queue = get_queue_by_name(unit, name) if name is not None else default_queue(unit)
    if queue is None:
        raise Conflict(_("There is no queue yet; make one in the settings."))
    return queue
