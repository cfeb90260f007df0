"""Asking for remote access from a ticket: which machine, who decides, what for, what, as whom, how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Actor, Right
from orchestrator.accounts.logins import require_step_up
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput
from orchestrator.core.i18n import Translator, translator
from orchestrator.customers.models import Organisation
from orchestrator.customers.queries import list_approvers
from orchestrator.tickets.models import Ticket
from orchestrator.tickets.queries import get_ticket
from sessions.consent.policy import AccountFacts, read_accounts
from sessions.endpoints.models import Endpoint
from sessions.endpoints.queries import list_endpoints_of_organisation
from sessions.lifecycle.service import request_session
from web.auth import CurrentUser
from web.deps import Parts, Reading
from web.forms import field_errors, status_for
from web.htmx import language_of, page, redirect

router = APIRouter(prefix="/tickets/{number}", include_in_schema=False)

FORM_NAMES = {"endpoint_id": "endpoint", "contact_id": "contact", "start_within_minutes": "start_within"}


@dataclass(frozen=True, slots=True)
class ConnectValues:
    contact: str = ""
    purpose: str = ""
    scopes: Sequence[str] = ()
    user: str = ""
    minutes: str = "30"
    start_within: str = "480"


@dataclass(frozen=True, slots=True)
class ConnectPage:
    """`endpoint` is the chosen machine; `accounts` are its users that a session may run as."""

    ticket: Ticket
    organisation: Organisation | None
    endpoints: Sequence[Endpoint]
    endpoint: Endpoint | None
    approvers: Sequence[tuple[str, str]]
    accounts: Sequence[tuple[str, str]]
    values: ConnectValues
    errors: dict[str, str]


@router.get("/connect", name="tickets:connect")
def show_form(request: Request, unit: Reading, parts: Parts, actor: CurrentUser, number: str, endpoint: str = "") -> Response:
    """Show the form. The second factor is asked for here already, so that nothing typed is lost."""
    actor.require(Right.SESSIONS_REQUEST)
    ticket = get_ticket(unit, actor, number)
    require_step_up(actor, unit.now, parts.settings)
    return page(request, "tickets/connect.html", _build(request, unit, actor, ticket, endpoint, None, {}))


@router.post("/connect", name="tickets:ask")
def ask(request: Request, parts: Parts, actor: CurrentUser, number: str, endpoint: Annotated[str, Form()] = "",
        contact: Annotated[str, Form()] = "", purpose: Annotated[str, Form()] = "", scopes: Annotated[list[str] | None, Form()] = None,
        user: Annotated[str, Form()] = "", minutes: Annotated[str, Form()] = "", start_within: Annotated[str, Form()] = "480") -> Response:
    """Send the question to the approver."""
    values = ConnectValues(contact, purpose, scopes or [], user, minutes, start_within)
    try:
        with parts.database.write() as unit:
            request_session(
                unit, actor, get_ticket(unit, actor, number), endpoint_id=endpoint, contact_id=contact or None, purpose=purpose,
                scopes=list(values.scopes), os_user=user, minutes=_number(minutes, "minutes"),
                start_within_minutes=_number(start_within, "start_within"), services=parts)
    except (InvalidInput, Conflict) as error:
        with parts.database.read() as reading:
            ticket = get_ticket(reading, actor, number)
            shown = _build(request, reading, actor, ticket, endpoint, values, field_errors(request, error, names=FORM_NAMES))
            return page(request, "tickets/connect.html", shown, status=status_for(error))
    return redirect(request, request.app.url_path_for("tickets:show", number=number),
                    flash="The question is on its way. This page shows the answer as soon as it is there.")


def _number(text: str, field: str) -> int:
    if not text.strip().isdecimal() or len(text.strip()) > 6:
        raise InvalidInput("Write a whole number.", field=field)
    return int(text)


def _build(request: Request, unit: ReadUnit, actor: Actor, ticket: Ticket, endpoint_id: str, values: ConnectValues | None,
           errors: dict[str, str]) -> ConnectPage:
    if not actor.may(Right.SESSIONS_REQUEST):
        raise Forbidden()
    words = translator(language_of(request))
    organisation = unit.db.get(Organisation, ticket.organisation_id) if ticket.organisation_id else None
    if organisation is None:
        return ConnectPage(ticket, None, (), None, (), (), ConnectValues(), errors)
    endpoints = [row for row in list_endpoints_of_organisation(unit, actor, organisation.id) if row.state == "accepted"]
    chosen = next((row for row in endpoints if row.id == endpoint_id), None) or next(
        (row for row in endpoints if row.online), endpoints[0] if endpoints else None)
    accounts = _usable_accounts(chosen) if chosen else []
    approvers = [(row.id, f"{row.name} · {row.email}") for row in list_approvers(unit, organisation.id)]
    return ConnectPage(
        ticket=ticket, organisation=organisation, endpoints=endpoints, endpoint=chosen, approvers=approvers,
        accounts=[(account.name, _name_account(account, words)) for account in accounts],
        values=values or _first_values(ticket, approvers, accounts), errors=errors)


def _usable_accounts(endpoint: Endpoint) -> list[AccountFacts]:
    known = [account for account in read_accounts(endpoint.accounts).values() if account.login_allowed]
    if not endpoint.protected:
        known = [account for account in known if account.name == endpoint.agent_user]
    return sorted(known, key=lambda account: (account.may_become_root, account.name))


def _name_account(account: AccountFacts, words: Translator) -> str:
    return words("%(name)s (may become administrator)", name=account.name) if account.may_become_root else account.name


def _first_values(ticket: Ticket, approvers: Sequence[tuple[str, str]], accounts: Sequence[AccountFacts]) -> ConnectValues:
    """Suggest the ticket's own contact, the least mighty account, and the scope that this account needs."""
    contact = next((one for one, _words in approvers if one == ticket.contact_id), approvers[0][0] if approvers else "")
    first = accounts[0] if accounts else None
    scope = "terminal.admin" if first is not None and first.may_become_root else "terminal"
    return ConnectValues(contact=contact, scopes=[scope], user=first.name if first else "")
