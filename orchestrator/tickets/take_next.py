"""Taking the next ticket: one click, no two people get the same, and it says why this one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import Forbidden
from orchestrator.core.i18n import _
from orchestrator.tickets.assign import assign_ticket
from orchestrator.tickets.models import UNTAKEN, Queue, Ticket


@dataclass(frozen=True, slots=True)
class Why:
    """Why this ticket is next. ``sentence`` is for translation, ``values`` fill its placeholders; times are in UTC.

    Codes: ``priority`` (nobody's ticket has a smaller number, and this one waits longest of those).
    """

    code: str
    priority: int
    waiting_since: datetime
    deadline: datetime | None = None

    @property
    def sentence(self) -> str:
        return _("Priority %(priority)s, waiting since %(waiting_since)s")

    @property
    def values(self) -> dict[str, object]:
        return {"priority": f"P{self.priority}", "waiting_since": self.waiting_since}

    def __str__(self) -> str:
        return self.sentence % {"priority": f"P{self.priority}", "waiting_since": self.waiting_since.isoformat(timespec="minutes")}


def take_next(unit: WriteUnit, actor: Actor, *, queue_ids: Collection[str] | None = None) -> tuple[Ticket, Why] | None:
    """Take the ticket that breaks first in the actor's queues (or those of them in ``queue_ids``); None when none waits.

    Race-free: the row is claimed under a lock that others step over, so twenty takers get twenty tickets.
    """
    actor.require(Right.TICKETS_WRITE)
    if actor.user_id is None:
        raise Forbidden()
    statement = _untaken(_own(unit, actor, queue_ids)).with_for_update(skip_locked=True, key_share=True)
    ticket = unit.db.scalar(statement)
    if ticket is None:
        return None
    why = why_next(ticket)
    return assign_ticket(unit, actor, ticket, actor.user_id), why


def find_next(unit: ReadUnit, actor: Actor, *, queue_ids: Collection[str] | None = None) -> tuple[Ticket, Why] | None:
    """Show what ``take_next`` would give now, without taking it."""
    actor.require(Right.TICKETS_READ)
    ticket = unit.db.scalar(_untaken(_own(unit, actor, queue_ids)))
    return None if ticket is None else (ticket, why_next(ticket))


def why_next(ticket: Ticket) -> Why:
    return Why("priority", ticket.priority, ticket.created_at)


def _own(unit: ReadUnit, actor: Actor, queue_ids: Collection[str] | None) -> list[str]:
    own = set(actor.queue_ids)
    if not own and actor.may(Right.ALL_QUEUES):
        own = set(unit.db.scalars(select(Queue.id)))
    return sorted(own if queue_ids is None else own & set(queue_ids))


def _untaken(queue_ids: list[str]) -> Select[Ticket]:
    return select(Ticket).where(UNTAKEN, Ticket.queue_id.in_(queue_ids)).order_by(Ticket.priority, Ticket.created_at, Ticket.id).limit(1)
