"""Pages of organisations: list of customers, one organisation with all that belongs to it, the form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Right
from orchestrator.core.errors import Conflict, InvalidInput
from orchestrator.customers.models import Organisation
from orchestrator.customers.queries import ContactRow, get_organisation, list_contacts, list_domains, list_organisations
from orchestrator.customers.service import change_organisation, create_organisation
from orchestrator.tickets.lists import TicketFilter, TicketRow, list_tickets
from sessions.endpoints.models import Endpoint
from sessions.endpoints.queries import list_endpoints_of_organisation
from web.auth import CurrentUser
from web.deps import Parts, Reading
from web.forms import field_errors, status_for
from web.htmx import page, redirect

router = APIRouter(prefix="/customers", include_in_schema=False)

LATEST_TICKETS = 15
SHOWN_CONTACTS = 100


@dataclass(frozen=True, slots=True)
class CustomerListPage:
    """`view` is `organisations` or `contacts`; only that list is filled."""

    view: str
    query: str
    organisations: Sequence[Organisation]
    contacts: Sequence[ContactRow]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class OrganisationShowPage:
    organisation: Organisation
    domains: Sequence[str]
    contacts: Sequence[ContactRow]
    endpoints: Sequence[Endpoint]
    tickets: Sequence[TicketRow]
    more_tickets: bool


@dataclass(frozen=True, slots=True)
class OrganisationValues:
    name: str = ""
    domains: str = ""
    chosen_language: str = ""
    internal: bool = False
    note: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class OrganisationEditPage:
    """`organisation_id` is empty for a new one."""

    organisation_id: str
    values: OrganisationValues
    errors: dict[str, str]


@router.get("", name="customers:list")
def list_customers(request: Request, unit: Reading, actor: CurrentUser, q: str = "", view: str = "organisations",
                   cursor: str | None = None) -> Response:
    query = q.strip()[:200]
    if view == "contacts":
        contacts = list_contacts(unit, actor, query=query, cursor=cursor)
        shown = CustomerListPage("contacts", query, (), contacts.items, contacts.next)
    else:
        organisations = list_organisations(unit, actor, query=query, cursor=cursor)
        shown = CustomerListPage("organisations", query, organisations.items, (), organisations.next)
    return page(request, "customers/list.html", shown, fragment="results")


@router.get("/new", name="organisations:new")
def show_new(request: Request, actor: CurrentUser) -> Response:
    actor.require(Right.CUSTOMERS_WRITE)
    return page(request, "customers/edit.html", OrganisationEditPage("", OrganisationValues(), {}))


@router.post("/new", name="organisations:create")
def create(request: Request, parts: Parts, actor: CurrentUser, name: Annotated[str, Form()] = "", domains: Annotated[str, Form()] = "",
           language: Annotated[str, Form()] = "", internal: Annotated[str, Form()] = "", note: Annotated[str, Form()] = "") -> Response:
    values = OrganisationValues(name, domains, language, internal == "yes", note)
    try:
        with parts.database.write() as unit:
            organisation = create_organisation(unit, actor, name=name, domains=_split(domains), language=language or None,
                                               internal=values.internal, note=note)
    except (InvalidInput, Conflict) as error:
        return _form_again(request, "", values, error)
    return redirect(request, request.app.url_path_for("organisations:show", organisation_id=organisation.id),
                    flash="The organisation is entered.")


@router.get("/{organisation_id}", name="organisations:show")
def show(request: Request, unit: Reading, actor: CurrentUser, organisation_id: str) -> Response:
    organisation = get_organisation(unit, actor, organisation_id)
    endpoints = list_endpoints_of_organisation(unit, actor, organisation.id) if actor.may(Right.ENDPOINTS_READ) else ()
    tickets = list_tickets(unit, actor, TicketFilter(organisation_id=organisation.id), limit=LATEST_TICKETS) if actor.may(
        Right.TICKETS_READ) else None
    return page(request, "customers/show.html", OrganisationShowPage(
        organisation, list_domains(unit, organisation.id),
        list_contacts(unit, actor, organisation_id=organisation.id, with_left=True, limit=SHOWN_CONTACTS).items, endpoints,
        tickets.items if tickets else (), bool(tickets and tickets.next)), fragment="endpoints")


@router.get("/{organisation_id}/edit", name="organisations:edit")
def show_form(request: Request, unit: Reading, actor: CurrentUser, organisation_id: str) -> Response:
    actor.require(Right.CUSTOMERS_WRITE)
    organisation = get_organisation(unit, actor, organisation_id)
    values = OrganisationValues(organisation.name, "\n".join(list_domains(unit, organisation.id)), organisation.language or "",
                                organisation.internal, organisation.note, organisation.version)
    return page(request, "customers/edit.html", OrganisationEditPage(organisation.id, values, {}))


@router.post("/{organisation_id}/edit", name="organisations:change")
def change(request: Request, parts: Parts, actor: CurrentUser, organisation_id: str, name: Annotated[str, Form()] = "",
           domains: Annotated[str, Form()] = "", language: Annotated[str, Form()] = "", internal: Annotated[str, Form()] = "",
           note: Annotated[str, Form()] = "", version: Annotated[int, Form()] = 0) -> Response:
    values = OrganisationValues(name, domains, language, internal == "yes", note, version)
    try:
        with parts.database.write() as unit:
            organisation = get_organisation(unit, actor, organisation_id)
            marked = values.internal if actor.may(Right.APPROVERS_WRITE) else None
            change_organisation(unit, actor, organisation.id, name=name, domains=_split(domains), language=language, internal=marked,
                                note=note, version=version)
    except (InvalidInput, Conflict) as error:
        return _form_again(request, organisation_id, values, error)
    return redirect(request, request.app.url_path_for("organisations:show", organisation_id=organisation_id),
                    flash="The organisation is changed.")


def _split(text: str) -> list[str]:
    return [part for part in text.replace(",", " ").split() if part]


def _form_again(request: Request, organisation_id: str, values: OrganisationValues, error: InvalidInput | Conflict) -> Response:
    return page(request, "customers/edit.html", OrganisationEditPage(organisation_id, values, field_errors(request, error)),
                status=status_for(error))
