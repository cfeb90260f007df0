"""Who works on a ticket and who follows it: assigning, handing over, following, moving to another queue."""

from __future__ import annotations

from sqlalchemy import delete

from orchestrator.accounts.actor import Actor, Right, Role, rights_of
from orchestrator.accounts.models import User
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput
from orchestrator.core.text import one_line
from orchestrator.tickets.changes import note_change
from orchestrator.tickets.events import TicketChanged
from orchestrator.tickets.models import EntryKind, Follower, Queue, Status, Ticket, Visibility
from orchestrator.tickets.service import add_entry, lock_ticket, medium_of


def assign_ticket(unit: WriteUnit, actor: Actor, ticket: Ticket, user_id: str | None, *, note: str = "",
                  version: int | None = None) -> Ticket:
    """Give the ticket to a technician (None: back to the queue); ``note`` goes with a hand-over as an internal note.

    A new ticket that somebody gets becomes open. ``version`` is what the page showed: raises ``Conflict`` when somebody
    else was faster. Raises ``InvalidInput`` for a user who may not work on tickets.
    """
    actor.require(Right.TICKETS_WRITE)
    ticket = lock_ticket(unit, ticket)
    if version is not None and version != ticket.version and ticket.assignee_id != user_id:
        raise Conflict("Somebody else changed this in the meantime. Load it again and repeat your change.")
    user = _worker(unit, user_id) if user_id is not None else None
    if ticket.assignee_id == user_id:
        return ticket
    before = ticket.assignee_id
    before_name = unit.db.get_one(User, before).name if before else ""
    ticket.assignee_id = user_id
    if user is not None and ticket.status == Status.NEW:
        ticket.status = Status.OPEN
    note_change(unit, actor, ticket, what="assignee", before=before, after=user_id, fields=("assignee_id", "status"),
                names={"from": before_name, "to": user.name if user else ""})
    if note.strip():
        add_entry(unit, actor, ticket, kind=EntryKind.NOTE, visibility=Visibility.INTERNAL, medium=medium_of(actor), text=note,
                  author_kind=str(actor.kind), author_id=actor.id, author_name=actor.name)
    return ticket


def move_ticket(unit: WriteUnit, actor: Actor, ticket: Ticket, queue_id: str, *, reason: str = "") -> Ticket:
    """Move the ticket to another queue; whoever has it keeps it."""
    actor.require(Right.TICKETS_WRITE)
    queue = unit.db.get(Queue, queue_id)
    if queue is None:
        raise InvalidInput("There is no such queue.", field="queue")
    ticket = lock_ticket(unit, ticket)
    if ticket.queue_id == queue.id:
        return ticket
    before = unit.db.get_one(Queue, ticket.queue_id)
    ticket.queue_id = queue.id
    note_change(unit, actor, ticket, what="queue", before=before.id, after=queue.id, reason=one_line(reason, 500), fields=("queue_id",),
                names={"from": before.name, "to": queue.name}, queue_ids=(before.id, queue.id))
    return ticket


def follow_ticket(unit: WriteUnit, actor: Actor, ticket: Ticket, *, follow: bool = True) -> None:
    """Follow a ticket, or stop doing so; who follows sees it whatever queue it is in."""
    actor.require(Right.TICKETS_READ)
    if actor.user_id is None:
        raise InvalidInput("Only people of the desk can follow a ticket.")
    if follow and unit.db.get(Follower, (ticket.id, actor.user_id)) is None:
        unit.db.add(Follower(ticket_id=ticket.id, user_id=actor.user_id))
    elif not follow:
        unit.db.execute(delete(Follower).where(Follower.ticket_id == ticket.id, Follower.user_id == actor.user_id))
    unit.db.flush()
    unit.emit(TicketChanged(ticket.id, ("followers",)))


def _worker(unit: WriteUnit, user_id: str) -> User:
    user = unit.db.get(User, user_id)
    if user is None or user.disabled_at is not None or Right.TICKETS_WRITE not in rights_of(frozenset(Role(role) for role in user.roles)):
        raise InvalidInput("Only a technician or lead can have a ticket.", field="assignee")
    return user
