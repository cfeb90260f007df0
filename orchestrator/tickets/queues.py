"""Queues and their members: who sees and takes which tickets."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from orchestrator.accounts.actor import Actor, ActorKind, Right
from orchestrator.accounts.models import User
from orchestrator.audit.service import record_audit
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput, NotFound
from orchestrator.core.ids import new_id
from orchestrator.core.text import one_line
from orchestrator.customers.addresses import normalise_address
from orchestrator.tickets.events import QueueChanged
from orchestrator.tickets.models import Queue, QueueMember


def create_queue(unit: WriteUnit, actor: Actor, *, name: str, address: str | None = None, reopen_days: int = 14,
                 require_verified: bool = False) -> Queue:
    """Make a queue. Mail to ``address`` (one of ours) goes into it. Raises ``Conflict`` for a name or address in use."""
    actor.require(Right.QUEUES_WRITE)
    queue = Queue(id=new_id(), name=_free_name(unit, name), address=_free_address(unit, address), reopen_days=_days(reopen_days),
                  require_verified=require_verified, created_at=unit.now)
    unit.db.add(queue)
    unit.db.flush()
    record_audit(unit, actor, "queue.created", subject=f"queue {queue.id}", summary=f"Queue {queue.name} was made.")
    unit.emit(QueueChanged(queue.id))
    return queue


def change_queue(unit: WriteUnit, actor: Actor, queue_id: str, *, name: str | None = None, address: str | None = None,
                 reopen_days: int | None = None, require_verified: bool | None = None) -> Queue:
    """Change what is given; ``address=""`` takes the address away."""
    actor.require(Right.QUEUES_WRITE)
    queue = _queue(unit, queue_id)
    if name is not None and name.strip() != queue.name:
        queue.name = _free_name(unit, name)
    if address is not None and (address.strip().lower() or None) != queue.address:
        queue.address = _free_address(unit, address)
    if reopen_days is not None:
        queue.reopen_days = _days(reopen_days)
    if require_verified is not None:
        queue.require_verified = require_verified
    unit.db.flush()
    record_audit(unit, actor, "queue.changed", subject=f"queue {queue.id}", summary=f"Queue {queue.name} was changed.")
    unit.emit(QueueChanged(queue.id))
    return queue


def add_member(unit: WriteUnit, actor: Actor, queue_id: str, user_id: str) -> None:
    """Let a user see and take the tickets of a queue."""
    actor.require(Right.QUEUES_WRITE)
    queue, user = _queue(unit, queue_id), unit.db.get(User, user_id)
    if user is None or user.disabled_at is not None:
        raise InvalidInput("There is no such technician.", field="user_id")
    if unit.db.get(QueueMember, (queue_id, user_id)) is None:
        unit.db.add(QueueMember(queue_id=queue_id, user_id=user_id))
        unit.db.flush()
        record_audit(unit, actor, "queue.member_added", subject=f"queue {queue.id}", summary=f"{user.name} joined queue {queue.name}.",
                     details={"user": user.id})
        unit.emit(QueueChanged(queue_id, (user_id,)))


def remove_member(unit: WriteUnit, actor: Actor, queue_id: str, user_id: str) -> None:
    """Take a user out of a queue; tickets that he has stay his."""
    actor.require(Right.QUEUES_WRITE)
    queue = _queue(unit, queue_id)
    member = unit.db.get(QueueMember, (queue_id, user_id))
    if member is not None:
        unit.db.delete(member)
        unit.db.flush()
        record_audit(unit, actor, "queue.member_removed", subject=f"queue {queue.id}", summary=f"A member left queue {queue.name}.",
                     details={"user": user_id})
        unit.emit(QueueChanged(queue_id, (user_id,)))


def list_queues(unit: ReadUnit, actor: Actor) -> Sequence[Queue]:
    """The queues that the actor may see, by name: his own, or all for whoever may see or order all."""
    statement = select(Queue).order_by(Queue.name)
    if not (actor.may(Right.ALL_QUEUES) or actor.may(Right.QUEUES_WRITE)):
        statement = statement.where(Queue.id.in_(actor.queue_ids))
    return unit.db.scalars(statement).all()


def list_all_queues(unit: ReadUnit) -> Sequence[Queue]:
    """Every queue, by name: where a ticket may be moved to, and for intake."""
    return unit.db.scalars(select(Queue).order_by(Queue.name)).all()


def list_members(unit: ReadUnit, actor: Actor, queue_id: str) -> Sequence[User]:
    """The enabled members of a queue, by name."""
    if actor.kind not in (ActorKind.USER, ActorKind.SYSTEM):
        raise NotFound()
    statement = select(User).join(QueueMember, QueueMember.user_id == User.id).where(QueueMember.queue_id == queue_id)
    return unit.db.scalars(statement.where(User.disabled_at.is_(None)).order_by(User.name)).all()


def find_queue(unit: ReadUnit, name_or_id: str) -> Queue | None:
    """Find a queue by id or by its name, whatever the case of its letters."""
    wanted = one_line(name_or_id, 100)
    return unit.db.scalar(select(Queue).where((Queue.name == wanted) | (func.lower(Queue.name) == wanted.lower())).limit(1)) or (
        unit.db.get(Queue, wanted) if len(wanted) == 36 and wanted.count("-") == 4 else None)


def find_queue_by_address(unit: ReadUnit, address: str) -> Queue | None:
    """Find the queue that mail to this address goes into."""
    return unit.db.scalar(select(Queue).where(Queue.address == one_line(address, 254).lower()))


def default_queue(unit: ReadUnit) -> Queue | None:
    """The queue for what names none: the one that was made first."""
    return unit.db.scalar(select(Queue).order_by(Queue.created_at, Queue.id).limit(1))


def _queue(unit: ReadUnit, queue_id: str) -> Queue:
    queue = unit.db.get(Queue, queue_id)
    if queue is None:
        raise NotFound()
    return queue


def _free_name(unit: ReadUnit, name: str) -> str:
    line = one_line(name, 100)
    if not line:
        raise InvalidInput("A name is needed.", field="name")
    if unit.db.scalar(select(Queue.id).where(Queue.name == line)) is not None:
        raise Conflict("There is a queue {name} already.", name=line)
    return line


def _free_address(unit: ReadUnit, address: str | None) -> str | None:
    if not address or not address.strip():
        return None
    normal = normalise_address(address)
    if find_queue_by_address(unit, normal) is not None:
        raise Conflict("Mail to {address} goes into another queue already.", address=normal)
    return normal


def _days(value: int) -> int:
    if not 0 <= value <= 3650:
        raise InvalidInput("Days are a number from 0 to 3650.", field="reopen_days")
    return value
