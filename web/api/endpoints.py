"""/endpoints: managed machines."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from sessions.endpoints.queries import get_endpoint, list_endpoints
from sessions.endpoints.service import accept_endpoint, disable_endpoint
from web.api.idempotency import KeyHeader, answer_once
from web.api.shapes import Cursor, EndpointAcceptance, EndpointShape, Limit, Page
from web.auth import CurrentUser
from web.deps import Reading, Writing

router = APIRouter(prefix="/endpoints", tags=["endpoints"])


@router.get("", name="api:endpoints", response_model=Page[EndpointShape])
def list_all(unit: Reading, actor: CurrentUser, query: Annotated[str, Query(max_length=200)] = "",
             organisation_id: Annotated[str | None, Query(max_length=40)] = None, cursor: Cursor = None, limit: Limit = 50) -> Page[EndpointShape]:
    rows, following = list_endpoints(unit, actor, query=query, organisation_id=organisation_id, cursor=cursor, limit=limit)
    return Page(items=[EndpointShape.model_validate(endpoint) for endpoint in rows], next=following)


@router.get("/{endpoint_id}", name="api:endpoint", response_model=EndpointShape)
def show(unit: Reading, actor: CurrentUser, endpoint_id: str) -> EndpointShape:
    return EndpointShape.model_validate(get_endpoint(unit, actor, endpoint_id))


@router.post("/{endpoint_id}/accept", name="api:endpoint-accept", response_model=EndpointShape)
def accept(request: Request, unit: Writing, actor: CurrentUser, endpoint_id: str, body: EndpointAcceptance, key: KeyHeader = None) -> Response:
    """Accept a waiting endpoint after comparing its fingerprint; for leads."""

    def make() -> EndpointShape:
        return EndpointShape.model_validate(accept_endpoint(
            unit, actor, endpoint_id, fingerprint=body.fingerprint, endpoint_class=body.endpoint_class,
            responsible=body.responsible))

    return answer_once(unit, actor, request, key, body, make, status=200)


@router.post("/{endpoint_id}/disable", name="api:endpoint-disable", response_model=EndpointShape)
def disable(request: Request, unit: Writing, actor: CurrentUser, endpoint_id: str, key: KeyHeader = None) -> Response:
    return answer_once(unit, actor, request, key, None, lambda: EndpointShape.model_validate(disable_endpoint(unit, actor, endpoint_id)), status=200)
