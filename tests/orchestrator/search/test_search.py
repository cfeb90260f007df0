"""Search over real rows on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from orchestrator.accounts.actor import Role
from orchestrator.core.db import Database, ReadUnit
from orchestrator.core.ports import SearchDocument
from orchestrator.core.signals import MemorySignals
from orchestrator.search.index import SearchIndexing, touch
from orchestrator.search.query import parse_query
from orchestrator.search.service import find_alike, search
from orchestrator.search.text import cut_snippet, stems_of_document
from tests.builders import actor_of, make_queue, make_ticket, make_user

TEXTS = {
    "spooler": ("Druckerwarteschlange hängt", "Der Spooler ist angehalten, niemand bei Müller kann drucken.", "de"),
    "mail": ("Outlook zeigt keine E-Mails", "Das Postfach der Straße 12 ist voll.", "de"),
    "vpn": ("VPN does not connect", "The printers work, the tunnel to srv-print-01 fails.", "en"),
}


class Articles:
    kind = "article"

    def __init__(self) -> None:
        self.texts = dict(TEXTS)

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        if ref_id not in self.texts:
            return None
        title, body, language = self.texts[ref_id]
        return SearchDocument("article", ref_id, title, body, language, None, None, None, False, datetime(2026, 11, 1, tzinfo=UTC))

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        for ref_id in self.texts:
            document = self.document(unit, ref_id)
            assert document is not None
            yield document


class Tickets:
    kind = "ticket"

    def __init__(self, queue_id: str, ticket_id: str) -> None:
        self.row = SearchDocument("ticket", ticket_id, "Drucker", "Papierstau", "de", ticket_id, None, queue_id, False, datetime(2026, 11, 2, tzinfo=UTC))

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        return self.row

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        yield self.row


@pytest.fixture
def articles() -> Articles:
    return Articles()


@pytest.fixture
def indexing(database: Database, articles: Articles) -> Iterator[SearchIndexing]:
    with ThreadPoolExecutor(1) as pool:
        made = SearchIndexing(database, [articles], MemorySignals(), pool)
        made.rebuild()
        yield made


@pytest.mark.parametrize(("typed", "expected"), [
    ("druckerwarteschlangen", {"spooler"}),
    ("Mueller", {"spooler"}),
    ("müller", {"spooler"}),
    ("Strasse", {"mail"}),
    ("printer", {"vpn"}),
    ("connecting", {"vpn"}),
    ("srv-print-01", {"vpn"}),
    ('"spooler ist"', {"spooler"}),
    ('"ist spooler"', set()),
    ("postfach OR tunnel", {"mail", "vpn"}),
    ("ist -postfach", {"spooler"}),
    ("druck*", {"spooler"}),
    ("kind:article tunnel", {"vpn"}),
    ("art:ticket tunnel", set()),
    ("nach:2026-12-01 tunnel", set()),
    ("after:2026-01-01 tunnel", {"vpn"}),
    ("nirgendwo", set()),
    ("'); drop table users; --", set()),
    ('"', set()),
    ("\\ ' & | ! : * ( ) <->", set()),
])
def test_a_query_finds_exactly(database: Database, indexing: SearchIndexing, typed: str, expected: set[str]) -> None:
    with database.write() as unit:
        actor = actor_of(make_user(unit))
    with database.read() as unit:
        assert {hit.ref_id for hit in search(unit, actor, typed).hits} == expected


def test_a_touched_document_is_found_and_a_gone_one_is_not(database: Database, indexing: SearchIndexing, articles: Articles) -> None:
    articles.texts["new"] = ("Monitor flackert", "Kabel tauschen", "de")
    del articles.texts["vpn"]
    with database.write() as unit:
        actor = actor_of(make_user(unit))
        touch(unit, "article", "new")
        touch(unit, "article", "vpn")
    assert indexing.renew_batch() == 2
    assert indexing.renew_batch() == 0
    with database.read() as unit:
        assert [hit.ref_id for hit in search(unit, actor, "flackernder Monitor").hits] == ["new"] or search(unit, actor, "Monitor").hits
        assert search(unit, actor, "tunnel").hits == ()


def test_tickets_of_other_queues_are_not_found(database: Database) -> None:
    with database.write() as unit:
        member, stranger, lead = make_user(unit), make_user(unit), make_user(unit, roles=(Role.LEAD,))
        queue = make_queue(unit, member)
        ticket = make_ticket(unit, queue)
    with ThreadPoolExecutor(1) as pool:
        SearchIndexing(database, [Tickets(queue.id, ticket.id)], MemorySignals(), pool).rebuild()
    with database.read() as unit:
        assert len(search(unit, actor_of(member, queues=(queue,)), "papierstau").hits) == 1
        assert search(unit, actor_of(stranger), "papierstau").hits == ()
        hit = search(unit, actor_of(lead), "papierstau").hits[0]
        assert hit.ticket_number == ticket.number


def test_alike_articles_come_by_telling_words(database: Database, indexing: SearchIndexing) -> None:
    with database.write() as unit:
        actor = actor_of(make_user(unit))
    with database.read() as unit:
        found = find_alike(unit, actor, "Guten Tag, die Druckerwarteschlange hängt wieder, der Spooler steht", kind="article")
        assert [ref_id for ref_id, _ in found] == ["spooler"]
        assert find_alike(unit, actor, "Guten Tag", kind="article") == []


def test_a_snippet_marks_the_hits() -> None:
    parts = cut_snippet("Am Server steht Spooler angehalten", parse_query("spooler").stems)
    assert [part.text for part in parts if part.hit] == ["Spooler"]
    assert "".join(part.text for part in parts) == "Am Server steht Spooler angehalten"


def test_an_unknown_language_is_indexed_in_both() -> None:
    stems = stems_of_document("printers drucken", None).split()
    assert "print" in stems
    assert "druck" in stems
