"""The board: my work by what breaks first, my queues, and the ticket that would be next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from orchestrator.accounts.actor import Right
from orchestrator.core.i18n import translator
from orchestrator.tickets.board import QueueBoard, board
from orchestrator.tickets.lists import TicketFilter, TicketRow, list_tickets
from orchestrator.tickets.models import Status
from orchestrator.tickets.status import ACTIVE
from orchestrator.tickets.take_next import Why
from sessions.lifecycle.models import RemoteSession
from sessions.lifecycle.queries import list_live
from web.auth import CurrentUser
from web.deps import Reading
from web.htmx import language_of, page
from web.pages.timeline import Reader

router = APIRouter(include_in_schema=False)

WAITING = (Status.WAITING_CUSTOMER, Status.WAITING_UNTIL)
FOLLOWED = 10


@dataclass(frozen=True, slots=True)
class BoardPage:
    """`mine` is what I can work on now, `waiting` what waits for others; `why` says why `next_row` is next."""

    sessions: Sequence[RemoteSession]
    mine: Sequence[TicketRow]
    waiting: Sequence[TicketRow]
    more: bool
    queues: Sequence[QueueBoard]
    next_row: TicketRow | None
    why: str
    followed: Sequence[TicketRow]


@router.get("/", name="board:show")
def show_board(request: Request, unit: Reading, actor: CurrentUser) -> Response:
    """Show the board; who works on no tickets is led to his own work."""
    if not actor.may(Right.TICKETS_READ):
        first = "settings:show" if actor.may(Right.ACCOUNTS_WRITE) else "account:show"
        return RedirectResponse(request.app.url_path_for(first), status_code=303)
    found = board(unit, actor)
    live = list_live(unit, actor) if actor.may(Right.SESSIONS_READ) else ()
    sessions = [session for session in live if session.technician_id == actor.id]
    followed = list_tickets(unit, actor, TicketFilter(statuses=ACTIVE, followed=True), limit=FOLLOWED).items
    reader = Reader(actor, translator(language_of(request)), unit.now)
    return page(request, "board/show.html", BoardPage(
        sessions=sessions, mine=[row for row in found.my_work if row.ticket.status not in WAITING],
        waiting=[row for row in found.my_work if row.ticket.status in WAITING], more=found.my_work_more, queues=found.queues,
        next_row=found.next, why=explain(found.why, reader), followed=followed), fragment="board")


def explain(why: Why | None, reader: Reader) -> str:
    """Say in the reader's language why a ticket is next."""
    if why is None:
        return ""
    return reader.words.gettext(why.sentence) % {**why.values, "waiting_since": reader.write(why.waiting_since)}
