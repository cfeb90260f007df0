"""Pages of contacts: one person with tickets and the right to approve, the form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import AppError, Conflict, InvalidInput
from orchestrator.customers.approvers import end_approver, set_approver
from orchestrator.customers.changes import change_contact, mark_left
from orchestrator.customers.models import ApproverRight, Contact, Organisation
from orchestrator.customers.policy import check_address
from orchestrator.customers.queries import get_contact, list_approver_rights, list_organisations
from orchestrator.customers.service import create_contact
from orchestrator.tickets.lists import TicketFilter, TicketRow, list_tickets
from orchestrator.tickets.queries import get_ticket
from web.auth import CurrentUser
from web.deps import Parts, Reading, Writing
from web.forms import field_errors, status_for
from web.htmx import page, redirect
from web.moments import find_zone

router = APIRouter(prefix="/contacts", include_in_schema=False)

LATEST_TICKETS = 15
RIGHT_DAYS = 365
OFFERED_SCOPES = ("terminal", "terminal.admin", "diagnostics")


@dataclass(frozen=True, slots=True)
class ApproverValues:
    """What the form of the right holds; `until` is a day in the reader's zone."""

    scopes: Sequence[str]
    until: str
    ticket: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ContactShowPage:
    """`address_waits`: the mail address cannot be used for consent yet (new, or it bounces)."""

    contact: Contact
    organisation: Organisation | None
    tickets: Sequence[TicketRow]
    rights: Sequence[ApproverRight]
    address_waits: bool
    approver_values: ApproverValues
    errors: dict[str, str]


@dataclass(frozen=True, slots=True)
class ContactValues:
    name: str = ""
    email: str = ""
    phone: str = ""
    organisation: str = ""
    chosen_language: str = ""
    shared: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True)
class ContactEditPage:
    """`contact_id` is empty for a new one."""

    contact_id: str
    values: ContactValues
    organisations: Sequence[tuple[str, str]]
    errors: dict[str, str]


@router.get("/new", name="contacts:new")
def show_new(request: Request, unit: Reading, actor: CurrentUser, organisation: str = "") -> Response:
    actor.require(Right.CUSTOMERS_WRITE)
    return _form(request, unit, actor, "", ContactValues(organisation=organisation), {})


@router.post("/new", name="contacts:create")
def create(request: Request, parts: Parts, actor: CurrentUser, name: Annotated[str, Form()] = "", email: Annotated[str, Form()] = "",
           phone: Annotated[str, Form()] = "", organisation: Annotated[str, Form()] = "", language: Annotated[str, Form()] = "",
           shared: Annotated[str, Form()] = "") -> Response:
    values = ContactValues(name, email, phone, organisation, language, shared == "yes")
    try:
        with parts.database.write() as unit:
            contact = create_contact(unit, actor, name=name, email=email or None, phone=phone or None,
                                     organisation_id=organisation or None, language=language or None, shared_mailbox=values.shared)
    except (InvalidInput, Conflict) as error:
        return _form_again(request, parts, actor, "", values, error)
    return redirect(request, request.app.url_path_for("contacts:show", contact_id=contact.id), flash="The contact is entered.")


@router.get("/{contact_id}", name="contacts:show")
def show(request: Request, unit: Reading, actor: CurrentUser, contact_id: str) -> Response:
    return _show(request, unit, actor, contact_id, None, {})


@router.get("/{contact_id}/edit", name="contacts:edit")
def show_form(request: Request, unit: Reading, actor: CurrentUser, contact_id: str) -> Response:
    actor.require(Right.CUSTOMERS_WRITE)
    contact = get_contact(unit, actor, contact_id)
    values = ContactValues(contact.name, contact.email or "", contact.phone or "", contact.organisation_id or "", contact.language or "",
                           contact.shared_mailbox, contact.version)
    return _form(request, unit, actor, contact.id, values, {})


@router.post("/{contact_id}/edit", name="contacts:change")
def change(request: Request, parts: Parts, actor: CurrentUser, contact_id: str, name: Annotated[str, Form()] = "",
           email: Annotated[str, Form()] = "", phone: Annotated[str, Form()] = "", organisation: Annotated[str, Form()] = "",
           language: Annotated[str, Form()] = "", shared: Annotated[str, Form()] = "", version: Annotated[int, Form()] = 0) -> Response:
    values = ContactValues(name, email, phone, organisation, language, shared == "yes", version)
    try:
        with parts.database.write() as unit:
            contact = get_contact(unit, actor, contact_id)
            change_contact(unit, actor, contact.id, name=name, email=email, phone=phone, organisation_id=organisation, language=language,
                           shared_mailbox=values.shared, version=version)
    except (InvalidInput, Conflict) as error:
        return _form_again(request, parts, actor, contact_id, values, error)
    return redirect(request, request.app.url_path_for("contacts:show", contact_id=contact_id), flash="The contact is changed.")


