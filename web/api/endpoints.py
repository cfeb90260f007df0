"""/endpoints: managed machines."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Right
from sessions.endpoints.queries import get_endpoint, list_endpoints
from sessions.endpoints.service import accept_endpoint, change_responsible, disable_endpoint, lock_endpoint
from web.api.conditions import IfMatch, check_if_match, set_etag
from web.api.idempotency import KeyHeader, answer_once
from web.api.shapes.base import Cursor, Filter, Limit, Page
from web.api.shapes.endpoints import EndpointAcceptance, EndpointChange, EndpointShape
from web.auth import CurrentUser
from web.deps import Reading, Writing

router = APIRouter(prefix="/endpoints", tags=["endpoints"])


@router.get("", name="api:endpoints", response_model=Page[EndpointShape])
def list_all(unit: Reading, actor: CurrentUser, query: Filter = None, organisation_id: Filter = None, state: Filter = None,
             cursor: Cursor = None, limit: Limit = 50) -> Page[EndpointShape]:
    """List endpoints by name, with their presence; ``query`` looks in the name, or is a whole fingerprint."""
    rows, following = list_endpoints(unit, actor, query=query or "", organisation_id=organisation_id, state=state, cursor=cursor, limit=limit)
    return Page(items=[EndpointShape.model_validate(endpoint) for endpoint in rows], next=following)


@router.get("/{endpoint_id}", name="api:endpoint", response_model=EndpointShape)
def show(unit: Reading, actor: CurrentUser, endpoint_id: str, response: Response) -> EndpointShape:
    """Read an endpoint."""
    endpoint = get_endpoint(unit, actor, endpoint_id)
    set_etag(response, endpoint.version)
    return EndpointShape.model_validate(endpoint)


@router.patch("/{endpoint_id}", name="api:endpoint-change", response_model=EndpointShape)
def change(unit: Writing, actor: CurrentUser, endpoint_id: str, body: EndpointChange, response: Response, if_match: IfMatch = None) -> EndpointShape:
    """Make somebody else responsible for an endpoint; for leads. With ``If-Match`` only if nobody changed it in between."""
    actor.require(Right.ENDPOINTS_ACCEPT)
    endpoint = lock_endpoint(unit, get_endpoint(unit, actor, endpoint_id).id)
    check_if_match(if_match, endpoint.version)
    endpoint = change_responsible(unit, actor, endpoint.id, responsible=body.responsible)
    set_etag(response, endpoint.version)
    return EndpointShape.model_validate(endpoint)


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
    """Disable an endpoint, or refuse a waiting one: its sessions end, its key is refused for ever; for leads."""
    return answer_once(unit, actor, request, key, None, lambda: EndpointShape.model_validate(disable_endpoint(unit, actor, endpoint_id)), status=200)
