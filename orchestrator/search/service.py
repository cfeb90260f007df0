"""Searching: one function for both engines. Ranking is bounded: the newest matches are ranked, so that a common word in a
million tickets costs no more than a rare one. What the actor may not see is filtered in the statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, bindparam, column, exists, false, func, literal_column, or_, select, table, text, true
from sqlalchemy.sql.elements import ColumnElement

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import ReadUnit
from orchestrator.customers.models import Organisation
from orchestrator.search.models import SearchRow
from orchestrator.search.query import Query, Term, fts5_expression, parse_query, tsquery_expression
from orchestrator.search.text import SnippetPart, cut_snippet, telling_stems
from orchestrator.tickets.models import Follower, Ticket

RANKED = 2000
"""How many of the newest matches are ranked."""

_TICKET_KINDS = ("ticket", "entry", "command")
_RIGHT_OF_KIND = {
    "article": Right.ARTICLES_READ, "contact": Right.CUSTOMERS_READ, "organisation": Right.CUSTOMERS_READ, "endpoint": Right.ENDPOINTS_READ,
}


@dataclass(frozen=True, slots=True)
class SearchHit:
    """``kind`` and ``ref_id`` name the thing; ``ticket_number`` is set for what belongs to a ticket."""

    kind: str
    ref_id: str
    title: str
    snippet: tuple[SnippetPart, ...]
    ticket_number: str | None
    happened_at: datetime


@dataclass(frozen=True, slots=True)
class SearchPage:
    """``next`` is the offset of the following page, or None; ``bounded`` says that older matches were left out of ranking."""

    query: Query
    hits: tuple[SearchHit, ...]
    next: int | None
    bounded: bool


def search(unit: ReadUnit, actor: Actor, typed: str, *, kinds: Sequence[str] | None = None, offset: int = 0, limit: int = 20) -> SearchPage:
    """Find what matches ``typed`` and the actor may see, best first; within a ticket only the best hit is shown."""
    query = parse_query(typed)
    if query.is_empty:
        return SearchPage(query, (), None, bounded=False)
    wanted_kinds = tuple(kinds or query.kinds)
    conditions = [_visible_to(actor), *_field_conditions(query)]
    if wanted_kinds:
        conditions.append(SearchRow.kind.in_(wanted_kinds))
    must = (f"kind{wanted_kinds[0]}",) if len(wanted_kinds) == 1 else ()
    ranked, matched = _ranked_ids(unit, query, must, conditions)
    page = ranked[offset:offset + limit]
    rows = {row.id: row for row in unit.db.execute(
        select(SearchRow.id, SearchRow.kind, SearchRow.ref_id, SearchRow.title, SearchRow.body, SearchRow.happened_at, Ticket.number)
        .outerjoin(Ticket, Ticket.id == SearchRow.ticket_id).where(SearchRow.id.in_(page)))}
    hits = tuple(
        SearchHit(row.kind, row.ref_id, row.title, tuple(cut_snippet(row.body, query.stems)), row.number, row.happened_at)
        for row in (rows[row_id] for row_id in page if row_id in rows))
    return SearchPage(query, hits, offset + limit if len(ranked) > offset + limit else None, bounded=matched >= RANKED)


def find_alike(unit: ReadUnit, actor: Actor, words: str, *, kind: str, limit: int = 5) -> list[tuple[str, float]]:
    """Find documents of one kind that share telling words with a text: (ref_id, score), best first, none that shares less
    than two telling words when there are more than three."""
    stems = telling_stems(words)
    if not stems:
        return []
    clause = tuple(Term(frozenset((stem,) for stem in option)) for option in stems)
    query = Query(text=words, clauses=(clause,))
    ids, _ = _ranked_ids(unit, query, (f"kind{kind}",), [_visible_to(actor), SearchRow.kind == kind])
    rows = {row.id: row for row in unit.db.execute(
        select(SearchRow.id, SearchRow.ref_id, SearchRow.title_stems, SearchRow.stems).where(SearchRow.id.in_(ids[:40])))}
    scored: list[tuple[str, float]] = []
    for position, row_id in enumerate(ids[:40]):
        row = rows[row_id]
        in_title, in_body = set(row.title_stems.split()), set(row.stems.split())
        score = sum(2.0 if option & in_title else 1.0 if option & in_body else 0.0 for option in stems)
        shared = sum(bool(option & (in_title | in_body)) for option in stems)
        if shared >= (2 if len(stems) > 3 else 1):
            scored.append((row.ref_id, score - position * 0.01))
    return sorted(scored, key=lambda pair: -pair[1])[:limit]


def _visible_to(actor: Actor) -> ColumnElement[bool]:
    parts: list[ColumnElement[bool]] = [SearchRow.kind == kind for kind, right in _RIGHT_OF_KIND.items() if actor.may(right)]
    if actor.may(Right.TICKETS_READ):
        of_ticket = SearchRow.kind.in_(_TICKET_KINDS)
        if actor.may(Right.ALL_QUEUES):
            parts.append(of_ticket)
        else:
            own = exists().where(Ticket.id == SearchRow.ticket_id, or_(
                Ticket.queue_id.in_(sorted(actor.queue_ids)) if actor.queue_ids else false(), Ticket.assignee_id == actor.id,
                exists().where(Follower.ticket_id == Ticket.id, Follower.user_id == actor.id)))
            parts.append(and_(of_ticket, own))
    return or_(*parts) if parts else false()


def _field_conditions(query: Query) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.after:
        conditions.append(SearchRow.happened_at >= query.after)
    if query.before:
        conditions.append(SearchRow.happened_at < query.before)
    if query.status:
        conditions.append(exists().where(Ticket.id == SearchRow.ticket_id, Ticket.status == query.status))
    if query.organisation:
        conditions.append(exists().where(Organisation.id == SearchRow.organisation_id, Organisation.name.ilike(f"%{query.organisation}%")))
    if query.has_session:
        conditions.append(text("exists (select 1 from remote_sessions where remote_sessions.ticket_id = search_documents.ticket_id)"))  # type: ignore[arg-type]  # a table of a higher room
    return conditions or [true()]


def _ranked_ids(unit: ReadUnit, query: Query, must: tuple[str, ...], conditions: list[Any]) -> tuple[list[int], int]:
    """Ids of the newest ``RANKED`` matches, best first, and how many matched within that bound."""
    if not query.clauses:
        newest = select(SearchRow.id).where(*conditions).order_by(SearchRow.happened_at.desc()).limit(RANKED)
        found = list(unit.db.scalars(newest))
        return found, len(found)
    sqlite = unit.db.get_bind().dialect.name == "sqlite"
    ranked = _ranked_on_sqlite(query, must, conditions) if sqlite else _ranked_on_postgresql(query, must, conditions)
    rows = unit.db.execute(ranked).all()
    best = sorted(rows, key=lambda row: (row.score, -row.id) if sqlite else (-row.score, -row.id))
    seen: set[tuple[str, str]] = set()
    ids: list[int] = []
    for row in best:
        key = ("ticket", row.ticket_id) if row.ticket_id and row.kind != "article" else (row.kind, str(row.id))
        if key not in seen:
            seen.add(key)
            ids.append(row.id)
    return ids, len(rows)


_FTS = table("search_fts", column("rowid"))


def _ranked_on_sqlite(query: Query, must: tuple[str, ...], conditions: list[Any]) -> Select[Any, Any, Any, Any]:
    match = text("search_fts match :expression").bindparams(expression=fts5_expression(query, must=must))
    return (
        select(SearchRow.id, SearchRow.kind, SearchRow.ticket_id, literal_column("bm25(search_fts, 6.0, 1.0)").label("score"))
        .select_from(_FTS.join(SearchRow, SearchRow.id == _FTS.c.rowid)).where(match, *conditions)
        .order_by(_FTS.c.rowid.desc()).limit(RANKED))


def _ranked_on_postgresql(query: Query, must: tuple[str, ...], conditions: list[Any]) -> Select[Any, Any, Any, Any]:
    wanted = func.to_tsquery("simple", bindparam("expression", tsquery_expression(query, must=must)))
    vector: ColumnElement[Any] = literal_column("search_documents.vector")
    newest = (select(SearchRow.id, SearchRow.kind, SearchRow.ticket_id, vector.label("vector")).where(vector.op("@@")(wanted), *conditions)
              .order_by(SearchRow.id.desc()).limit(RANKED).subquery())
    score = func.ts_rank(literal_column("'{0.05, 0.1, 0.2, 1.0}'::float4[]"), newest.c.vector, wanted)
    return select(newest.c.id, newest.c.kind, newest.c.ticket_id, score.label("score"))
