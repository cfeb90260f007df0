"""Impact, urgency, priority, kind, subject and tags of a ticket."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import InvalidInput
from orchestrator.core.text import one_line
from orchestrator.customers.models import Organisation
from orchestrator.tickets.changes import note_change, require_version
from orchestrator.tickets.models import Kind, Level, Ticket
from orchestrator.tickets.priority import priority_of
from orchestrator.tickets.service import lock_ticket

MAX_TAGS = 30


def set_priority(unit: WriteUnit, actor: Actor, ticket: Ticket, *, impact: Level | None = None, urgency: Level | None = None,
                 priority: int | None = None, reason: str = "") -> Ticket:
    """Set impact and urgency (the matrix gives the priority), or the priority itself, which needs and keeps a reason.

    A priority that was set stays until impact or urgency are set again. Raises ``InvalidInput``.
    """
    actor.require(Right.TICKETS_WRITE)
    ticket = lock_ticket(unit, ticket)
    before = {"impact": str(ticket.impact), "urgency": str(ticket.urgency), "priority": ticket.priority}
    if priority is not None:
        if isinstance(priority, bool) or not 1 <= priority <= 5:
            raise InvalidInput("A priority is a number from 1 to 5.", field="priority")
        if not reason.strip():
            raise InvalidInput("Say why this priority is set by hand.", field="reason")
    ticket.impact = Level(impact) if impact is not None else ticket.impact
    ticket.urgency = Level(urgency) if urgency is not None else ticket.urgency
    if priority is not None:
        ticket.priority, ticket.priority_reason = priority, one_line(reason, 500)
    elif impact is not None or urgency is not None:
        organisation = unit.db.get(Organisation, ticket.organisation_id) if ticket.organisation_id else None
        ticket.priority = priority_of(ticket.impact, ticket.urgency, organisation.priority_matrix if organisation else None)
        ticket.priority_reason = ""
    after = {"impact": str(ticket.impact), "urgency": str(ticket.urgency), "priority": ticket.priority}
    if before != after or priority is not None:
        note_change(unit, actor, ticket, what="priority", before=before, after=after, reason=one_line(reason, 500),
                    fields=("priority", "impact", "urgency"))
    return ticket


def set_kind(unit: WriteUnit, actor: Actor, ticket: Ticket, kind: Kind) -> Ticket:
    """Change the kind of a ticket."""
    actor.require(Right.TICKETS_WRITE)
    ticket = lock_ticket(unit, ticket)
    if ticket.kind != kind:
        before, ticket.kind = str(ticket.kind), Kind(kind)
        note_change(unit, actor, ticket, what="kind", before=before, after=str(kind), fields=("kind",))
    return ticket


def set_subject(unit: WriteUnit, actor: Actor, ticket: Ticket, subject: str, *, version: int | None = None) -> Ticket:
    """Give the ticket a better subject; what the customer wrote stays in the first entry."""
    actor.require(Right.TICKETS_WRITE)
    ticket = lock_ticket(unit, ticket)
    require_version(ticket, version)
    line = one_line(subject, 500)
    if not line:
        raise InvalidInput("A subject is needed.", field="subject")
    if line != ticket.subject:
        before, ticket.subject = ticket.subject, line
        note_change(unit, actor, ticket, what="subject", before=before, after=line, fields=("subject",))
    return ticket


def set_tags(unit: WriteUnit, actor: Actor, ticket: Ticket, tags: Sequence[str]) -> Ticket:
    """Replace the tags; each once, in the order given."""
    actor.require(Right.TICKETS_WRITE)
    ticket = lock_ticket(unit, ticket)
    wanted = list(dict.fromkeys(tag for tag in (one_line(tag, 40).lower() for tag in tags) if tag))
    if len(wanted) > MAX_TAGS:
        raise InvalidInput("A ticket has at most {count} tags.", count=MAX_TAGS, field="tags")
    if wanted != ticket.tags:
        before, ticket.tags = list(ticket.tags), wanted
        note_change(unit, actor, ticket, what="tags", before=before, after=wanted, fields=("tags",))
    return ticket
