"""/organisations: customer companies."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from orchestrator.core.db import ReadUnit
from orchestrator.customers.models import Organisation
from orchestrator.customers.queries import get_organisation, list_domains, list_organisations
from orchestrator.customers.service import create_organisation
from web.api.idempotency import KeyHeader, answer_once
from web.api.shapes import Cursor, Limit, NewOrganisation, OrganisationShape, Page
from web.auth import CurrentUser
from web.deps import Reading, Writing

router = APIRouter(prefix="/organisations", tags=["customers"])


def _shape(unit: ReadUnit, organisation: Organisation) -> OrganisationShape:
    return OrganisationShape(
        id=organisation.id, number=organisation.number, name=organisation.name, domains=list_domains(unit, organisation.id),
        language=organisation.language, internal=organisation.internal, created_at=organisation.created_at)


@router.get("", name="api:organisations", response_model=Page[OrganisationShape])
def list_all(unit: Reading, actor: CurrentUser, query: Annotated[str, Query(max_length=200)] = "", cursor: Cursor = None,
             limit: Limit = 50) -> Page[OrganisationShape]:
    page = list_organisations(unit, actor, query=query, cursor=cursor, limit=limit)
    return Page(items=[_shape(unit, organisation) for organisation in page.items], next=page.next)


@router.post("", name="api:organisations-create", status_code=201, response_model=OrganisationShape)
def create(request: Request, unit: Writing, actor: CurrentUser, body: NewOrganisation, key: KeyHeader = None) -> Response:
    def make() -> OrganisationShape:
        return _shape(unit, create_organisation(unit, actor, name=body.name, domains=body.domains, language=body.language))

    return answer_once(unit, actor, request, key, body, make)


@router.get("/{organisation_id}", name="api:organisation", response_model=OrganisationShape)
def show(unit: Reading, actor: CurrentUser, organisation_id: str) -> OrganisationShape:
    return _shape(unit, get_organisation(unit, actor, organisation_id))
