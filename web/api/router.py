"""/api/v1: the routers of all resources. A change is refused before it opens a transaction unless somebody known asks.

Who asks is decided again in the handler's own transaction; a test asks every route of the table as nobody.
"""

from __future__ import annotations

from importlib import import_module

from fastapi import APIRouter, Depends, Request

from orchestrator.accounts.errors import NotLoggedIn
from web.api.openapi import PREFIX
from web.api.openapi import router as openapi_router
from web.auth import SubmittedToken, load_actor
from web.security import SAFE_METHODS
from web.services import services_of

MODULES = (
    "web.api.tickets", "web.api.new_tickets", "web.api.organisations", "web.api.contacts", "web.api.endpoints", "web.api.enrolment_tokens",
    "web.api.sessions", "web.api.channels", "web.api.articles", "web.api.search", "web.api.audit",
)


def refuse_strangers(request: Request, submitted_token: SubmittedToken) -> None:
    """Raise ``NotLoggedIn`` for a change by nobody known: strangers must not make the writers wait."""
    if request.method in SAFE_METHODS:
        return
    with services_of(request).database.read() as unit:
        if load_actor(request, unit, submitted_token=submitted_token) is None:
            raise NotLoggedIn()


router = APIRouter(prefix=PREFIX)
router.include_router(openapi_router)
for _name in MODULES:
    router.include_router(import_module(_name).router, dependencies=[Depends(refuse_strangers)])
