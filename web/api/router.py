"""/api/v1: the routers of all resources, and the OpenAPI document of exactly these routes."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi

PREFIX = "/api/v1"
MODULES = (
    "web.api.tickets", "web.api.organisations", "web.api.contacts", "web.api.endpoints", "web.api.enrolment_tokens", "web.api.sessions",
    "web.api.articles", "web.api.search", "web.api.audit",
)

router = APIRouter(prefix=PREFIX)
for _name in MODULES:
    router.include_router(import_module(_name).router)


@router.get("/openapi.json", name="api:openapi", include_in_schema=False)
async def show_openapi(request: Request) -> dict[str, Any]:
    """The OpenAPI document; it names no secret and needs no login."""
    return describe_api(request.app)


@cache
def describe_api(app: FastAPI) -> dict[str, Any]:
    """Build the document once."""
    routes = [route for route in app.routes if getattr(route, "path", "").startswith(PREFIX)]
    document = get_openapi(title="Fernwart API", version="1", routes=routes)
    document["components"].setdefault("securitySchemes", {})["bearer"] = {"type": "http", "scheme": "bearer"}
    document["security"] = [{"bearer": []}]
    return document