@router.post("/{contact_id}/left", name="contacts:left")
def set_left(request: Request, unit: Writing, actor: CurrentUser, contact_id: str, left: Annotated[str, Form()] = "yes") -> Response:
    contact = get_contact(unit, actor, contact_id)
    mark_left(unit, actor, contact.id, left=left == "yes")
    return redirect(request, request.app.url_path_for("contacts:show", contact_id=contact_id),
                    flash="Noted: every right to approve has ended." if left == "yes" else "Noted: this person is back.")


@router.post("/{contact_id}/approver", name="contacts:approver")
def give_right(request: Request, parts: Parts, actor: CurrentUser, contact_id: str, scopes: Annotated[list[str] | None, Form()] = None,
               until: Annotated[str, Form()] = "", ticket: Annotated[str, Form()] = "", reason: Annotated[str, Form()] = "") -> Response:
    """Give the right to approve; for one ticket when its number is given."""
    values = ApproverValues(scopes or [], until, ticket, reason)
    try:
        with parts.database.write() as unit:
            contact = get_contact(unit, actor, contact_id)
            one_ticket = get_ticket(unit, actor, ticket.strip()) if ticket.strip() else None
            set_approver(unit, actor, contact.id, scopes=list(values.scopes), until=_end_of_day(until, actor),
                         ticket_id=one_ticket.id if one_ticket else None, reason=reason)
    except (InvalidInput, Conflict) as error:
        with parts.database.read() as reading:
            return _show(request, reading, actor, contact_id, values, field_errors(request, error), status=status_for(error))
    return redirect(request, request.app.url_path_for("contacts:show", contact_id=contact_id),
                    flash="The right is given; the contact is told by mail.")


@router.post("/{contact_id}/approver/{right_id}/end", name="contacts:end-approver")
def end_right(request: Request, unit: Writing, actor: CurrentUser, contact_id: str, right_id: str) -> Response:
    contact = get_contact(unit, actor, contact_id)
    end_approver(unit, actor, right_id)
    return redirect(request, request.app.url_path_for("contacts:show", contact_id=contact.id), flash="The right has ended.")


def _end_of_day(text: str, actor: Actor) -> datetime:
    try:
        day = date.fromisoformat(text.strip()[:10])
    except ValueError as exc:
        raise InvalidInput("This is not a date.", field="until") from exc
    return datetime.combine(day, time(23, 59, 59), tzinfo=find_zone(actor.time_zone))


def _show(request: Request, unit: ReadUnit, actor: Actor, contact_id: str, values: ApproverValues | None, errors: dict[str, str], *,
          status: int = 200) -> Response:
    contact = get_contact(unit, actor, contact_id)
    tickets = list_tickets(unit, actor, TicketFilter(contact_id=contact.id), limit=LATEST_TICKETS).items if actor.may(
        Right.TICKETS_READ) else ()
    last_day = (unit.now.astimezone(find_zone(actor.time_zone)) + timedelta(days=RIGHT_DAYS)).date()
    return page(request, "customers/contact.html", ContactShowPage(
        contact=contact, organisation=unit.db.get(Organisation, contact.organisation_id) if contact.organisation_id else None,
        tickets=tickets, rights=list_approver_rights(unit, contact.id), address_waits=check_address(contact, unit.now) is not None,
        approver_values=values or ApproverValues(scopes=["terminal", "diagnostics"], until=last_day.isoformat()), errors=errors),
        status=status)


def _form(request: Request, unit: ReadUnit, actor: Actor, contact_id: str, values: ContactValues, errors: dict[str, str], *,
          status: int = 200) -> Response:
    known = list_organisations(unit, actor, limit=200).items
    choices = [(row.id, row.name) for row in known]
    if values.organisation and all(one != values.organisation for one, _name in choices):
        own = unit.db.get(Organisation, values.organisation)
        choices = [*([(own.id, own.name)] if own else []), *choices]
    return page(request, "customers/contact_edit.html", ContactEditPage(contact_id, values, choices, errors), status=status)


def _form_again(request: Request, parts: Parts, actor: Actor, contact_id: str, values: ContactValues, error: AppError) -> Response:
    errors = field_errors(request, error, names={"organisation_id": "organisation"})
    with parts.database.read() as unit:
        return _form(request, unit, actor, contact_id, values, errors, status=status_for(error))
