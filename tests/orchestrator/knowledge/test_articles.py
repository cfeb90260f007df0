"""Articles: written, changed, published, offered on tickets; and their text as HTML."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.accounts.actor import Role
from orchestrator.core.db import Database
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from orchestrator.core.signals import MemorySignals
from orchestrator.knowledge.markdown import render_markdown
from orchestrator.knowledge.queries import ArticleDocuments, get_article, list_articles, list_languages, list_versions
from orchestrator.knowledge.service import change_article, note_use, publish_article, withdraw_article, write_article
from orchestrator.knowledge.suggest import known_problems
from orchestrator.search.index import SearchIndexing
from tests.builders import actor_of, make_queue, make_ticket, make_user


def test_a_published_article_is_offered_on_a_ticket_like_it(database: Database) -> None:
    with database.write() as unit:
        user = make_user(unit, language="de")
        queue = make_queue(unit, user)
        actor = actor_of(user, queues=(queue,))
        german = write_article(unit, actor, title="Spooler startet nicht (CUPS)", problem="Die Druckerwarteschlange hängt", language="de",
                               body="1. `systemctl restart cups`")
        english = write_article(unit, actor, title="Print spooler does not start (CUPS)", problem="The print queue hangs", language="en",
                                body="Restart it. Die Druckerwarteschlange hängt.", group_id=german.group_id)
        other = write_article(unit, actor, title="VPN einrichten", problem="Kein Tunnel", body="…", language="de")
        for article in (german, english, other):
            publish_article(unit, actor, article.id)
        ticket = make_ticket(unit, queue, subject="Druckerwarteschlange hängt seit dem Update", text="Am Server steht: Spooler angehalten.")
    with ThreadPoolExecutor(1) as pool:
        indexing = SearchIndexing(database, [ArticleDocuments()], MemorySignals(), pool)
        assert indexing.renew_batch() > 0
        with database.write() as unit:
            note_use(unit, actor, german.id, ticket.id, helped=True)
        with database.read() as unit:
            offered = known_problems(unit, actor, ticket)
            assert [(known.article.id, known.helped, known.used) for known in offered] == [(german.id, 1, 1)]
            assert [article.id for article in list_languages(unit, actor, german)] == [english.id]
        with database.write() as unit:
            withdraw_article(unit, actor, german.id)
            withdraw_article(unit, actor, english.id)
        indexing.renew_batch()
        with database.read() as unit:
            assert known_problems(unit, actor, ticket) == []


def test_two_who_edit_the_same_version_do_not_overwrite_each_other(database: Database) -> None:
    with database.write() as unit:
        actor = actor_of(make_user(unit))
        article = write_article(unit, actor, title="A", problem="", body="one", language="en")
    with database.write() as unit:
        change_article(unit, actor, article.id, title="A", problem="", body="two", internal=True, version=1)
    with pytest.raises(Conflict), database.write() as unit:
        change_article(unit, actor, article.id, title="A", problem="", body="three", internal=True, version=1)
    with database.read() as unit:
        assert get_article(unit, actor, article.id).body == "two"
        assert [version.body for version in list_versions(unit, actor, article)] == ["two", "one"]


def test_an_auditor_reads_published_articles_only(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        writer, auditor = actor_of(make_user(unit)), actor_of(make_user(unit, roles=(Role.AUDITOR,)))
        draft = write_article(unit, writer, title="Draft", problem="", body="", language="en")
        public = write_article(unit, writer, title="Public", problem="", body="", language="en")
        publish_article(unit, writer, public.id)
        with pytest.raises(Forbidden):
            write_article(unit, auditor, title="X", problem="", body="", language="en")
    with sqlite_database.read() as unit:
        assert [article.id for article in list_articles(unit, auditor).items] == [public.id]
        with pytest.raises(NotFound):
            get_article(unit, auditor, draft.id)


@pytest.mark.parametrize(("title", "language"), [("  ", "en"), ("x" * 301, "en"), ("A", "fr")])
def test_an_article_that_makes_no_sense_is_refused(sqlite_database: Database, title: str, language: str) -> None:
    with pytest.raises(InvalidInput), sqlite_database.write() as unit:
        write_article(unit, actor_of(make_user(unit)), title=title, problem="", body="", language=language)


@pytest.mark.parametrize("text", [
    "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](https://evil.example/p.png)", "<img src=x onerror=alert(1)>",
    "<a href='data:text/html,x'>y</a>",
])
def test_markdown_never_becomes_active(text: str) -> None:
    html = str(render_markdown(text)).lower()
    for forbidden in ("<script", "<img", "href=\"javascript", "href=\"data", "<svg"):
        assert forbidden not in html


def test_markdown_keeps_code_and_tables() -> None:
    html = str(render_markdown("# T\n\n```\nls <x>\n```\n\n|a|b|\n|-|-|\n|1|2|"))
    assert "<h3>T</h3>" in html
    assert "ls &lt;x&gt;" in html
    assert "<table>" in html
