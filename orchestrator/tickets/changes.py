"""Writing down that something about a ticket changed: the entry, the version, the event."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.accounts.actor import Actor
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict
from orchestrator.search.index import touch
from orchestrator.tickets.events import TicketChanged
from orchestrator.tickets.models import Entry, Ticket
from orchestrator.tickets.service import add_change


def note_change(unit: WriteUnit, actor: Actor, ticket: Ticket, *, what: str, before: object, after: object, fields: tuple[str, ...],
                reason: str = "", names: Mapping[str, str] | None = None, queue_ids: tuple[str, ...] = ()) -> Entry:
    """Add the CHANGE entry, count the version up and tell the other rooms. The columns are set by the caller."""
    ticket.version += 1
    ticket.changed_at = unit.now
    unit.db.flush()
    entry = add_change(unit, actor, ticket, what=what, before=before, after=after, reason=reason, names=names)
    touch(unit, "ticket", ticket.id)
    unit.emit(TicketChanged(ticket.id, fields, queue_ids or (ticket.queue_id,)))
    return entry


def require_version(ticket: Ticket, seen: int | None) -> None:
    """Raise ``Conflict`` when somebody else changed the ticket since the editor saw ``seen``."""
    if seen is not None and seen != ticket.version:
        raise Conflict("Somebody else changed this in the meantime. Load it again and repeat your change.")
