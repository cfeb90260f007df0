"""Keeping the index fresh: changes leave a row in ``search_pending`` in their transaction; a worker renews the documents
right after the commit, and a whole index can be rebuilt while the desk works.

Sources are ports: the rooms say what a document of theirs holds, here it is analysed and stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog
from sqlalchemy import delete, insert, select, update

from orchestrator.core.db import Database, WriteUnit
from orchestrator.core.errors import AppError
from orchestrator.core.events import Event, Events
from orchestrator.core.ports import SearchDocument, SearchSource
from orchestrator.core.signals import Signals
from orchestrator.search.models import SearchPending, SearchRow
from orchestrator.search.text import stems_of_document

log = structlog.get_logger(__name__)

TOPIC = "search"
BODY_LIMIT = 400_000
"""Characters of a body that are kept for snippets and search."""


@dataclass(frozen=True, slots=True)
class SearchTouched(Event):
    """Documents wait to be renewed."""


def touch(unit: WriteUnit, kind: str, ref_id: str) -> None:
    """Note that a document has changed, appeared or gone; it is renewed after the commit."""
    unit.db.add(SearchPending(kind=kind, ref_id=ref_id, created_at=unit.now))
    if not any(isinstance(happened, SearchTouched) for happened in unit.emitted):
        unit.emit(SearchTouched())


def register(events: Events, signals: Signals) -> None:
    """Wake the worker after every commit that touched documents."""
    events.after_commit(SearchTouched, lambda _event: signals.publish(TOPIC))


def row_values(document: SearchDocument) -> dict[str, object]:
    """Analyse a document into the columns of its row."""
    title = document.title.replace("\x00", " ")[:600]
    body = document.body.replace("\x00", " ")[:BODY_LIMIT]
    return {
        "kind": document.kind, "ref_id": document.ref_id, "ticket_id": document.ticket_id, "organisation_id": document.organisation_id,
        "queue_id": document.queue_id, "internal": document.internal, "language": document.language, "title": title, "body": body,
        "title_stems": f"kind{document.kind} {stems_of_document(title, document.language)}",
        "stems": stems_of_document(body, document.language), "happened_at": document.happened_at,
    }


class SearchIndexing:
    """The worker that renews touched documents, and the rebuild."""

    def __init__(self, database: Database, sources: Iterable[SearchSource], signals: Signals, executor: Executor) -> None:
        self._database = database
        self._sources: Mapping[str, SearchSource] = {source.kind: source for source in sources}
        self._signals = signals
        self._executor = executor

    async def run(self) -> None:
        """Work until cancelled: on each hint, and every five seconds in case one was lost."""
        loop = asyncio.get_running_loop()
        with self._signals.subscribe([TOPIC]) as hints:
            while True:
                try:
                    while await loop.run_in_executor(self._executor, self.renew_batch):
                        pass
                except AppError as exc:
                    log.warning("the search index waits", reason=str(exc))
                except Exception:  # the boundary of the task: the index is behind, not dead
                    log.exception("the search index cannot be renewed")
                    await asyncio.sleep(5)
                await hints.wait(5)

    def renew_batch(self, *, limit: int = 200) -> int:
        """Renew up to ``limit`` touched documents in one unit; return how many notes were worked off."""
        with self._database.read() as unit:
            oldest = select(SearchPending.id, SearchPending.kind, SearchPending.ref_id).order_by(SearchPending.id).limit(limit)
            pending = unit.db.execute(oldest).all()
            if not pending:
                return 0
            wanted = {(row.kind, row.ref_id) for row in pending}
            documents = {key: self._document(unit, *key) for key in sorted(wanted)}
        values = {key: row_values(document) if document else None for key, document in documents.items()}
        with self._database.write() as unit:
            for (kind, ref_id), columns in values.items():
                store_row(unit, kind, ref_id, columns)
            unit.db.execute(delete(SearchPending).where(SearchPending.id.in_([row.id for row in pending])))
        return len(pending)

    def _document(self, unit: object, kind: str, ref_id: str) -> SearchDocument | None:
        source = self._sources.get(kind)
        return source.document(unit, ref_id) if source is not None else None  # type: ignore[arg-type]  # a ReadUnit

    def rebuild(self, *, batch: int = 300) -> int:
        """Renew every document of every source, in short transactions; then drop rows whose thing is gone. Return the count."""
        count = 0
        for kind, source in self._sources.items():
            seen: set[str] = set()
            chunk: list[dict[str, object]] = []
            with self._database.read() as unit:
                for document in source.all_documents(unit):
                    seen.add(document.ref_id)
                    chunk.append(row_values(document))
                    if len(chunk) >= batch:
                        count += self._store(kind, chunk)
                        chunk = []
            count += self._store(kind, chunk)
            with self._database.read() as unit:
                known = set(unit.db.scalars(select(SearchRow.ref_id).where(SearchRow.kind == kind)))
            gone = sorted(known - seen)
            for start in range(0, len(gone), batch):
                with self._database.write() as unit:
                    unit.db.execute(delete(SearchRow).where(SearchRow.kind == kind, SearchRow.ref_id.in_(gone[start:start + batch])))
        return count

    def _store(self, kind: str, chunk: Sequence[dict[str, object]]) -> int:
        if chunk:
            with self._database.write() as unit:
                for columns in chunk:
                    store_row(unit, kind, str(columns["ref_id"]), columns)
        return len(chunk)


def store_row(unit: WriteUnit, kind: str, ref_id: str, columns: dict[str, object] | None) -> None:
    """Insert, renew or remove one document's row."""
    known = unit.db.scalar(select(SearchRow.id).where(SearchRow.kind == kind, SearchRow.ref_id == ref_id))
    if columns is None:
        if known is not None:
            unit.db.execute(delete(SearchRow).where(SearchRow.id == known))
    elif known is None:
        unit.db.execute(insert(SearchRow).values(**columns))
    else:
        unit.db.execute(update(SearchRow).where(SearchRow.id == known).values(**columns))
