"""The list of tickets with its filters in the address, and taking the next ticket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Actor, Role
from orchestrator.accounts.queries import list_users, roles_of
from orchestrator.core.db import ReadUnit
from orchestrator.core.i18n import _, translator
from orchestrator.customers.models import Organisation
from orchestrator.tickets.lists import OPEN_STATUSES, Order, TicketFilter, TicketRow, list_tickets
from orchestrator.tickets.models import Status
from orchestrator.tickets.queues import list_queues
from orchestrator.tickets.take_next import take_next
from web.auth import CurrentUser
from web.deps import Reading, Writing
from web.htmx import language_of, page, redirect
from web.pages.board import explain
from web.pages.timeline import Reader

router = APIRouter(prefix="/tickets", include_in_schema=False)

STATUSES: Mapping[str, tuple[Status, ...]] = {
    "unfinished": OPEN_STATUSES, "new": (Status.NEW,), "open": (Status.OPEN,),
    "waiting": (Status.WAITING_CUSTOMER, Status.WAITING_UNTIL), "resolved": (Status.RESOLVED,), "closed": (Status.CLOSED,),
}


@dataclass(frozen=True, slots=True)
class View:
    """A filter with a name."""

    name: str
    query: Mapping[str, str]
    chosen: bool = False


VIEWS = (
    View(_("Not finished"), {"status": "unfinished"}),
    View(_("Mine"), {"status": "unfinished", "assignee": "me", "order": "rank"}),
    View(_("Nobody has them"), {"status": "unfinished", "assignee": "nobody", "order": "rank"}),
    View(_("I follow"), {"followed": "yes"}),
    View(_("Resolved"), {"status": "resolved"}),
    View(_("All"), {}),
)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The filter as it stands in the address. Unknown words count as "any"."""

    status: str = ""
    queue: str = ""
    assignee: str = ""
    priority: str = ""
    order: str = ""
    organisation: str = ""
    followed: str = ""

    def words(self) -> dict[str, str]:
        """Return what is set, for addresses."""
        return {name: str(getattr(self, name)) for name in self.__slots__ if getattr(self, name)}


@dataclass(frozen=True, slots=True)
class TicketListPage:
    views: Sequence[View]
    filter: ListQuery
    queues: Sequence[tuple[str, str]]
    people: Sequence[tuple[str, str]]
    organisation_name: str
    rows: Sequence[TicketRow]
    first_url: str | None
    next_url: str | None


@router.get("", name="tickets:list")
def show_list(request: Request, unit: Reading, actor: CurrentUser, status: str = "", queue: str = "", assignee: str = "",
              priority: str = "", order: str = "", organisation: str = "", followed: str = "", cursor: str | None = None) -> Response:
    query = ListQuery(status if status in STATUSES else "", queue, assignee, priority, order if order in list(Order) else "", organisation,
                      followed)
    if not request.query_params:
        query = ListQuery(status="unfinished")
    found = list_tickets(unit, actor, _filter(actor, query), cursor=cursor)
    organisation_row = unit.db.get(Organisation, query.organisation) if query.organisation else None
    here = request.app.url_path_for("tickets:list")
    words = query.words()
    return page(request, "tickets/list.html", TicketListPage(
        views=[View(view.name, view.query or {"status": "any"}, chosen=dict(view.query) == words) for view in VIEWS], filter=query,
        queues=[(row.id, row.name) for row in list_queues(unit, actor)], people=_people(unit, actor),
        organisation_name=organisation_row.name if organisation_row else "", rows=found.items,
        first_url=f"{here}?{urlencode(words or {'status': 'any'})}" if cursor else None,
        next_url=f"{here}?{urlencode({**words, 'cursor': found.next})}" if found.next else None), fragment="results")


@router.post("/take-next", name="tickets:take-next")
def take(request: Request, unit: Writing, actor: CurrentUser) -> Response:
    """Take the ticket that breaks first, and say why this one."""
    taken = take_next(unit, actor)
    if taken is None:
        return redirect(request, request.app.url_path_for("board:show"), flash="Nothing waits for you right now.")
    ticket, why = taken
    reader = Reader(actor, translator(language_of(request)), unit.now)
    return redirect(request, request.app.url_path_for("tickets:show", number=ticket.number), flash="This is your next ticket: {why}",
                    values={"why": explain(why, reader)})


def _filter(actor: Actor, query: ListQuery) -> TicketFilter:
    assignee = actor.user_id if query.assignee == "me" else query.assignee
    return TicketFilter(
        statuses=STATUSES.get(query.status, ()), queue_id=query.queue or None,
        assignee_id=assignee or None if query.assignee != "nobody" else None, unassigned=query.assignee == "nobody",
        followed=query.followed == "yes", organisation_id=query.organisation or None,
        priorities=(int(query.priority),) if query.priority in ("1", "2", "3", "4", "5") else (),
        order=Order(query.order) if query.order else Order.NEWEST)


def _people(unit: ReadUnit, actor: Actor) -> list[tuple[str, str]]:
    return [(user.id, user.name) for user in list_users(unit, actor, with_disabled=False)
            if roles_of(user) & {Role.TECHNICIAN, Role.LEAD}]
