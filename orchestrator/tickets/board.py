"""The board: my work and my queues by what breaks first, and what *take next* would give."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import ReadUnit
from orchestrator.tickets.lists import OPEN_STATUSES, Order, TicketFilter, TicketRow, list_tickets, load_rows
from orchestrator.tickets.models import UNTAKEN, Queue, Ticket
from orchestrator.tickets.take_next import Why, find_next

MY_WORK = 50
FIRST_OF_QUEUE = 8
COUNTED = 99
MAX_QUEUES = 30


@dataclass(frozen=True, slots=True)
class QueueBoard:
    """``waiting`` counts what nobody has, up to 99; ``more`` says that there are more than that."""

    queue: Queue
    first: tuple[TicketRow, ...]
    waiting: int
    more: bool


@dataclass(frozen=True, slots=True)
class Board:
    """``my_work_more``: the list of my work was cut at 50. ``next`` and ``why`` are None when nothing waits."""

    my_work: tuple[TicketRow, ...]
    my_work_more: bool
    queues: tuple[QueueBoard, ...]
    next: TicketRow | None
    why: Why | None


def board(unit: ReadUnit, actor: Actor) -> Board:
    """Read the actor's board."""
    actor.require(Right.TICKETS_READ)
    mine = list_tickets(unit, actor, TicketFilter(statuses=OPEN_STATUSES, assignee_id=actor.user_id, order=Order.RANK),
                        limit=MY_WORK) if actor.user_id else None
    found = find_next(unit, actor)
    queues = _queues(unit, actor)
    waiting = {queue.id: _waiting(unit, queue) for queue in queues}
    shown = [ticket_id for ids in waiting.values() for ticket_id in ids[:FIRST_OF_QUEUE]] + ([found[0].id] if found else [])
    rows = {row.ticket.id: row for row in load_rows(unit, list(dict.fromkeys(shown)))}
    return Board(
        my_work=mine.items if mine else (), my_work_more=bool(mine and mine.next),
        queues=tuple(
            QueueBoard(queue, tuple(rows[ticket_id] for ticket_id in waiting[queue.id][:FIRST_OF_QUEUE] if ticket_id in rows),
                       min(len(waiting[queue.id]), COUNTED), len(waiting[queue.id]) > COUNTED)
            for queue in queues),
        next=rows.get(found[0].id) if found else None, why=found[1] if found else None,
    )


def _queues(unit: ReadUnit, actor: Actor) -> list[Queue]:
    statement = select(Queue).order_by(Queue.name).limit(MAX_QUEUES)
    if actor.queue_ids or not actor.may(Right.ALL_QUEUES):
        statement = statement.where(Queue.id.in_(sorted(actor.queue_ids)))
    return list(unit.db.scalars(statement))


def _waiting(unit: ReadUnit, queue: Queue) -> list[str]:
    """The first tickets that nobody has, what breaks first at the top; one more than is counted."""
    statement = select(Ticket.id).where(UNTAKEN, Ticket.queue_id == queue.id).order_by(Ticket.priority, Ticket.created_at)
    return list(unit.db.scalars(statement.limit(COUNTED + 1)))
