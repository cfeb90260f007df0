"""/tickets: the service desk."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Actor, Right
from orchestrator.accounts.queries import find_user_by_email
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput, NotFound
from orchestrator.customers.models import Contact
from orchestrator.customers.queries import find_contact_by_address, get_contact, get_organisation, language_of
from orchestrator.customers.service import create_contact
from orchestrator.notifications.confirmation import confirm_ticket
from orchestrator.tickets.assign import assign_ticket, move_ticket
from orchestrator.tickets.classification import set_priority
from orchestrator.tickets.models import Kind, Level, Medium, Status, Ticket
from orchestrator.tickets.queries import TicketFilter, get_ticket, list_tickets, timeline
from orchestrator.tickets.queues import find_queue, list_queues
from orchestrator.tickets.reply import reply_to_customer, write_note
from orchestrator.tickets.service import open_ticket
from orchestrator.tickets.status import change_status
from orchestrator.tickets.take_next import take_next
from web.api.idempotency import KeyHeader, answer_once
from web.api.shapes import Caller, Cursor, EntryShape, Limit, NewEntry, NewTicket, Page, TakenTicket, TicketChange, TicketShape
from web.auth import CurrentUser
from web.deps import Parts, Reading, Writing

router = APIRouter(prefix="/tickets", tags=["tickets"])


@router.get("", name="api:tickets", response_model=Page[TicketShape])
def list_all(unit: Reading, actor: CurrentUser, status: Annotated[Status | None, Query()] = None,
             queue: Annotated[str | None, Query(max_length=100)] = None, organisation_id: Annotated[str | None, Query(max_length=40)] = None,
             cursor: Cursor = None, limit: Limit = 50) -> Page[TicketShape]:
    found = find_queue(unit, queue) if queue else None
    if queue and found is None:
        raise InvalidInput("There is no queue of that name.", field="queue")
    page = list_tickets(unit, actor, TicketFilter(statuses=(status,) if status else (), queue_id=found.id if found else None, organisation_id=organisation_id),
                        cursor=cursor, limit=limit)
    return Page(items=[TicketShape.model_validate(row.ticket) for row in page.items], next=page.next)


@router.post("", name="api:tickets-open", status_code=201, response_model=TicketShape)
def open_one(request: Request, unit: Writing, actor: CurrentUser, services: Parts, body: NewTicket, key: KeyHeader = None) -> Response:
    """Open a ticket, for a known contact or one made on the spot."""

    def make() -> TicketShape:
        actor.require(Right.TICKETS_WRITE)
        contact = _contact(unit, actor, body)
        organisation_id = body.organisation_id or (contact.organisation_id if contact else None)
        organisation = get_organisation(unit, actor, organisation_id) if organisation_id else None
        ticket, _entry = open_ticket(
            unit, actor, subject=body.subject, text=body.text, queue_id=_queue_id(unit, actor, body.queue), contact_id=contact.id if contact else None,
            organisation_id=organisation_id, medium=Medium.API, kind=Kind(body.kind), impact=Level(body.impact), urgency=Level(body.urgency),
            language=language_of(contact, organisation, None, services.settings), author=contact)
        if contact is not None and contact.email:
            confirm_ticket(unit, ticket, to_address=contact.email, to_name=contact.name)
        return TicketShape.model_validate(ticket)

    return answer_once(unit, actor, request, key, body, make)


def _contact(unit: WriteUnit, actor: Actor, body: NewTicket) -> Contact | None:
    if body.contact_id:
        return get_contact(unit, actor, body.contact_id)
    if body.contact is None:
        return None
    return _caller(unit, actor, body.contact, body.organisation_id)


def _caller(unit: WriteUnit, actor: Actor, caller: Caller, organisation_id: str | None) -> Contact:
    known = find_contact_by_address(unit, caller.email) if caller.email else None
    return known or create_contact(unit, actor, name=caller.name, email=caller.email, phone=caller.phone, organisation_id=organisation_id)


def _queue_id(unit: WriteUnit, actor: Actor, name: str | None) -> str:
    if name is None:
        queues = list_queues(unit, actor)
        if not queues:
            raise Conflict("There is no queue yet; make one in the settings.")
        return queues[0].id
    queue = find_queue(unit, name)
    if queue is None:
        raise InvalidInput("There is no queue of that name.", field="queue")
    return queue.id


@router.post("/take-next", name="api:tickets-take-next", response_model=TakenTicket)
def take(request: Request, unit: Writing, actor: CurrentUser, key: KeyHeader = None) -> Response:
    """Take the next ticket of your queues, and learn why this one.

    Raises:
        NotFound: nothing waits.
    """

    def make() -> TakenTicket:
        taken = take_next(unit, actor)
        if taken is None:
            raise NotFound("No ticket waits in your queues.")
        ticket, why = taken
        return TakenTicket(ticket=TicketShape.model_validate(ticket), why=str(why))

    return answer_once(unit, actor, request, key, None, make, status=200)


@router.get("/{number}", name="api:ticket", response_model=TicketShape)
def show(unit: Reading, actor: CurrentUser, number: str, response: Response) -> TicketShape:
    ticket = get_ticket(unit, actor, number)
    response.headers["ETag"] = f'"{ticket.version}"'
    return TicketShape.model_validate(ticket)


@router.patch("/{number}", name="api:ticket-change", response_model=TicketShape)
def change(unit: Writing, actor: CurrentUser, number: str, body: TicketChange,
           if_match: Annotated[str | None, Header(max_length=40)] = None) -> TicketShape:
    """Change status, queue, assignee or priority; with ``If-Match`` only if nobody changed the ticket in between."""
    actor.require(Right.TICKETS_WRITE)
    ticket = get_ticket(unit, actor, number)
    if if_match is not None and if_match.strip('"') != str(ticket.version):
        raise Conflict("Somebody has changed this ticket in the meantime.")
    if body.queue is not None:
        ticket = move_ticket(unit, actor, ticket, _queue_id(unit, actor, body.queue)) or ticket
    if body.assignee is not None:
        assignee = find_user_by_email(unit, body.assignee) if body.assignee else None
        if body.assignee and assignee is None:
            raise InvalidInput("Nobody of the desk has this mail address.", field="assignee")
        assign_ticket(unit, actor, ticket, assignee.id if assignee else None)
    if body.priority is not None:
        set_priority(unit, actor, ticket, priority=body.priority, reason=body.reason)
    if body.status is not None and body.status != ticket.status:
        change_status(unit, actor, ticket, Status(body.status), reason=body.reason, wait_until=body.wait_until)
    return TicketShape.model_validate(ticket)


@router.get("/{number}/entries", name="api:ticket-entries", response_model=Page[EntryShape])
def list_entries(unit: Reading, actor: CurrentUser, number: str, cursor: Annotated[int | None, Query(ge=1)] = None,
                 limit: Limit = 100) -> Page[EntryShape]:
    """The newest part of the timeline, in the order of time; ``next`` leads to the part before it."""
    shown = timeline(unit, actor, get_ticket(unit, actor, number), before_seq=cursor, limit=limit)
    return Page(items=[EntryShape.model_validate(item.entry) for item in shown.items],
                next=str(shown.before_seq) if shown.before_seq is not None else None)


@router.post("/{number}/entries", name="api:ticket-entries-add", status_code=201, response_model=EntryShape)
def add(request: Request, unit: Writing, actor: CurrentUser, number: str, body: NewEntry, key: KeyHeader = None) -> Response:
    """Answer the customer, or write a note."""

    def make() -> EntryShape:
        ticket: Ticket = get_ticket(unit, actor, number)
        entry = reply_to_customer(unit, actor, ticket, text=body.text) if body.kind == "reply" else write_note(unit, actor, ticket, text=body.text)
        return EntryShape.model_validate(entry)

    return answer_once(unit, actor, request, key, body, make)


