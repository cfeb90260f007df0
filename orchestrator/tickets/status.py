"""The status of a ticket: one table of transitions (pure), and the function that makes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput
from orchestrator.tickets.changes import note_change
from orchestrator.tickets.events import TicketClosed
from orchestrator.tickets.models import Status, Ticket
from orchestrator.tickets.resolved import tell_customer
from orchestrator.tickets.service import lock_ticket

ACTIVE = (Status.NEW, Status.OPEN, Status.WAITING_CUSTOMER, Status.WAITING_UNTIL)
"""Tickets that somebody still has to work on, now or later."""


@dataclass(frozen=True, slots=True)
class Transition:
    """``reopens``: the ticket was done and comes back. ``needs_moment``: a time to wait until must be given."""

    reopens: bool = False
    needs_moment: bool = False


_PLAIN, _REOPEN, _UNTIL = Transition(), Transition(reopens=True), Transition(needs_moment=True)

TRANSITIONS: Mapping[tuple[Status, Status], Transition] = {
    (Status.NEW, Status.OPEN): _PLAIN,
    (Status.NEW, Status.WAITING_CUSTOMER): _PLAIN,
    (Status.NEW, Status.WAITING_UNTIL): _UNTIL,
    (Status.NEW, Status.RESOLVED): _PLAIN,
    (Status.NEW, Status.CLOSED): _PLAIN,
    (Status.OPEN, Status.WAITING_CUSTOMER): _PLAIN,
    (Status.OPEN, Status.WAITING_UNTIL): _UNTIL,
    (Status.OPEN, Status.RESOLVED): _PLAIN,
    (Status.OPEN, Status.CLOSED): _PLAIN,
    (Status.WAITING_CUSTOMER, Status.OPEN): _PLAIN,
    (Status.WAITING_CUSTOMER, Status.WAITING_UNTIL): _UNTIL,
    (Status.WAITING_CUSTOMER, Status.RESOLVED): _PLAIN,
    (Status.WAITING_CUSTOMER, Status.CLOSED): _PLAIN,
    (Status.WAITING_UNTIL, Status.OPEN): _PLAIN,
    (Status.WAITING_UNTIL, Status.WAITING_CUSTOMER): _PLAIN,
    (Status.WAITING_UNTIL, Status.WAITING_UNTIL): _UNTIL,
    (Status.WAITING_UNTIL, Status.RESOLVED): _PLAIN,
    (Status.WAITING_UNTIL, Status.CLOSED): _PLAIN,
    (Status.RESOLVED, Status.OPEN): _REOPEN,
    (Status.RESOLVED, Status.CLOSED): _PLAIN,
    (Status.CLOSED, Status.OPEN): _REOPEN,
}
"""From, to. Nothing becomes new again, and what is done comes back only as open."""


def find_transition(before: Status, after: Status) -> Transition | None:
    return TRANSITIONS.get((before, after))


def next_statuses(status: Status | str) -> list[Status]:
    """What a ticket of this status can become; for the choices on the page."""
    return [after for before, after in TRANSITIONS if before == Status(status)]


def change_status(unit: WriteUnit, actor: Actor, ticket: Ticket, status: Status, *, reason: str = "",
                  wait_until: datetime | None = None, tell: bool = True) -> Ticket:
    """Change the status and write that down; a resolved ticket tells the customer by mail unless ``tell`` is False.

    Raises ``Conflict`` for a way that the table does not have, ``InvalidInput`` for a missing or past ``wait_until``.
    """
    actor.require(Right.TICKETS_WRITE)
    ticket = lock_ticket(unit, ticket)
    before = Status(ticket.status)
    transition = find_transition(before, Status(status))
    if transition is None:
        raise Conflict("A ticket that is {before} cannot become {after}.", before=str(before), after=str(status))
    if transition.needs_moment and (wait_until is None or wait_until <= unit.now):
        raise InvalidInput("Say until when the ticket waits, a time to come.", field="wait_until")
    ticket.status = status
    ticket.wait_until = wait_until if transition.needs_moment else None
    match status:
        case Status.RESOLVED:
            ticket.resolved_at = unit.now
        case Status.CLOSED:
            ticket.closed_at = unit.now
            ticket.resolved_at = ticket.resolved_at or unit.now
        case _:
            ticket.resolved_at = ticket.closed_at = None
    after = str(status) if ticket.wait_until is None else f"{status} {ticket.wait_until.isoformat()}"
    note_change(unit, actor, ticket, what="status", before=str(before), after=after, reason=reason, fields=("status", "wait_until"))
    if status is Status.RESOLVED and tell:
        tell_customer(unit, ticket)
    if status is Status.CLOSED:
        unit.emit(TicketClosed(ticket.id))
    return ticket
