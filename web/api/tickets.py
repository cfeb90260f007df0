"""/tickets: the service desk. Opening a ticket is in ``new_tickets.py``, sessions of a ticket in ``sessions.py``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Actor, Right
from orchestrator.accounts.queries import find_user, find_user_by_email
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import InvalidInput, NotFound
from orchestrator.core.i18n import _
from orchestrator.tickets.assign import assign_ticket, move_ticket
from orchestrator.tickets.classification import set_kind, set_priority, set_subject
from orchestrator.tickets.customer import set_customer
from orchestrator.tickets.models import Kind, Level, Queue, Status, Ticket
from orchestrator.tickets.queries import TicketFilter, TimelineItem, attach_details, get_ticket, list_tickets, timeline
from orchestrator.tickets.queues import find_queue
from orchestrator.tickets.reply import reply_to_customer, write_note
from orchestrator.tickets.service import lock_ticket
from orchestrator.tickets.status import change_status
from orchestrator.tickets.take_next import take_next
from web.api.conditions import IfMatch, check_if_match, set_etag
from web.api.idempotency import KeyHeader, answer_once
from web.api.shapes.base import Cursor, Filter, Limit, Page
from web.api.shapes.tickets import AttachmentShape, EntryShape, NewEntry, TakenTicket, TicketChange, TicketShape
from web.auth import CurrentUser
from web.deps import Reading, Writing

router = APIRouter(prefix="/tickets", tags=["tickets"])


def ticket_shape(unit: ReadUnit, ticket: Ticket, queue_name: str | None = None) -> TicketShape:
    """A ticket with the name of its queue."""
    name = queue_name if queue_name is not None else unit.db.get_one(Queue, ticket.queue_id).name
    columns = {field: getattr(ticket, field) for field in TicketShape.model_fields if field != "queue"}
    return TicketShape(**columns, queue=name)


def entry_shape(item: TimelineItem) -> EntryShape:
    """An entry with its attachments."""
    columns = {field: getattr(item.entry, field) for field in EntryShape.model_fields if field != "attachments"}
    return EntryShape(**columns, attachments=[AttachmentShape.model_validate(attachment) for attachment in item.attachments])


def get_queue_by_name(unit: ReadUnit, name: str) -> Queue:
    """Return the queue of that name or id. Raises ``InvalidInput``."""
    queue = find_queue(unit, name)
    if queue is None:
        raise InvalidInput(_("There is no such queue."), field="queue")
    return queue


@router.get("", name="api:tickets", response_model=Page[TicketShape])
def list_all(unit: Reading, actor: CurrentUser, status: Annotated[list[Status] | None, Query(max_length=6)] = None, queue: Filter = None,
             organisation_id: Filter = None, contact_id: Filter = None, assignee: Filter = None, cursor: Cursor = None,
             limit: Limit = 50) -> Page[TicketShape]:
    """List the tickets you may see, the newest first. ``assignee`` is a mail address or id, or ``none``."""
    worker = None if assignee in (None, "none") else _get_worker(unit, assignee or "")
    wanted = TicketFilter(
        statuses=tuple(status or ()), queue_id=get_queue_by_name(unit, queue).id if queue else None, organisation_id=organisation_id or None,
        contact_id=contact_id or None, assignee_id=worker, unassigned=assignee == "none")
    page = list_tickets(unit, actor, wanted, cursor=cursor, limit=limit)
    return Page(items=[ticket_shape(unit, row.ticket, row.queue_name) for row in page.items], next=page.next)


@router.post("/take-next", name="api:tickets-take-next", response_model=TakenTicket)
def take(request: Request, unit: Writing, actor: CurrentUser, key: KeyHeader = None) -> Response:
    """Take the next ticket of your queues, and learn why this one; 404 when nothing waits."""

    def make() -> TakenTicket:
        taken = take_next(unit, actor)
        if taken is None:
            raise NotFound(_("No ticket waits in your queues."))
        ticket, why = taken
        return TakenTicket(ticket=ticket_shape(unit, ticket), why=str(why))

    return answer_once(unit, actor, request, key, None, make, status=200)


@router.get("/{number}", name="api:ticket", response_model=TicketShape)
def show(unit: Reading, actor: CurrentUser, number: str, response: Response) -> TicketShape:
    """Read a ticket by its number or id."""
    ticket = get_ticket(unit, actor, number)
    set_etag(response, ticket.version)
    return ticket_shape(unit, ticket)


@router.patch("/{number}", name="api:ticket-change", response_model=TicketShape)
def change(unit: Writing, actor: CurrentUser, number: str, body: TicketChange, response: Response, if_match: IfMatch = None) -> TicketShape:
    """Change a ticket in one step; with ``If-Match`` only if nobody changed it in between."""
    actor.require(Right.TICKETS_WRITE)
    ticket = lock_ticket(unit, get_ticket(unit, actor, number))
    check_if_match(if_match, ticket.version)
    ticket = _apply(unit, actor, ticket, body)
    set_etag(response, ticket.version)
    return ticket_shape(unit, ticket)


def _apply(unit: WriteUnit, actor: Actor, ticket: Ticket, body: TicketChange) -> Ticket:
    if body.subject is not None:
        ticket = set_subject(unit, actor, ticket, body.subject)
    if body.kind is not None:
        ticket = set_kind(unit, actor, ticket, Kind(body.kind))
    if body.contact_id is not None or body.organisation_id is not None:
        ticket = set_customer(unit, actor, ticket, contact_id=body.contact_id or ticket.contact_id, organisation_id=body.organisation_id)
    if body.impact is not None or body.urgency is not None or body.priority is not None:
        ticket = set_priority(unit, actor, ticket, impact=Level(body.impact) if body.impact else None,
                              urgency=Level(body.urgency) if body.urgency else None, priority=body.priority, reason=body.reason)
    if body.queue is not None:
        ticket = move_ticket(unit, actor, ticket, get_queue_by_name(unit, body.queue).id, reason=body.reason)
    if "assignee" in body.model_fields_set:
        ticket = assign_ticket(unit, actor, ticket, _get_worker(unit, body.assignee) if body.assignee else None)
    if body.status is not None and (body.status != ticket.status or body.wait_until is not None):
        ticket = change_status(unit, actor, ticket, Status(body.status), reason=body.reason, wait_until=body.wait_until)
    return ticket


def _get_worker(unit: ReadUnit, email_or_id: str) -> str:
    user = find_user_by_email(unit, email_or_id) if "@" in email_or_id else find_user(unit, email_or_id)
    if user is None:
        raise InvalidInput(_("Nobody of the desk has this mail address."), field="assignee")
    return user.id


@router.get("/{number}/entries", name="api:ticket-entries", response_model=Page[EntryShape])
def list_entries(unit: Reading, actor: CurrentUser, number: str, cursor: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
                 limit: Limit = 100) -> Page[EntryShape]:
    """The newest part of the timeline, in the order of time; ``next`` leads to the part before it."""
    shown = timeline(unit, actor, get_ticket(unit, actor, number), before_seq=cursor, limit=limit)
    return Page(items=[entry_shape(item) for item in shown.items], next=str(shown.before_seq) if shown.before_seq is not None else None)


@router.post("/{number}/entries", name="api:ticket-entries-add", status_code=201, response_model=EntryShape)
def add(request: Request, unit: Writing, actor: CurrentUser, number: str, body: NewEntry, key: KeyHeader = None) -> Response:
    """Answer the customer by mail, or write an internal note."""

    def make() -> EntryShape:
        actor.require(Right.TICKETS_WRITE)
        ticket = get_ticket(unit, actor, number)
        entry = reply_to_customer(unit, actor, ticket, text=body.text) if body.kind == "reply" else write_note(unit, actor, ticket, text=body.text)
        return entry_shape(attach_details(unit, [entry])[0])

    return answer_once(unit, actor, request, key, body, make)
