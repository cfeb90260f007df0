"""/organisations: customer companies."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Right
from orchestrator.core.db import ReadUnit
from orchestrator.customers.models import Organisation
from orchestrator.customers.queries import get_organisation, list_domains, list_organisations
from orchestrator.customers.service import change_organisation, create_organisation, lock_organisation
from web.api.conditions import IfMatch, check_if_match, set_etag
from web.api.idempotency import KeyHeader, answer_once
from web.api.shapes.base import Cursor, Filter, Limit, Page
from web.api.shapes.customers import NewOrganisation, OrganisationChange, OrganisationShape
from web.auth import CurrentUser
from web.deps import Reading, Writing

router = APIRouter(prefix="/organisations", tags=["customers"])


def _shape(unit: ReadUnit, organisation: Organisation) -> OrganisationShape:
    return OrganisationShape(
        id=organisation.id, number=organisation.number, name=organisation.name, domains=list_domains(unit, organisation.id),
        language=organisation.language, internal=organisation.internal, version=organisation.version, created_at=organisation.created_at)


@router.get("", name="api:organisations", response_model=Page[OrganisationShape])
def list_all(unit: Reading, actor: CurrentUser, query: Filter = None, cursor: Cursor = None, limit: Limit = 50) -> Page[OrganisationShape]:
    """List organisations by name; ``query`` looks in name, customer number and mail domains."""
    page = list_organisations(unit, actor, query=query or "", cursor=cursor, limit=limit)
    return Page(items=[_shape(unit, organisation) for organisation in page.items], next=page.next)


@router.post("", name="api:organisations-create", status_code=201, response_model=OrganisationShape)
def create(request: Request, unit: Writing, actor: CurrentUser, body: NewOrganisation, key: KeyHeader = None) -> Response:
    """Enter an organisation with the mail domains by which its people are recognised."""

    def make() -> OrganisationShape:
        return _shape(unit, create_organisation(unit, actor, name=body.name, domains=body.domains, language=body.language, internal=body.internal))

    return answer_once(unit, actor, request, key, body, make)


@router.get("/{organisation_id}", name="api:organisation", response_model=OrganisationShape)
def show(unit: Reading, actor: CurrentUser, organisation_id: str, response: Response) -> OrganisationShape:
    """Read an organisation."""
    organisation = get_organisation(unit, actor, organisation_id)
    set_etag(response, organisation.version)
    return _shape(unit, organisation)


@router.patch("/{organisation_id}", name="api:organisation-change", response_model=OrganisationShape)
def change(unit: Writing, actor: CurrentUser, organisation_id: str, body: OrganisationChange, response: Response,
           if_match: IfMatch = None) -> OrganisationShape:
    """Change an organisation; with ``If-Match`` only if nobody changed it in between."""
    actor.require(Right.CUSTOMERS_WRITE)
    organisation = lock_organisation(unit, get_organisation(unit, actor, organisation_id).id)
    check_if_match(if_match, organisation.version)
    given = body.model_dump(exclude_none=True)
    if "language" in body.model_fields_set and body.language is None:
        given["language"] = ""
    organisation = change_organisation(unit, actor, organisation.id, **given)
    set_etag(response, organisation.version)
    return _shape(unit, organisation)
