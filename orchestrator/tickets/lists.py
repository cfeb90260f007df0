"""Lists of tickets: filters, keyset paging, and only what the actor may see.

A list is the union of a few branches (one for each queue and status, one for what is mine, one for what I follow), each
read from its own index and cut at the page's length. So a page costs the same at a hundred thousand tickets as at a hundred.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, false, or_, select, true, union

from orchestrator.accounts.actor import Actor, ActorKind, Right
from orchestrator.accounts.models import User
from orchestrator.core.cursors import decode_cursor, encode_cursor
from orchestrator.core.db import ReadUnit
from orchestrator.core.ids import parse_id
from orchestrator.customers.models import Contact, Organisation
from orchestrator.tickets.models import Follower, Kind, Queue, Status, Ticket

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
    residual = [*_residual(actor, wanted), *_after(wanted.order, cursor)]
    branches = [_branch(conditions, residual, wanted.order, limit) for conditions in _branches(actor, wanted)]
    if not branches:
        return TicketPage((), None)
    keys = (union(*(select(branch.subquery()) for branch in branches)) if len(branches) > 1 else branches[0]).subquery()
    ids = list(unit.db.scalars(select(keys.c.id).order_by(*_order(keys.c, wanted.order)).limit(limit + 1)))
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


def visible_to(actor: Actor) -> ColumnElement[bool]:
    """The rule of ``may_see`` as a condition, for where no branch covers it."""
    if actor.kind is ActorKind.CONTACT:
        return Ticket.contact_id == actor.id if actor.id else false()
    if actor.may(Right.ALL_QUEUES):
        return true()
    parts: list[ColumnElement[bool]] = [Ticket.queue_id.in_(sorted(actor.queue_ids))] if actor.queue_ids else []
    if actor.user_id is not None:
        parts += [Ticket.assignee_id == actor.user_id, _followed_by(actor.user_id)]
    return or_(*parts) if parts else false()


def _branches(actor: Actor, wanted: TicketFilter) -> Iterable[list[ColumnElement[bool]]]:
    """The index-friendly parts of the list; together they hold every visible ticket of the filter, some perhaps twice."""
    by_status = [[Ticket.status == status] for status in dict.fromkeys(wanted.statuses)] or [[]]
    any_status = [Ticket.status.in_(wanted.statuses)] if wanted.statuses else []
    sees_all = actor.kind is not ActorKind.CONTACT and actor.may(Right.ALL_QUEUES)
    if wanted.contact_id is not None or actor.kind is ActorKind.CONTACT:
        own = [Ticket.contact_id == parse_id(wanted.contact_id)] if wanted.contact_id else []
        return [[*own, *any_status, visible_to(actor)]]
    if wanted.organisation_id is not None:
        return [[Ticket.organisation_id == parse_id(wanted.organisation_id), *any_status, visible_to(actor)]]
    if wanted.followed:
        return [[_followed_by(actor.user_id or ""), *any_status]] if actor.user_id else []
    if wanted.assignee_id is not None:
        assignee_id = parse_id(wanted.assignee_id)
        may = [] if sees_all or assignee_id == actor.user_id else [visible_to(actor)]
        return [[Ticket.assignee_id == assignee_id, *may, *status] for status in by_status]
    if wanted.queue_id is not None:
        queue_id = parse_id(wanted.queue_id)
        may = [] if sees_all or queue_id in actor.queue_ids else [visible_to(actor)]
        return [[Ticket.queue_id == queue_id, *may, *status] for status in by_status]
    if sees_all:
        return [[*status] for status in by_status]
    branches = [[Ticket.queue_id == queue_id, *status] for queue_id in sorted(actor.queue_ids) for status in by_status]
    if actor.user_id is not None:
        branches += [[Ticket.assignee_id == actor.user_id, *status] for status in by_status]
        branches.append([_followed_by(actor.user_id), *any_status])
    return branches


def _branch(conditions: list[ColumnElement[bool]], residual: list[ColumnElement[bool]], order: Order,
            limit: int) -> Select[str, int, datetime]:
    statement = select(Ticket.id, Ticket.priority, Ticket.created_at).where(*conditions, *residual)
    return statement.order_by(*_order(Ticket, order)).limit(limit + 1)


def _order(columns: Any, order: Order) -> tuple[Any, ...]:
    if order is Order.RANK:
        return columns.priority, columns.created_at, columns.id
    return columns.created_at.desc(), columns.id.desc()


def _residual(actor: Actor, wanted: TicketFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.unassigned:
        conditions.append(Ticket.assignee_id.is_(None))
    if wanted.kinds:
        conditions.append(Ticket.kind.in_(wanted.kinds))
    if wanted.priorities:
        conditions.append(Ticket.priority.in_(wanted.priorities))
    led = wanted.contact_id is not None or actor.kind is ActorKind.CONTACT  # the first of these that is given leads the branches
    if wanted.organisation_id is not None and led:
        conditions.append(Ticket.organisation_id == parse_id(wanted.organisation_id))
    led = led or wanted.organisation_id is not None or wanted.followed
    if wanted.assignee_id is not None and led:
        conditions.append(Ticket.assignee_id == parse_id(wanted.assignee_id))
    led = led or wanted.assignee_id is not None
    if wanted.queue_id is not None and led:
        conditions.append(Ticket.queue_id == parse_id(wanted.queue_id))
    return conditions


def _after(order: Order, cursor: str | None) -> list[ColumnElement[bool]]:
    if not cursor:
        return []
    if order is Order.RANK:
        priority, created_at, row_id = decode_cursor(cursor, int, datetime, str)
        row_id = parse_id(row_id)
        return [Ticket.priority >= priority, or_(Ticket.priority > priority, Ticket.created_at > created_at,
                                                 and_(Ticket.created_at == created_at, Ticket.id > row_id))]
    created_at, row_id = decode_cursor(cursor, datetime, str)
    return [Ticket.created_at <= created_at, or_(Ticket.created_at < created_at, Ticket.id < parse_id(row_id))]


def _cursor_of(ticket: Ticket, order: Order) -> str:
    if order is Order.RANK:
        return encode_cursor(ticket.priority, ticket.created_at, ticket.id)
    return encode_cursor(ticket.created_at, ticket.id)


def _followed_by(user_id: str) -> ColumnElement[bool]:
    return Ticket.id.in_(select(Follower.ticket_id).where(Follower.user_id == user_id)) if user_id else exists().where(false())
