"""Reading one ticket: the only public getter, its timeline, its attachments. Lists: ``lists.py``; the board: ``board.py``."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import exists, select

from orchestrator.accounts.actor import Actor, ActorKind, Right
from orchestrator.accounts.desk import read_desk_facts
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import NotFound
from orchestrator.core.text import one_line
from orchestrator.notifications.models import OutgoingMail
from orchestrator.tickets.board import Board, board
from orchestrator.tickets.lists import TicketFilter, TicketPage, list_tickets
from orchestrator.tickets.models import Attachment, Entry, EntryKind, Follower, Ticket, Visibility
from orchestrator.tickets.numbers import find_numbers
from orchestrator.tickets.similar import similar_tickets

MAX_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One entry with what hangs on it. ``mail`` is our mail that carried it (its state says whether it left)."""

    entry: Entry
    attachments: tuple[Attachment, ...]
    mail: OutgoingMail | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """Items in the order of time. ``before_seq`` asks for the part before this one; None = this is the beginning.
    ``last_seq`` is what a form posts as ``seen_seq``."""

    items: tuple[TimelineItem, ...]
    before_seq: int | None
    last_seq: int


def get_ticket(unit: ReadUnit, actor: Actor, number_or_id: str) -> Ticket:
    """Return a ticket by number or id if the actor may see it: of his queues, assigned to him, or followed; a contact's own.

    Raises ``NotFound`` for both "not there" and "not yours", ``Forbidden`` for who may see no tickets at all.
    """
    if actor.kind is not ActorKind.CONTACT:
        actor.require(Right.TICKETS_READ)
    ticket = _find(unit, number_or_id)
    if ticket is None or not may_see(unit, actor, ticket):
        raise NotFound()
    return ticket


def may_see(unit: ReadUnit, actor: Actor, ticket: Ticket) -> bool:
    """Say whether this ticket is the actor's to see."""
    if actor.kind is ActorKind.CONTACT:
        return actor.id is not None and ticket.contact_id == actor.id
    if not actor.may(Right.TICKETS_READ):
        return False
    if actor.may(Right.ALL_QUEUES) or ticket.queue_id in actor.queue_ids:
        return True
    if actor.user_id is None:
        return False
    return ticket.assignee_id == actor.user_id or unit.db.get(Follower, (ticket.id, actor.user_id)) is not None


def _find(unit: ReadUnit, number_or_id: str) -> Ticket | None:
    wanted = number_or_id.strip()[:60]
    if len(wanted) == 36 and wanted.count("-") == 4:
        found = unit.db.get(Ticket, wanted.lower()) if all(c in "0123456789abcdefABCDEF-" for c in wanted) else None
        if found is not None:
            return found
    return find_ticket_by_number(unit, wanted)


def find_ticket_by_number(unit: ReadUnit, number: str) -> Ticket | None:
    """Find a ticket by its number, written in any of the recognised ways. No right is asked for: for intake."""
    exact = unit.db.scalar(select(Ticket).where(Ticket.number == one_line(number, 60)))
    if exact is not None:
        return exact
    for candidate in find_numbers(number, read_desk_facts(unit).number_formats):
        found = unit.db.scalar(select(Ticket).where(Ticket.number == candidate))
        if found is not None:
            return found
    return None


def find_tickets_in_text(unit: ReadUnit, text: str) -> list[Ticket]:
    """Find the tickets whose numbers a subject names, in any format ever used here, in order; at most 10. For intake."""
    numbers = find_numbers(text, read_desk_facts(unit).number_formats)[:10]
    if not numbers:
        return []
    found = {ticket.number: ticket for ticket in unit.db.scalars(select(Ticket).where(Ticket.number.in_(numbers)))}
    return [found[number] for number in numbers if number in found]


def timeline(unit: ReadUnit, actor: Actor, ticket: Ticket, *, before_seq: int | None = None, limit: int = 100,
             kinds: tuple[EntryKind, ...] = ()) -> Timeline:
    """Read the newest ``limit`` entries (before ``before_seq``) with attachments and mails; a contact sees the public ones."""
    limit = max(1, min(limit, MAX_ENTRIES))
    statement = select(Entry).where(Entry.ticket_id == ticket.id)
    if actor.kind is ActorKind.CONTACT:
        statement = statement.where(Entry.visibility == Visibility.CUSTOMER)
    if kinds:
        statement = statement.where(Entry.kind.in_(kinds))
    if before_seq is not None:
        statement = statement.where(Entry.seq < before_seq)
    entries = unit.db.scalars(statement.order_by(Entry.seq.desc()).limit(limit + 1)).all()
    shown = list(reversed(entries[:limit]))
    items = attach_details(unit, shown)
    return Timeline(items, shown[0].seq if len(entries) > limit else None, shown[-1].seq if shown else 0)


def attach_details(unit: ReadUnit, entries: list[Entry]) -> tuple[TimelineItem, ...]:
    """Load attachments and mails of entries, two queries for all."""
    ids = [entry.id for entry in entries]
    files: dict[str, list[Attachment]] = {}
    for attachment in unit.db.scalars(select(Attachment).where(Attachment.entry_id.in_(ids)).order_by(Attachment.id)):
        files.setdefault(attachment.entry_id, []).append(attachment)
    mails = {mail.entry_id: mail for mail in unit.db.scalars(
        select(OutgoingMail).where(OutgoingMail.entry_id.in_(ids)).order_by(OutgoingMail.id))}
    return tuple(TimelineItem(entry, tuple(files.get(entry.id, ())), mails.get(entry.id)) for entry in entries)


def get_entry(unit: ReadUnit, actor: Actor, ticket: Ticket, entry_id: str) -> Entry:
    """Return an entry of a ticket that came from ``get_ticket``. Raises ``NotFound``."""
    entry = unit.db.scalar(select(Entry).where(Entry.ticket_id == ticket.id, Entry.id == entry_id)) if len(entry_id) == 36 else None
    if entry is None or (actor.kind is ActorKind.CONTACT and entry.visibility != Visibility.CUSTOMER):
        raise NotFound()
    return entry


def get_attachment(unit: ReadUnit, actor: Actor, attachment_id: str) -> tuple[Attachment, Entry, Ticket]:
    """Return an attachment with its entry and ticket, if the actor may see that ticket. Raises ``NotFound``."""
    if len(attachment_id) != 36 or not all(c in "0123456789abcdefABCDEF-" for c in attachment_id):
        raise NotFound()
    row = unit.db.execute(
        select(Attachment, Entry, Ticket).join(Entry, Entry.id == Attachment.entry_id).join(Ticket, Ticket.id == Entry.ticket_id)
        .where(Attachment.id == attachment_id)
    ).one_or_none()
    if row is None or not may_see(unit, actor, row.Ticket):
        raise NotFound()
    if actor.kind is ActorKind.CONTACT and row.Entry.visibility != Visibility.CUSTOMER:
        raise NotFound()
    return row.Attachment, row.Entry, row.Ticket


def is_following(unit: ReadUnit, actor: Actor, ticket: Ticket) -> bool:
    return actor.user_id is not None and unit.db.scalar(
        select(exists().where(Follower.ticket_id == ticket.id, Follower.user_id == actor.user_id))) is True


__all__ = [
    "Board", "TicketFilter", "TicketPage", "Timeline", "TimelineItem", "attach_details", "board", "find_ticket_by_number",
    "find_tickets_in_text", "get_attachment", "get_entry", "get_ticket", "is_following", "list_tickets", "may_see", "similar_tickets",
    "timeline",
]
