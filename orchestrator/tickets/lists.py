"""Lists of tickets: filters, keyset paging, and only what the actor may see.

A list is the union of a few branches (one for each queue and status, one for what is mine, one for what I follow), each
read from its own index and cut at the page's length. So a page costs the same at a hundred thousand tickets as at a hundred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select

from orchestrator.accounts.actor import Actor, ActorKind, Right
from orchestrator.accounts.models import User
from orchestrator.core.cursors import decode_cursor, encode_cursor
from orchestrator.core.db import ReadUnit
from orchestrator.core.ids import parse_id
from orchestrator.customers.models import Contact, Organisation
from orchestrator.tickets.list_statements import Binds, Branch, Part, union_of_branches
from orchestrator.tickets.models import Kind, Queue, Status, Ticket

MAX_LIMIT = 200
OPEN_STATUSES = (Status.NEW, Status.OPEN, Status.WAITING_CUSTOMER, Status.WAITING_UNTIL)


class Order(StrEnum):
    NEWEST = "newest"
    RANK = "rank"       # what breaks first: priority, then age


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """All that is given must hold; empty means any. ``followed`` and ``unassigned`` narrow only when True."""

    statuses: tuple[Status, ...] = ()
    queue_id: str | None = None
    assignee_id: str | None = None
    unassigned: bool = False
    followed: bool = False
    organisation_id: str | None = None
    contact_id: str | None = None
    kinds: tuple[Kind, ...] = ()
    priorities: tuple[int, ...] = ()
    order: Order = Order.NEWEST


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A ticket with the names that lists show."""

    ticket: Ticket
    queue_name: str
    contact_name: str | None
    organisation_name: str | None
    assignee_name: str | None


@dataclass(frozen=True, slots=True)
class TicketPage:
    items: tuple[TicketRow, ...]
    next: str | None


def list_tickets(unit: ReadUnit, actor: Actor, wanted: TicketFilter, *, cursor: str | None = None, limit: int = 50) -> TicketPage:
    """List tickets that the actor may see. Raises ``InvalidInput`` for a cursor that is none."""
    limit = max(1, min(limit, MAX_LIMIT))
    if actor.kind is not ActorKind.CONTACT:
        actor.require(Right.TICKETS_READ)
    binds = Binds({"limit": limit + 1})
    narrowed = (*_residual(actor, wanted, binds), *_after(wanted.order, cursor, binds))
    branches = tuple((*branch, *narrowed) for branch in _branches(actor, wanted, binds))
    if not branches:
        return TicketPage((), None)
    ids = list(unit.db.scalars(union_of_branches(branches, by_rank=wanted.order is Order.RANK), binds.values))
    rows = load_rows(unit, ids[:limit])
    return TicketPage(rows, _cursor_of(rows[-1].ticket, wanted.order) if len(ids) > limit and rows else None)


def load_rows(unit: ReadUnit, ticket_ids: Sequence[str]) -> tuple[TicketRow, ...]:
    """Load tickets with their names, in the order given."""
    found = unit.db.execute(
        select(Ticket, Queue.name, Contact.name, Organisation.name, User.name)
        .join(Queue, Queue.id == Ticket.queue_id).outerjoin(Contact, Contact.id == Ticket.contact_id)
        .outerjoin(Organisation, Organisation.id == Ticket.organisation_id).outerjoin(User, User.id == Ticket.assignee_id)
        .where(Ticket.id.in_(ticket_ids))
    ).all()
    by_id = {row[0].id: TicketRow(*row) for row in found}
    return tuple(by_id[ticket_id] for ticket_id in ticket_ids if ticket_id in by_id)


