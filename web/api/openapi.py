"""The OpenAPI document of /api/v1: exactly the routes that are there, with their summaries and the one shape of errors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext, iter_route_contexts

from web.api.shapes.base import Problem

PREFIX = "/api/v1"
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_DEFAULTS = ("HTTPValidationError", "ValidationError")

router = APIRouter()


@router.get("/openapi.json", name="api:openapi", include_in_schema=False)
async def show_openapi(request: Request) -> dict[str, Any]:
    """The OpenAPI document; it names no secret and needs no login."""
    state = request.app.state
    if getattr(state, "openapi", None) is None:
        state.openapi = describe_api(request.app)
    return state.openapi


def describe_api(app: FastAPI) -> dict[str, Any]:
    """Build the document from the application's route table."""
    routes = [route for route in iter_route_contexts(app.routes) if (route.path or "").startswith(f"{PREFIX}/")]
    document = get_openapi(title="Fernwart API", version="1", routes=routes, description=_TEXT)
    by_path = {(route.path_format, method.lower()): route for route in routes for method in route.methods or ()}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _polish(operation, by_path[path, method])
    components = document["components"]
    for name in _DEFAULTS:
        components["schemas"].pop(name, None)
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"] |= schema.pop("$defs") | {"Problem": schema}
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"bearer": []}]
    return document


def _polish(operation: dict[str, Any], route: RouteContext) -> None:
    """Give an operation the first sentence of its handler as summary, the route's name as id, and our shape of errors."""
    text = " ".join(operation.pop("description", "").split())
    operation["summary"] = text.rstrip(".")
    operation["operationId"] = (route.name or "").removeprefix("api:")
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {"description": "What went wrong", "content": _PROBLEM}


_TEXT = """The service desk and its remote sessions. Authenticate by `Authorization: Bearer <token>` (`fernwart token create`).
Lists answer `{items, next}`; `next` goes back as `cursor`. A POST with an `Idempotency-Key` has one effect, however often it is
sent within a day. What can be edited carries an `ETag`; a change with `If-Match` answers 412 when somebody was faster.
Errors are problem details (RFC 9457); the end of `type` is a stable code, `errors` names the fields."""
