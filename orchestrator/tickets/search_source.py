"""What the search index holds of tickets and of the entries of their timelines."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from orchestrator.core.db import ReadUnit
from orchestrator.core.events import Events
from orchestrator.core.ports import SearchDocument
from orchestrator.search.index import touch
from orchestrator.tickets.events import EntryAdded, TicketChanged, TicketOpened
from orchestrator.tickets.models import Entry, EntryKind, Ticket, Visibility

_SEARCHED = (EntryKind.MESSAGE, EntryKind.NOTE)


def register(events: Events) -> None:
    """Renew documents in the transaction of the change."""
    events.inside(TicketOpened, lambda unit, event: touch(unit, "ticket", event.ticket_id))
    events.inside(TicketChanged, lambda unit, event: touch(unit, "ticket", event.ticket_id))
    events.inside(EntryAdded, lambda unit, event: touch(unit, "entry", event.entry_id))


class TicketDocuments:
    """A ticket by number, subject and tags."""

    kind = "ticket"

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        ticket = unit.db.get(Ticket, ref_id)
        return _of_ticket(ticket) if ticket is not None else None

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        for ticket in unit.db.scalars(select(Ticket).order_by(Ticket.id).execution_options(yield_per=500)):
            yield _of_ticket(ticket)
            unit.db.expunge(ticket)


class EntryDocuments:
    """Messages and notes of a timeline, with what was folded away."""

    kind = "entry"

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        row = unit.db.execute(select(Entry, Ticket).join(Ticket, Ticket.id == Entry.ticket_id).where(Entry.id == ref_id)).one_or_none()
        if row is None or row[0].kind not in _SEARCHED:
            return None
        return _of_entry(row[0], row[1])

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        statement = select(Entry, Ticket).join(Ticket, Ticket.id == Entry.ticket_id).where(Entry.kind.in_(_SEARCHED)).order_by(Entry.id)
        for entry, ticket in unit.db.execute(statement.execution_options(yield_per=500)):
            yield _of_entry(entry, ticket)
            unit.db.expunge(entry)


def _of_ticket(ticket: Ticket) -> SearchDocument:
    return SearchDocument("ticket", ticket.id, ticket.subject, f"{ticket.number} {' '.join(ticket.tags)}", ticket.language, ticket.id,
                          ticket.organisation_id, ticket.queue_id, False, ticket.created_at)


def _of_entry(entry: Entry, ticket: Ticket) -> SearchDocument:
    return SearchDocument("entry", entry.id, ticket.subject, f"{entry.text}\n{entry.folded[:20_000]}", ticket.language, ticket.id,
                          ticket.organisation_id, ticket.queue_id, entry.visibility == Visibility.INTERNAL, entry.happened_at)
