"""Links between tickets: parent, duplicate, related."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import or_, select

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput
from orchestrator.tickets.changes import note_change
from orchestrator.tickets.models import Ticket, TicketLink
from orchestrator.tickets.service import lock_ticket


class Relation(StrEnum):
    """What the *other* ticket is for this one. ``related`` holds both ways."""

    PARENT = "parent"
    DUPLICATE = "duplicate"
    RELATED = "related"


def link_tickets(unit: WriteUnit, actor: Actor, ticket: Ticket, other: Ticket, relation: Relation = Relation.RELATED, *,
                 reason: str = "") -> TicketLink:
    """Link two tickets and write it on both. Both come from ``get_ticket``, so the actor may see both.

    Raises ``Conflict`` for a ticket with itself, two links between the same two, or a circle of parents.
    """
    actor.require(Right.TICKETS_WRITE)
    if ticket.id == other.id:
        raise InvalidInput("A ticket cannot be linked with itself.", field="other")
    for one in sorted((ticket, other), key=lambda row: row.id):  # always in the same order, so that two never wait for each other
        lock_ticket(unit, one)
    there = unit.db.scalar(select(TicketLink).where(or_(
        (TicketLink.ticket_id == ticket.id) & (TicketLink.other_id == other.id),
        (TicketLink.ticket_id == other.id) & (TicketLink.other_id == ticket.id))))
    if there is not None:
        raise Conflict("{number} and {other} are linked already.", number=ticket.number, other=other.number)
    if relation is Relation.PARENT and _is_above(unit, ticket.id, other.id):
        raise Conflict("{other} hangs below {number}; it cannot be its parent too.", number=ticket.number, other=other.number)
    link = TicketLink(ticket_id=ticket.id, other_id=other.id, relation=str(relation), created_at=unit.now)
    unit.db.add(link)
    unit.db.flush()
    for one, two, what in ((ticket, other, "link"), (other, ticket, "linked_from")):
        note_change(unit, actor, one, what=what, before=None, after=two.number, reason=reason, fields=("links",),
                    names={"relation": str(relation)})
    return link


def list_links(unit: ReadUnit, ticket: Ticket) -> list[tuple[str, Ticket]]:
    """Return (relation, other ticket) pairs, seen from this ticket: ``parent``, ``child``, ``duplicate``,
    ``duplicate_of_this`` or ``related``. Only whoever may see the other ticket should be shown more than its number."""
    below = {"parent": "child", "duplicate": "duplicate_of_this", "related": "related"}
    out = unit.db.execute(select(TicketLink.relation, Ticket).join(Ticket, Ticket.id == TicketLink.other_id)
                          .where(TicketLink.ticket_id == ticket.id).limit(200)).all()
    back = unit.db.execute(select(TicketLink.relation, Ticket).join(Ticket, Ticket.id == TicketLink.ticket_id)
                           .where(TicketLink.other_id == ticket.id).limit(200)).all()
    pairs = [(row.relation, row.Ticket) for row in out] + [(below[row.relation], row.Ticket) for row in back]
    return sorted(pairs, key=lambda pair: pair[1].number)


def _is_above(unit: ReadUnit, upper_id: str, lower_id: str) -> bool:
    """Say whether ``upper_id`` is reached from ``lower_id`` by going to parents; at most 100 steps."""
    level = {lower_id}
    for _step in range(100):
        level = set(unit.db.scalars(select(TicketLink.other_id).where(
            TicketLink.ticket_id.in_(level), TicketLink.relation == Relation.PARENT)))
        if not level or upper_id in level:
            break
    return upper_id in level
