"""Pages of endpoints: the list, one machine with its inventory, enrolling with one command, accepting after comparison."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import Conflict, InvalidInput
from orchestrator.customers.models import Contact, Organisation
from orchestrator.customers.queries import list_contacts, list_organisations
from sessions.consent.policy import CLOCK_IS_OFF_SECONDS, AccountFacts, read_accounts
from sessions.endpoints.models import Endpoint, EnrolmentToken
from sessions.endpoints.queries import get_endpoint, list_endpoints, list_open_tokens, name_of_responsible
from sessions.endpoints.service import (
    accept_endpoint,
    change_responsible,
    create_enrolment_token,
    disable_endpoint,
    revoke_enrolment_token,
)
from sessions.lifecycle.models import RemoteSession
from sessions.lifecycle.queries import list_sessions_of_endpoint
from web.auth import CurrentUser
from web.deps import Parts, Reading, Writing
from web.forms import field_errors, status_for
from web.htmx import page, redirect

router = APIRouter(prefix="/endpoints", include_in_schema=False)
Text = Annotated[str, Form(max_length=400)]

HOURS = ("1", "8", "24")
MOST_CHOICES = 200


@dataclass(frozen=True, slots=True)
class EndpointRow:
    endpoint: Endpoint
    organisation: str


@dataclass(frozen=True, slots=True)
class EndpointListPage:
    query: str
    state: str
    rows: Sequence[EndpointRow]
    waiting: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class EndpointShowPage:
    endpoint: Endpoint
    organisation: Organisation
    responsible: str
    accounts: Sequence[AccountFacts]
    facts: Sequence[tuple[str, str]]
    memory_bytes: int | None
    addresses: Sequence[str]
    sessions: Sequence[RemoteSession]
    clock_is_off: bool
    people: Sequence[Contact]
    values: dict[str, str]
    errors: dict[str, str]


@dataclass(frozen=True, slots=True)
class EnrolPage:
    organisations: Sequence[Organisation]
    open_tokens: Sequence[tuple[EnrolmentToken, str]]
    values: dict[str, str]
    errors: dict[str, str]


@dataclass(frozen=True, slots=True)
class EnrolledCommandPage:
    """The command with the token: shown in this answer and never again."""

    organisation: str
    command: str
    expires_at: datetime
    auto_accept: bool
    endpoint_class: str
    fingerprint: str


@router.get("", name="endpoints:list")
def show_list(request: Request, unit: Reading, actor: CurrentUser, q: str = "", state: str = "", cursor: str | None = None) -> Response:
    query, wanted = q.strip()[:100], state if state in ("waiting", "accepted", "disabled") else None
    rows, following = list_endpoints(unit, actor, query=query, state=wanted, cursor=cursor)
    waiting, _ = list_endpoints(unit, actor, state="waiting", limit=99)
    shown = EndpointListPage(query, wanted or "", [EndpointRow(row, _organisation(unit, row.organisation_id).name) for row in rows],
                             len(waiting), following)
    return page(request, "endpoints/list.html", shown, fragment="results")


@router.get("/enrol", name="endpoints:enrol")
def show_enrol(request: Request, unit: Reading, actor: CurrentUser, organisation: str = "") -> Response:
    actor.require(Right.ENDPOINTS_ENROL)
    return page(request, "endpoints/enrol.html", _enrol_page(unit, actor, {"organisation": organisation}, {}))


@router.post("/enrol", name="endpoints:make-token")
def make_token(
    request: Request, unit: Writing, parts: Parts, actor: CurrentUser, organisation: Text = "", hours: Text = "1", uses: Text = "1",
    endpoint_class: Text = "server", auto_accept: Text = "", responsible: Text = "",
) -> Response:
    """Make a token and show the one command that uses it."""
    values = {"organisation": organisation, "hours": hours, "uses": uses, "endpoint_class": endpoint_class, "auto_accept": auto_accept,
              "responsible": responsible}
    try:
        if not organisation:
            raise InvalidInput("Choose an organisation.", field="organisation")
        if hours not in HOURS or not uses.isdigit() or len(uses) > 3:
            raise InvalidInput("A token can be used 1 to {most} times.", field="uses", most=100)
        token = create_enrolment_token(
            unit, actor, organisation_id=organisation, server_fingerprint=parts.keys.fingerprint, uses=int(uses),
            expires=timedelta(hours=int(hours)), auto_accept=auto_accept == "yes", endpoint_class=endpoint_class, responsible=responsible)
    except (InvalidInput, Conflict) as error:
        return page(request, "endpoints/enrol.html", _enrol_page(unit, actor, values, field_errors(request, error)), status=status_for(error))
    command = shlex.join(["fernwart-agent", "enroll", parts.settings.public_url, token,
                          *(["--class", "client"] if endpoint_class == "client" else [])])
    return page(request, "endpoints/token.html", EnrolledCommandPage(
        _organisation(unit, organisation).name, command, unit.now + timedelta(hours=int(hours)), auto_accept == "yes", endpoint_class,
        parts.keys.fingerprint))


@router.post("/tokens/{token_id}/revoke", name="endpoints:revoke-token")
def revoke_token(request: Request, unit: Writing, actor: CurrentUser, token_id: str) -> Response:
    revoke_enrolment_token(unit, actor, token_id)
    return redirect(request, request.app.url_path_for("endpoints:enrol"), flash="The token works no more.")


@router.get("/{endpoint_id}", name="endpoints:show")
def show_endpoint(request: Request, unit: Reading, actor: CurrentUser, endpoint_id: str) -> Response:
    return page(request, "endpoints/show.html", _show_page(unit, actor, get_endpoint(unit, actor, endpoint_id), {}, {}), fragment="state")


@router.post("/{endpoint_id}/accept", name="endpoints:accept")
def accept(request: Request, unit: Writing, actor: CurrentUser, endpoint_id: str, fingerprint: Text = "", endpoint_class: Text = "",
           responsible: Text = "") -> Response:
    """Accept after the fingerprint was compared on the machine."""
    endpoint = get_endpoint(unit, actor, endpoint_id)
    values = {"fingerprint": fingerprint, "endpoint_class": endpoint_class, "responsible": responsible}
    try:
        accept_endpoint(unit, actor, endpoint.id, fingerprint=fingerprint, endpoint_class=endpoint_class, responsible=responsible)
    except (InvalidInput, Conflict) as error:
        return _show_again(request, unit, actor, endpoint, values, field_errors(request, error, names={"class": "endpoint_class"}), error)
    return redirect(request, request.app.url_path_for("endpoints:show", endpoint_id=endpoint.id), flash="The machine is accepted.")


@router.post("/{endpoint_id}/responsible", name="endpoints:responsible")
def set_responsible(request: Request, unit: Writing, actor: CurrentUser, endpoint_id: str, responsible: Text = "") -> Response:
    endpoint = get_endpoint(unit, actor, endpoint_id)
    try:
        change_responsible(unit, actor, endpoint.id, responsible=responsible)
    except InvalidInput as error:
        return _show_again(request, unit, actor, endpoint, {"responsible": responsible}, field_errors(request, error), error)
    return redirect(request, request.app.url_path_for("endpoints:show", endpoint_id=endpoint.id), flash="Another person is responsible now.")


@router.post("/{endpoint_id}/disable", name="endpoints:disable")
def disable(request: Request, unit: Writing, actor: CurrentUser, endpoint_id: str, reason: Text = "") -> Response:
    endpoint = disable_endpoint(unit, actor, get_endpoint(unit, actor, endpoint_id).id, reason=reason)
    return redirect(request, request.app.url_path_for("endpoints:show", endpoint_id=endpoint.id),
                    flash="The machine is disabled; sessions on it have ended.")


def _show_again(request: Request, unit: ReadUnit, actor: Actor, endpoint: Endpoint, values: dict[str, str], errors: dict[str, str],
                error: InvalidInput | Conflict) -> Response:
    unit.db.expire_all()
    return page(request, "endpoints/show.html", _show_page(unit, actor, get_endpoint(unit, actor, endpoint.id), values, errors),
                status=status_for(error))


def _show_page(unit: ReadUnit, actor: Actor, endpoint: Endpoint, values: dict[str, str], errors: dict[str, str]) -> EndpointShowPage:
    inventory = endpoint.inventory or {}
    memory = inventory.get("memory_bytes")
    may_accept = actor.may(Right.ENDPOINTS_ACCEPT) and endpoint.state != "disabled"
    people = list_contacts(unit, actor, organisation_id=endpoint.organisation_id, limit=50).items if may_accept else ()
    return EndpointShowPage(
        endpoint=endpoint, organisation=_organisation(unit, endpoint.organisation_id), responsible=name_of_responsible(unit, endpoint),
        accounts=sorted(read_accounts(endpoint.accounts).values(), key=lambda account: account.name),
        facts=[(name, str(inventory[name])) for name in ("host_name", "operating_system", "kernel", "architecture", "processor", "processors")
               if inventory.get(name)],
        memory_bytes=memory if isinstance(memory, int) else None, addresses=[str(each) for each in inventory.get("addresses", [])],
        sessions=list_sessions_of_endpoint(unit, actor, endpoint) if actor.may(Right.SESSIONS_READ) else (),
        clock_is_off=abs(endpoint.clock_offset_seconds) > CLOCK_IS_OFF_SECONDS, people=[row.contact for row in people if row.contact.email],
        values={"fingerprint": "", "endpoint_class": endpoint.claimed_class or "server", "responsible": "", **values}, errors=errors,
    )


def _enrol_page(unit: ReadUnit, actor: Actor, values: dict[str, str], errors: dict[str, str]) -> EnrolPage:
    tokens = [(token, _organisation(unit, token.organisation_id).name) for token in list_open_tokens(unit, actor)]
    return EnrolPage(
        organisations=list_organisations(unit, actor, limit=MOST_CHOICES).items, open_tokens=tokens, errors=errors,
        values={"organisation": "", "hours": "1", "uses": "1", "endpoint_class": "server", "auto_accept": "", "responsible": "", **values},
    )


def _organisation(unit: ReadUnit, organisation_id: str) -> Organisation:
    return unit.db.get_one(Organisation, organisation_id)
