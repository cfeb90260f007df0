"""What tickets and their entries offer to the search index."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from orchestrator.core.db import ReadUnit
from orchestrator.core.ports import SearchDocument
from orchestrator.tickets.models import Entry, EntryKind, Ticket, Visibility

_INDEXED = (EntryKind.MESSAGE, EntryKind.NOTE)
_BATCH = 500


class TicketDocuments:
    """One document a ticket: its subject as title; the first entry's text as body, so that alike tickets are found."""

    kind = "ticket"

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        ticket = unit.db.get(Ticket, ref_id)
        return None if ticket is None else self._document(unit, ticket)

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        for ticket in unit.db.scalars(select(Ticket).order_by(Ticket.id).execution_options(yield_per=_BATCH)):
            yield self._document(unit, ticket)

    def _document(self, unit: ReadUnit, ticket: Ticket) -> SearchDocument:
        first = unit.db.scalar(select(Entry.text).where(Entry.ticket_id == ticket.id, Entry.seq == 1)) or ""
        body = "\n".join([first[:20_000], " ".join(ticket.tags), ticket.number])
        return SearchDocument(
            kind=self.kind, ref_id=ticket.id, title=ticket.subject, body=body, language=ticket.language, ticket_id=ticket.id,
            organisation_id=ticket.organisation_id, queue_id=ticket.queue_id, internal=False, happened_at=ticket.created_at)


class EntryDocuments:
    """One document for each message and note; changes and notices are not searched."""

    kind = "entry"

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        row = unit.db.execute(select(Entry, Ticket).join(Ticket, Ticket.id == Entry.ticket_id)
                              .where(Entry.id == ref_id, Entry.kind.in_(_INDEXED))).one_or_none()
        return None if row is None else self._document(row.Entry, row.Ticket)

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        statement = select(Entry, Ticket).join(Ticket, Ticket.id == Entry.ticket_id).where(Entry.kind.in_(_INDEXED)).order_by(Entry.id)
        for row in unit.db.execute(statement.execution_options(yield_per=_BATCH)):
            yield self._document(row.Entry, row.Ticket)

    def _document(self, entry: Entry, ticket: Ticket) -> SearchDocument:
        return SearchDocument(
            kind=self.kind, ref_id=entry.id, title=entry.subject or ticket.subject, body=f"{entry.text}\n{entry.author_name}",
            language=ticket.language, ticket_id=ticket.id, organisation_id=ticket.organisation_id, queue_id=ticket.queue_id,
            internal=entry.visibility == Visibility.INTERNAL, happened_at=entry.happened_at)