def _branches(actor: Actor, wanted: TicketFilter, binds: Binds) -> list[Branch]:
    """The index-friendly parts of the list; together they hold every visible ticket of the filter, some perhaps twice."""
    statuses = wanted.statuses or (tuple(Status) if wanted.order is Order.RANK else ())  # ranks are indexed within a status
    by_status: list[Branch] = [(binds.part("status", str(status)),) for status in dict.fromkeys(statuses)] or [()]
    any_status: Branch = (binds.part("statuses", [str(status) for status in wanted.statuses]),) if wanted.statuses else ()
    visible = _visible(actor, binds)
    if wanted.contact_id is not None or actor.kind is ActorKind.CONTACT:
        own = (binds.part("contact", parse_id(wanted.contact_id)),) if wanted.contact_id else ()
        return [(*own, *any_status, *visible)]
    if wanted.organisation_id is not None:
        return [(binds.part("organisation", parse_id(wanted.organisation_id)), *any_status, *visible)]
    if wanted.followed:
        return [(binds.part("followed", actor.user_id), *any_status)] if actor.user_id else []
    if wanted.assignee_id is not None:
        assignee_id = parse_id(wanted.assignee_id)
        may = () if assignee_id == actor.user_id else visible
        return [(binds.part("assignee", assignee_id), *may, *status) for status in by_status]
    if wanted.queue_id is not None:
        queue_id = parse_id(wanted.queue_id)
        may = () if queue_id in actor.queue_ids else visible
        return [(binds.part("queue", queue_id), *may, *status) for status in by_status]
    if actor.may(Right.ALL_QUEUES):
        return by_status
    branches = [(binds.part("queue", queue_id), *status) for queue_id in sorted(actor.queue_ids) for status in by_status]
    if actor.user_id is not None:
        if not wanted.unassigned:
            branches += [(binds.part("assignee", actor.user_id), *status) for status in by_status]
        branches.append((binds.part("followed", actor.user_id), *any_status))
    return branches


def _visible(actor: Actor, binds: Binds) -> Branch:
    """The rule of ``may_see`` as a condition, for where no branch covers it."""
    if actor.kind is ActorKind.CONTACT:
        return (binds.part("contact", actor.id or ""),)
    if actor.may(Right.ALL_QUEUES):
        return ()
    binds.values["own_queues"] = sorted(actor.queue_ids)
    return (binds.part("visible", actor.user_id or ""),)


def _residual(actor: Actor, wanted: TicketFilter, binds: Binds) -> Branch:
    parts: list[Part] = []
    if wanted.unassigned:
        parts.append(("unassigned", ""))
    if wanted.kinds:
        parts.append(binds.part("kinds", [str(kind) for kind in wanted.kinds]))
    if wanted.priorities:
        parts.append(binds.part("priorities", list(wanted.priorities)))
    led = wanted.contact_id is not None or actor.kind is ActorKind.CONTACT  # the first of these that is given leads the branches
    if wanted.organisation_id is not None and led:
        parts.append(binds.part("organisation", parse_id(wanted.organisation_id)))
    led = led or wanted.organisation_id is not None or wanted.followed
    if wanted.assignee_id is not None and led:
        parts.append(binds.part("assignee", parse_id(wanted.assignee_id)))
    led = led or wanted.assignee_id is not None
    if wanted.queue_id is not None and led:
        parts.append(binds.part("queue", parse_id(wanted.queue_id)))
    return tuple(parts)


def _after(order: Order, cursor: str | None, binds: Binds) -> Branch:
    if not cursor:
        return ()
    if order is Order.RANK:
        priority, created_at, row_id = decode_cursor(cursor, int, datetime, str)
        binds.values["after_priority"] = priority
    else:
        created_at, row_id = decode_cursor(cursor, datetime, str)
    binds.values |= {"after_created_at": created_at, "after_id": parse_id(row_id)}
    return ((f"after_{order}", ""),)


def _cursor_of(ticket: Ticket, order: Order) -> str:
    if order is Order.RANK:
        return encode_cursor(ticket.priority, ticket.created_at, ticket.id)
    return encode_cursor(ticket.created_at, ticket.id)
