"""The form of a new ticket: caller, organisation and ticket in one, for somebody never entered before as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Actor, Right
from orchestrator.accounts.desk import read_desk_facts
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput
from orchestrator.customers.models import Contact, Organisation
from orchestrator.customers.queries import (
    ContactRow,
    find_contact_by_address,
    find_organisation_by_name,
    get_contact,
    language_of,
    list_contacts,
    list_organisations,
)
from orchestrator.customers.service import create_contact, create_organisation
from orchestrator.notifications.confirmation import confirm_ticket
from orchestrator.tickets.assign import assign_ticket
from orchestrator.tickets.models import Kind, Level, Medium, Ticket
from orchestrator.tickets.queues import default_queue, list_all_queues
from orchestrator.tickets.service import open_ticket
from web.auth import CurrentUser
from web.deps import Parts, Reading
from web.forms import field_errors, status_for
from web.htmx import page, redirect

router = APIRouter(prefix="/tickets", include_in_schema=False)

FOUND = 6
FORM_NAMES = {"name": "contact_name", "email": "contact_email", "phone": "contact_phone", "organisation_id": "organisation_name"}


@dataclass(frozen=True, slots=True)
class NewTicketValues:
    """What the form holds. `contact_id` is set when a known caller was chosen."""

    contact_name: str = ""
    contact_phone: str = ""
    contact_email: str = ""
    contact_id: str = ""
    organisation_name: str = ""
    language: str = ""
    subject: str = ""
    text: str = ""
    queue: str = ""
    kind: str = "incident"
    medium: str = "phone"
    impact: str = "medium"
    urgency: str = "medium"
    take: bool = True


@dataclass(frozen=True, slots=True)
class NewTicketPage:
    values: NewTicketValues
    errors: dict[str, str]
    callers: Sequence[ContactRow]
    organisations: Sequence[Organisation]
    queues: Sequence[tuple[str, str]]


def read_form(
    contact_name: Annotated[str, Form()] = "", contact_phone: Annotated[str, Form()] = "", contact_email: Annotated[str, Form()] = "",
    contact_id: Annotated[str, Form()] = "", organisation_name: Annotated[str, Form()] = "", language: Annotated[str, Form()] = "",
    subject: Annotated[str, Form()] = "", text: Annotated[str, Form()] = "", queue: Annotated[str, Form()] = "",
    kind: Annotated[str, Form()] = "incident", medium: Annotated[str, Form()] = "phone", impact: Annotated[str, Form()] = "medium",
    urgency: Annotated[str, Form()] = "medium", take: Annotated[str, Form()] = "",
) -> NewTicketValues:
    """Read the form as it was posted."""
    return NewTicketValues(contact_name.strip(), contact_phone.strip(), contact_email.strip(), contact_id, organisation_name.strip(),
                           language, subject, text, queue, kind, medium, impact, urgency, take == "yes")


@router.get("/new", name="tickets:new")
def show_form(request: Request, unit: Reading, actor: CurrentUser, contact: str = "") -> Response:
    """Show the empty form, or one for a known contact."""
    actor.require(Right.TICKETS_WRITE)
    values = NewTicketValues()
    if contact:
        known = get_contact(unit, actor, contact)
        values = replace(values, contact_id=known.id, contact_name=known.name, contact_phone=known.phone or "",
                         contact_email=known.email or "")
    return page(request, "tickets/new.html", _build(unit, actor, values, {}))


@router.get("/callers", name="tickets:callers")
def find_callers(request: Request, unit: Reading, actor: CurrentUser, contact_name: str = "", contact_phone: str = "",
                 contact_email: str = "", contact_id: str = "") -> Response:
    """Answer who is known under what was typed; the region of the form that renews itself while typing."""
    actor.require(Right.TICKETS_WRITE)
    values = NewTicketValues(contact_name.strip(), contact_phone.strip(), contact_email.strip(), contact_id)
    return page(request, "tickets/new.html", _build(unit, actor, values, {}, with_choices=False), fragment="callers")


@router.post("/new", name="tickets:open")
def open_new(request: Request, parts: Parts, actor: CurrentUser, values: Annotated[NewTicketValues, Depends(read_form)]) -> Response:
    """Enter caller and organisation where they are new, then open the ticket: all of it or nothing."""
    try:
        with parts.database.write() as unit:
            ticket = _open(unit, actor, values)
    except (InvalidInput, Conflict) as error:
        with parts.database.read() as reading:
            shown = _build(reading, actor, values, field_errors(request, error, names=FORM_NAMES))
            return page(request, "tickets/new.html", shown, status=status_for(error))
    return redirect(request, request.app.url_path_for("tickets:show", number=ticket.number), flash="The ticket is open.")


def _open(unit: WriteUnit, actor: Actor, values: NewTicketValues) -> Ticket:
    actor.require(Right.TICKETS_WRITE)
    if not values.subject.strip():
        raise InvalidInput("A ticket needs a subject.", field="subject")
    if not values.text.strip():
        raise InvalidInput("Say what happened.", field="text")
    if values.kind not in list(Kind) or values.medium not in list(Medium) or not {values.impact, values.urgency} <= set(Level):
        raise InvalidInput("Choose one of the offered values.")
    contact = _find_or_enter_contact(unit, actor, values)
    organisation = unit.db.get(Organisation, contact.organisation_id) if contact.organisation_id else None
    ticket, _entry = open_ticket(
        unit, actor, subject=values.subject, text=values.text.strip(), queue_id=values.queue, contact_id=contact.id, organisation_id=None,
        medium=Medium(values.medium), kind=Kind(values.kind), impact=Level(values.impact), urgency=Level(values.urgency),
        language=language_of(contact, organisation, values.language or None, read_desk_facts(unit).default_language), author=contact)
    if contact.email:
        confirm_ticket(unit, ticket, to_address=contact.email, to_name=contact.name)
    if values.take and actor.user_id:
        assign_ticket(unit, actor, ticket, actor.user_id)
    return ticket


def _find_or_enter_contact(unit: WriteUnit, actor: Actor, values: NewTicketValues) -> Contact:
    if values.contact_id:
        return get_contact(unit, actor, values.contact_id)
    known = find_contact_by_address(unit, values.contact_email) if values.contact_email else None
    if known is not None:
        return known
    organisation = None
    if values.organisation_name:
        organisation = find_organisation_by_name(unit, values.organisation_name) or create_organisation(
            unit, actor, name=values.organisation_name)
    return create_contact(unit, actor, name=values.contact_name, email=values.contact_email or None, phone=values.contact_phone or None,
                          organisation_id=organisation.id if organisation else None, language=values.language or None)


def _build(unit: ReadUnit, actor: Actor, values: NewTicketValues, errors: dict[str, str], *, with_choices: bool = True) -> NewTicketPage:
    callers = _find_callers(unit, actor, values)
    if not with_choices:
        return NewTicketPage(values, errors, callers, (), ())
    queues = list_all_queues(unit)
    first = default_queue(unit)
    own = next((queue.id for queue in queues if queue.id in actor.queue_ids), first.id if first else "")
    return NewTicketPage(
        replace(values, queue=values.queue or own), errors, callers, list_organisations(unit, actor, limit=200).items,
        [(queue.id, queue.name) for queue in queues])


def _find_callers(unit: ReadUnit, actor: Actor, values: NewTicketValues) -> list[ContactRow]:
    typed = values.contact_email or values.contact_phone or values.contact_name
    if len(typed) < 3:
        return []
    return list_contacts(unit, actor, query=typed[:100], limit=FOUND).items
