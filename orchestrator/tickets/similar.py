"""Similar tickets: those that share telling words, found by the search index, only what the actor may see."""

from __future__ import annotations

from sqlalchemy import select

from orchestrator.accounts.actor import Actor
from orchestrator.core.db import ReadUnit
from orchestrator.search.service import find_alike
from orchestrator.tickets.lists import TicketRow, load_rows
from orchestrator.tickets.models import Entry, Ticket


def similar_tickets(unit: ReadUnit, actor: Actor, ticket: Ticket, *, limit: int = 5) -> tuple[TicketRow, ...]:
    """Return the most alike tickets, best first, without this one."""
    first = unit.db.scalar(select(Entry.text).where(Entry.ticket_id == ticket.id, Entry.seq == 1)) or ""
    found = find_alike(unit, actor, f"{ticket.subject}\n{first[:2000]}", kind="ticket", limit=limit + 1)
    return load_rows(unit, [ref_id for ref_id, _score in found if ref_id != ticket.id][:limit])
