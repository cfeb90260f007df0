"""The page of one ticket: timeline, composer, and everything about it at a glance.

Here: showing. What a reader does on the page is in `ticket_actions.py`, remote access in `connect.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Actor, Right, Role
from orchestrator.accounts.models import User
from orchestrator.accounts.queries import list_users, roles_of
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import NotFound
from orchestrator.core.i18n import translator
from orchestrator.customers.models import Contact, Organisation
from orchestrator.customers.queries import list_approvers
from orchestrator.knowledge.suggest import KnownProblem, known_problems
from orchestrator.tickets.blobs import read_blob
from orchestrator.tickets.links import list_links
from orchestrator.tickets.lists import TicketRow
from orchestrator.tickets.models import Queue, Ticket
from orchestrator.tickets.queries import get_attachment, get_ticket, is_following, may_see, similar_tickets, timeline
from orchestrator.tickets.queues import list_all_queues
from orchestrator.tickets.status import next_statuses
from sessions.endpoints.models import Endpoint
from sessions.endpoints.queries import list_endpoints_of_organisation
from web import labels
from web.auth import CurrentUser
from web.deps import Parts, Reading
from web.downloads import send_download
from web.htmx import language_of, page
from web.pages.timeline import Reader, ShownItem, build_timeline
from web.services import services_of

router = APIRouter(prefix="/tickets", include_in_schema=False)

SHOWN_ENTRIES = 100
FRAGMENTS = {"head": "signs", "timeline": "timeline", "cards": "cards"}


@dataclass(frozen=True, slots=True)
class Composing:
    """What stands in the composer when the page is shown again after an error."""

    panel: str = ""
    text: str = ""
    cc: str = ""
    then: str = ""
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkedTicket:
    relation: str
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class TicketCards:
    """What stands beside the timeline."""

    endpoints: Sequence[Endpoint] = ()
    known: Sequence[KnownProblem] = ()
    similar: Sequence[TicketRow] = ()
    linked: Sequence[LinkedTicket] = ()
    contact_may_approve: bool = False


@dataclass(frozen=True, slots=True)
class TicketShowPage:
    """Everything that `tickets/show.html` shows. `why` says why this ticket was the next one."""

    ticket: Ticket
    queue_name: str
    assignee_name: str
    contact: Contact | None
    organisation: Organisation | None
    items: Sequence[ShownItem]
    older_url: str | None
    newer_url: str | None
    before: str
    last_seq: int
    endpoints: Sequence[Endpoint]
    known: Sequence[KnownProblem]
    similar: Sequence[TicketRow]
    linked: Sequence[LinkedTicket]
    contact_may_approve: bool
    may_write: bool
    may_connect: bool
    following: bool
    reply_to: str
    reply_name: str
    composing: str
    reply_text: str
    reply_cc: str
    note_text: str
    then: str
    errors: dict[str, str]
    status_choices: Sequence[tuple[str, str]]
    people: Sequence[tuple[str, str]]
    queues: Sequence[tuple[str, str]]


@router.get("/{number}", name="tickets:show")
def show_ticket(request: Request, unit: Reading, actor: CurrentUser, number: str, part: str = "", before: str = "") -> Response:
    """Show a ticket, or one live region of its page."""
    ticket = get_ticket(unit, actor, number)
    shown = build_page(request, unit, actor, ticket, part=part, before=before)
    return page(request, "tickets/show.html", shown, fragment=FRAGMENTS.get(part))


@router.get("/{number}/attachments/{attachment_id}", name="tickets:attachment")
def download_attachment(unit: Reading, actor: CurrentUser, number: str, attachment_id: str) -> Response:
    """Send an attachment as a file to keep, never to be shown by the browser as part of our site."""
    attachment, _entry, ticket = get_attachment(unit, actor, attachment_id)
    if number not in (ticket.number, ticket.id):
        raise NotFound()
    return send_download(read_blob(unit, attachment.blob_sha256), name=attachment.name)


def build_page(request: Request, unit: ReadUnit, actor: Actor, ticket: Ticket, *, part: str = "", before: str = "",
               composing: Composing | None = None) -> TicketShowPage:
    """Read what the page shows; `part` names the one region that is wanted."""
    wanted = composing or Composing()
    words = translator(language_of(request))
    contact = unit.db.get(Contact, ticket.contact_id) if ticket.contact_id else None
    assignee = unit.db.get(User, ticket.assignee_id) if ticket.assignee_id else None
    before_seq = int(before) if before.isdecimal() and len(before) < 10 else None
    may_write = actor.may(Right.TICKETS_WRITE)
    shown = TicketShowPage(
        ticket=ticket, queue_name=unit.db.get_one(Queue, ticket.queue_id).name, assignee_name=assignee.name if assignee else "",
        contact=contact, organisation=unit.db.get(Organisation, ticket.organisation_id) if ticket.organisation_id else None, items=(),
        older_url=None, newer_url=_url(request, ticket) if before_seq else None, before=str(before_seq or ""), last_seq=0, endpoints=(),
        known=(), similar=(), linked=(), contact_may_approve=False, may_write=may_write,
        may_connect=actor.may(Right.SESSIONS_REQUEST) and ticket.status != "closed", following=is_following(unit, actor, ticket),
        reply_to=contact.email or "" if contact else "", reply_name=contact.name if contact else "", composing=wanted.panel,
        reply_text=wanted.text if wanted.panel == "reply" else "", reply_cc=wanted.cc,
        note_text=wanted.text if wanted.panel == "note" else "", then=wanted.then, errors=wanted.errors,
        status_choices=[(str(ticket.status), words.gettext(labels.STATUS[ticket.status])),
                        *((str(status), words.gettext(labels.STATUS[status])) for status in next_statuses(ticket.status)
                          if status != ticket.status)],
        people=[], queues=[])
    if part in ("", "timeline"):
        seen = timeline(unit, actor, ticket, before_seq=before_seq, limit=SHOWN_ENTRIES)
        reader = Reader(actor, words, unit.now)
        items = build_timeline(unit, services_of(request).record_database, reader, ticket, seen.items)
        older = f"{_url(request, ticket)}?before={seen.before_seq}" if seen.before_seq else None
        shown = replace(shown, items=items, last_seq=seen.last_seq, older_url=older)
    if part in ("", "cards"):
        cards = _read_cards(unit, actor, ticket, contact)
        shown = replace(shown, endpoints=cards.endpoints, known=cards.known, similar=cards.similar, linked=cards.linked,
                        contact_may_approve=cards.contact_may_approve)
    if part == "" and may_write:
        shown = replace(shown, people=[(user.id, user.name) for user in list_users(unit, actor, with_disabled=False)
                                       if roles_of(user) & {Role.TECHNICIAN, Role.LEAD}],
                        queues=[(queue.id, queue.name) for queue in list_all_queues(unit)])
    return shown


def _url(request: Request, ticket: Ticket) -> str:
    return request.app.url_path_for("tickets:show", number=ticket.number)


def _read_cards(unit: ReadUnit, actor: Actor, ticket: Ticket, contact: Contact | None) -> TicketCards:
    organisation_id = ticket.organisation_id
    endpoints = list_endpoints_of_organisation(unit, actor, organisation_id) if organisation_id and actor.may(Right.ENDPOINTS_READ) else ()
    approvers = list_approvers(unit, organisation_id) if organisation_id and contact else ()
    return TicketCards(
        endpoints=endpoints, known=known_problems(unit, actor, ticket), similar=similar_tickets(unit, actor, ticket),
        linked=[LinkedTicket(relation, other) for relation, other in list_links(unit, ticket) if may_see(unit, actor, other)],
        contact_may_approve=contact is not None and any(approver.id == contact.id for approver in approvers))


def reread(request: Request, parts: Parts, actor: Actor, number: str, composing: Composing, *, status: int) -> Response:
    """Show the page again after an error, with what was written still in the composer."""
    with parts.database.read() as unit:
        ticket = get_ticket(unit, actor, number)
        return page(request, "tickets/show.html", build_page(request, unit, actor, ticket, composing=composing), status=status)
