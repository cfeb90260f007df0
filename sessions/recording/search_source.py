"""What the search index holds of recorded command lines. They are internal until somebody publishes them in an article."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from orchestrator.core.db import Database, ReadUnit
from orchestrator.core.ports import SearchDocument
from orchestrator.tickets.models import Ticket
from sessions.lifecycle.models import RemoteSession
from sessions.recording.models import CommandRow


class CommandDocuments:
    """One document for each session: all its command lines. ``ref_id`` is the session's id."""

    kind = "command"

    def __init__(self, record_database: Database) -> None:
        self._records = record_database

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        session = unit.db.get(RemoteSession, ref_id)
        ticket = unit.db.get(Ticket, session.ticket_id) if session is not None else None
        if session is None or ticket is None:
            return None
        with self._records.read() as records:
            lines = records.db.scalars(
                select(CommandRow.line)
                .where(CommandRow.session_id == ref_id, CommandRow.line.is_not(None))
                .order_by(CommandRow.started_at)
                .limit(5000)
            ).all()
        if not lines:
            return None
        return SearchDocument(
            "command",
            ref_id,
            ticket.subject,
            "\n".join(line or "" for line in lines),
            "en",
            ticket.id,
            ticket.organisation_id,
            ticket.queue_id,
            True,
            session.started_at or session.created_at,
        )

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        for session_id in unit.db.scalars(select(RemoteSession.id).where(RemoteSession.started_at.is_not(None))).all():
            document = self.document(unit, session_id)
            if document is not None:
                yield document
