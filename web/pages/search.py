"""The search page: one box over tickets, entries, articles, commands, customers and endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from orchestrator.accounts.actor import Right
from orchestrator.core.errors import Forbidden, NotFound
from orchestrator.core.i18n import _
from orchestrator.search.service import SearchPage, search
from orchestrator.tickets.queries import get_ticket
from web.auth import CurrentUser
from web.deps import Reading
from web.htmx import page

router = APIRouter(include_in_schema=False)

KINDS: Mapping[str, str] = {
    "ticket": _("Tickets"), "entry": _("Entries"), "command": _("Commands"), "article": _("Articles"),
    "organisation": _("Organisations"), "contact": _("Contacts"), "endpoint": _("Endpoints"),
}
_QUERY_LENGTH = 300


@dataclass(frozen=True, slots=True)
class SearchResultsPage:
    """``found`` is None before anything was searched for; ``kind`` narrows to one kind of thing."""

    query: str
    kind: str
    kinds: Mapping[str, str]
    found: SearchPage | None
    offset: int


@router.get("/search", name="search:show")
def show_search(request: Request, unit: Reading, actor: CurrentUser, q: str = "", kind: str = "", offset: int = 0) -> Response:
    """Show what was found. A complete ticket number leads straight to its ticket."""
    if not (actor.may(Right.TICKETS_READ) or actor.may(Right.ARTICLES_READ)):
        raise Forbidden()
    typed, kind, offset = q.strip()[:_QUERY_LENGTH], kind if kind in KINDS else "", max(0, offset)
    if not typed:
        return page(request, "search/show.html", SearchResultsPage("", kind, KINDS, None, 0), fragment="results")
    if typed[0].isdigit() and " " not in typed and not kind:
        try:
            number = get_ticket(unit, actor, typed).number
        except NotFound:
            number = None
        if number is not None:
            return RedirectResponse(request.app.url_path_for("tickets:show", number=number), status_code=303)
    found = search(unit, actor, typed, kinds=[kind] if kind else None, offset=offset)
    return page(request, "search/show.html", SearchResultsPage(typed, kind, KINDS, found, offset), fragment="results")
