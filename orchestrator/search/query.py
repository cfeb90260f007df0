"""The query language: words, "phrases", -not, OR, prefix*, and fields with English and German names. Pure.

``parse_query`` never fails: what it does not understand is searched as words. Fields: ``kind:`` (art), ``status:``,
``org:`` (firma), ``after:`` (nach), ``before:`` (vor), ``has:session`` (mit:sitzung).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.search.text import stem_words, stems_of_word, words_of

FIELDS = {
    "kind": "kind", "art": "kind", "status": "status", "org": "org", "firma": "org", "organisation": "org", "after": "after", "nach": "after",
    "before": "before", "vor": "before", "has": "has", "mit": "has",
}
STATUS_WORDS = {
    "new": "new", "neu": "new", "open": "open", "offen": "open", "waiting": "waiting_customer", "wartend": "waiting_customer",
    "resolved": "resolved", "gelöst": "resolved", "geloest": "resolved", "closed": "closed", "geschlossen": "closed",
}
KIND_WORDS = {
    "ticket": "ticket", "tickets": "ticket", "entry": "entry", "eintrag": "entry", "article": "article", "artikel": "article",
    "contact": "contact", "kontakt": "contact", "organisation": "organisation", "firma": "organisation", "endpoint": "endpoint",
    "gerät": "endpoint", "geraet": "endpoint", "command": "command", "befehl": "command",
}
_PIECE = re.compile(r'(-?)(?:([^\W\d_]+):)?(?:"([^"]*)"|(\S+))')


@dataclass(frozen=True, slots=True)
class Term:
    """One thing to find: alternatives of stem sequences (a phrase has several stems in a row). ``prefix``: the last stem
    is a beginning."""

    alternatives: frozenset[tuple[str, ...]]
    excluded: bool = False
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """``clauses`` must all hold; within one, any term. ``excluded`` must not hold. ``text`` is what was typed."""

    text: str
    clauses: tuple[tuple[Term, ...], ...] = ()
    excluded: tuple[Term, ...] = ()
    kinds: tuple[str, ...] = ()
    status: str | None = None
    organisation: str | None = None
    after: datetime | None = None
    before: datetime | None = None
    has_session: bool = False

    @property
    def stems(self) -> frozenset[str]:
        """All stems searched for, a beginning marked by ``*``; for highlighting."""
        found: set[str] = set()
        for clause in self.clauses:
            for term in clause:
                for stems in term.alternatives:
                    found.update(stems[:-1])
                    found.add(stems[-1] + "*" if term.prefix else stems[-1])
        return frozenset(found)

    @property
    def is_empty(self) -> bool:
        return not (self.clauses or self.kinds or self.status or self.organisation or self.after or self.before or self.has_session)


def _term(text: str, *, excluded: bool) -> Term | None:
    prefix = text.endswith("*")
    words = words_of(text)
    if not words:
        return None
    if prefix:
        return Term(frozenset({(*stem_words(words[:-1], "de"), words[-1])}), excluded, prefix=True)
    if len(words) == 1:
        return Term(frozenset((stem,) for stem in stems_of_word(words[0])), excluded)
    return Term(frozenset({tuple(stem_words(words, "de")), tuple(stem_words(words, "en"))}), excluded)


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def parse_query(text: str) -> Query:
    """Understand what somebody typed into the search box; at most 20 terms."""
    clauses: list[tuple[Term, ...]] = []
    excluded: list[Term] = []
    fields: dict[str, object] = {}
    join_next = False
    for minus, field, phrase, word in _PIECE.findall(text[:500]):
        value = phrase or word
        name = FIELDS.get(field.lower()) if field else None
        if name is not None and _take_field(fields, name, value):
            continue
        if not minus and not field and not phrase and word in ("OR", "ODER"):
            join_next = bool(clauses)
            continue
        term = _term(f"{field}:{value}" if field else value, excluded=bool(minus))
        if term is None:
            continue
        if term.excluded:
            excluded.append(term)
        elif join_next:
            clauses[-1] = (*clauses[-1], term)
        elif len(clauses) < 20:
            clauses.append((term,))
        join_next = False
    return Query(text=text, clauses=tuple(clauses), excluded=tuple(excluded), **fields)  # type: ignore[arg-type]  # filled by _take_field


def _take_field(fields: dict[str, object], name: str, value: str) -> bool:
    """Note a field's value; False when it makes no sense and shall be searched as words."""
    lower = value.lower()
    match name:
        case "kind" if lower in KIND_WORDS:
            fields["kinds"] = (KIND_WORDS[lower],)
        case "status" if lower in STATUS_WORDS:
            fields["status"] = STATUS_WORDS[lower]
        case "org" if value:
            fields["organisation"] = value
        case "after" | "before" if _day(value) is not None:
            fields[name] = _day(value)
        case "has" if lower in ("session", "sitzung"):
            fields["has_session"] = True
        case _:
            return False
    return True


def fts5_expression(query: Query, *, must: tuple[str, ...] = ()) -> str:
    """Write the query for SQLite FTS5. ``must`` are plain tokens that have to be there."""
    def one(term: Term) -> str:
        options = []
        for stems in sorted(term.alternatives):
            quoted = " ".join(stem.replace('"', "") for stem in stems)
            options.append(f'"{quoted}"' + ("*" if term.prefix else ""))
        return "(" + " OR ".join(options) + ")"

    wanted = [f'"{token}"' for token in must] + ["(" + " OR ".join(one(term) for term in clause) + ")" for clause in query.clauses]
    expression = " AND ".join(wanted)
    if query.excluded and expression:
        expression = f"({expression}) NOT ({' OR '.join(one(term) for term in query.excluded)})"
    return expression


def tsquery_expression(query: Query, *, must: tuple[str, ...] = ()) -> str:
    """Write the query for PostgreSQL's ``to_tsquery('simple', …)``."""
    def lexeme(stem: str) -> str:
        return "'" + stem.replace("\\", "").replace("'", "''") + "'"

    def one(term: Term) -> str:
        options = []
        for stems in sorted(term.alternatives):
            lexemes = [lexeme(stem) for stem in stems]
            if term.prefix:
                lexemes[-1] += ":*"
            options.append("(" + " <-> ".join(lexemes) + ")")
        return "(" + " | ".join(options) + ")"

    wanted = [lexeme(token) for token in must] + ["(" + " | ".join(one(term) for term in clause) + ")" for clause in query.clauses]
    wanted += [f"!({one(term)})" for term in query.excluded] if wanted else []
    return " & ".join(wanted)
