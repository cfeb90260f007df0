"""Saying for whom a ticket is: finding a contact or organisation and setting it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Right
from orchestrator.customers.models import Organisation
from orchestrator.customers.queries import ContactRow, list_contacts, list_organisations
from orchestrator.tickets.customer import set_customer
from orchestrator.tickets.models import Ticket
from orchestrator.tickets.queries import get_ticket
from web.auth import CurrentUser
from web.deps import Reading, Writing
from web.htmx import page, redirect

router = APIRouter(prefix="/tickets/{number}/customer", include_in_schema=False)

FOUND = 15


@dataclass(frozen=True, slots=True)
class TicketCustomerPage:
    ticket: Ticket
    query: str
    contacts: Sequence[ContactRow]
    organisations: Sequence[Organisation]


@router.get("", name="tickets:customer")
def show_choice(request: Request, unit: Reading, actor: CurrentUser, number: str, q: str = "") -> Response:
    actor.require(Right.TICKETS_WRITE)
    ticket = get_ticket(unit, actor, number)
    query = q.strip()[:200]
    contacts = list_contacts(unit, actor, query=query, limit=FOUND).items if query else ()
    organisations = list_organisations(unit, actor, query=query, limit=FOUND).items if query else ()
    return page(request, "tickets/customer.html", TicketCustomerPage(ticket, query, contacts, organisations), fragment="results")


@router.post("", name="tickets:set-customer")
def set_choice(request: Request, unit: Writing, actor: CurrentUser, number: str, contact_id: Annotated[str, Form()] = "",
               organisation_id: Annotated[str, Form()] = "") -> Response:
    """Set the contact with his organisation, or the organisation alone (the contact stays)."""
    ticket = get_ticket(unit, actor, number)
    set_customer(unit, actor, ticket, contact_id=contact_id or ticket.contact_id, organisation_id=organisation_id or None)
    return redirect(request, request.app.url_path_for("tickets:show", number=number), flash="The customer of the ticket is set.")
