"""The board: my work and my queues by what breaks first, and what *take next* would give."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

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
    following = load_rows(unit, [found[0].id]) if found else ()
    return Board(
        my_work=mine.items if mine else (), my_work_more=bool(mine and mine.next),
        queues=tuple(_queue_board(unit, queue) for queue in _queues(unit, actor)),
        next=following[0] if following else None, why=found[1] if found else None,
    )


def _queues(unit: ReadUnit, actor: Actor) -> list[Queue]:
    statement = select(Queue).order_by(Queue.name).limit(MAX_QUEUES)
    if actor.queue_ids or not actor.may(Right.ALL_QUEUES):
        statement = statement.where(Queue.id.in_(sorted(actor.queue_ids)))
    return list(unit.db.scalars(statement))


def _queue_board(unit: ReadUnit, queue: Queue) -> QueueBoard:
    waiting = select(Ticket.id).where(UNTAKEN, Ticket.queue_id == queue.id)
    first = unit.db.scalars(waiting.order_by(Ticket.priority, Ticket.created_at).limit(FIRST_OF_QUEUE)).all()
    count = unit.db.scalar(select(func.count()).select_from(waiting.limit(COUNTED + 1).subquery())) or 0
    return QueueBoard(queue, load_rows(unit, first), min(count, COUNTED), count > COUNTED)
