"""What goes on around tickets: hints after the commit, sentences of the timeline, search and similar tickets."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM
from orchestrator.core.db import Database
from orchestrator.core.errors import InvalidInput
from orchestrator.core.i18n import translator
from orchestrator.core.signals import MemorySignals
from orchestrator.search.index import SearchIndexing
from orchestrator.tickets import signalling
from orchestrator.tickets.assign import move_ticket
from orchestrator.tickets.classification import set_priority, set_subject, set_tags
from orchestrator.tickets.links import link_tickets
from orchestrator.tickets.models import Entry, EntryKind, Level, Medium, Status, Ticket, Visibility
from orchestrator.tickets.notices import CHANGES, NOTICES, sentence_of
from orchestrator.tickets.queries import similar_tickets
from orchestrator.tickets.reply import write_note
from orchestrator.tickets.search_source import EntryDocuments, TicketDocuments
from orchestrator.tickets.service import add_entry, add_notice, open_ticket
from orchestrator.tickets.status import change_status
from tests.builders import actor_of, make_contact, make_organisation, make_queue, make_ticket, make_user


def test_pages_are_told_after_the_commit_and_only_then(sqlite_database: Database) -> None:
    signals = MemorySignals()
    signalling.register(sqlite_database.events, signals)
    with sqlite_database.write() as unit:
        old, new = make_queue(unit), make_queue(unit)
        ticket = make_ticket(unit, old)

    def move(fail: bool) -> None:
        with sqlite_database.write() as unit:
            move_ticket(unit, SYSTEM, unit.db.get_one(Ticket, ticket.id), new.id)
            if fail:
                raise InvalidInput("no")

    topics = {f"ticket:{ticket.id}", "tickets", f"queue:{old.id}", f"queue:{new.id}"}

    async def listen() -> tuple[list[str], list[str]]:
        with signals.subscribe([*topics, "ticket:other"]) as hints:
            with pytest.raises(InvalidInput):
                await asyncio.to_thread(move, True)
            before = await hints.wait(0.05)
            await asyncio.to_thread(move, False)
            return before, await hints.wait(5)

    before, after = asyncio.run(listen())
    assert before == []
    assert set(after) <= topics and f"ticket:{ticket.id}" in after


def test_every_change_reads_as_a_sentence_in_both_languages(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        queue, other_queue = make_queue(unit, name="Annahme"), make_queue(unit, name="Server")
        ticket, other = make_ticket(unit, queue, number="2026-000001-1"), make_ticket(unit, queue, number="2026-000002-2")
        set_priority(unit, SYSTEM, ticket, impact=Level.HIGH, urgency=Level.HIGH)
        set_subject(unit, SYSTEM, ticket, "100 % Last")
        set_tags(unit, SYSTEM, ticket, ["drucker"])
        move_ticket(unit, SYSTEM, ticket, other_queue.id)
        link_tickets(unit, SYSTEM, ticket, other)
        change_status(unit, SYSTEM, ticket, Status.CLOSED)
        entries = unit.db.scalars(select(Entry).where(Entry.ticket_id == ticket.id, Entry.kind == EntryKind.CHANGE).order_by(Entry.seq)).all()
        said = []
        for entry in entries:
            sentence, values = sentence_of(entry)
            said.append(sentence % values)
            german = translator("de").gettext(sentence)
            assert german % values
        assert said == [
            "Priority: P3 → P1", "Subject: “The print queue is stuck” → “100 % Last”", "Tags: – → drucker", "Queue: Annahme → Server",
            "Linked with 2026-000002-2 (related)", "Status: new → closed"]


def test_every_notice_has_a_german_sentence_with_the_same_places() -> None:
    german = translator("de")
    for sentence in [*NOTICES.values(), *CHANGES.values()]:
        assert sentence in german.messages
        values = dict.fromkeys(("address", "reason", "subject", "error", "addresses", "number", "from", "to", "relation"), "x")
        assert german.gettext(sentence) % values


def test_a_text_with_percent_signs_is_shown_as_it_is(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
        entry = add_notice(unit, ticket, code="of_another_room", text="50 % done, %(address)s")
        sentence, values = sentence_of(entry)
        assert sentence % values == "50 % done, %(address)s"
        note = write_note(unit, actor_of(make_user(unit)), ticket, text="100%")
        sentence, values = sentence_of(note)
        assert sentence % values == "100%"


def _index(database: Database) -> None:
    with ThreadPoolExecutor(1) as pool:
        indexing = SearchIndexing(database, (TicketDocuments(), EntryDocuments()), MemorySignals(), pool)
        while indexing.renew_batch():
            pass


def test_similar_tickets_share_telling_words_and_are_the_actors_to_see(database: Database) -> None:
    with database.write() as unit:
        user = make_user(unit)
        mine, other = make_queue(unit, user), make_queue(unit)
        contact = make_contact(unit, make_organisation(unit))

        def opened(subject: str, text: str, queue_id: str) -> Ticket:
            return open_ticket(unit, SYSTEM, subject=subject, text=text, queue_id=queue_id, contact_id=contact.id, organisation_id=None,
                               medium=Medium.MAIL, language="de", author=contact)[0]

        ticket = opened("Druckerwarteschlange hängt", "Seit dem Update druckt nichts mehr, der Spooler ist angehalten.", mine.id)
        alike = opened("Spooler angehalten nach Update", "Die Druckerwarteschlange hängt wieder.", mine.id)
        hidden = opened("Druckerwarteschlange hängt am Spooler", "Wie beim letzten Update.", other.id)
        opened("Passwort vergessen", "Ich komme nicht mehr in mein Postfach.", mine.id)
    _index(database)
    with database.read() as unit:
        found = [row.ticket.id for row in similar_tickets(unit, actor_of(user, queues=(mine,)), ticket)]
        assert found == [alike.id]
        assert hidden.id in [row.ticket.id for row in similar_tickets(unit, SYSTEM, ticket)]


def test_messages_and_notes_are_searched_and_changes_are_not(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
        note = write_note(unit, actor_of(make_user(unit)), ticket, text="Intern")
        change_status(unit, SYSTEM, ticket, Status.OPEN)
        changed = unit.db.scalars(select(Entry).where(Entry.kind == EntryKind.CHANGE)).one()
        document = EntryDocuments().document(unit, note.id)
        assert document is not None and document.internal and "Intern" in document.body
        assert EntryDocuments().document(unit, changed.id) is None
        assert len(list(EntryDocuments().all_documents(unit))) == 2
        assert [one.ref_id for one in TicketDocuments().all_documents(unit)] == [ticket.id]
        message = add_entry(unit, SYSTEM, ticket, kind=EntryKind.MESSAGE, visibility=Visibility.CUSTOMER, medium=Medium.MAIL, text="x",
                            author_kind="contact", author_id=None, author_name="x", subject="Betreff der Mail")
        shown = EntryDocuments().document(unit, message.id)
        assert shown is not None and (shown.title, shown.internal) == ("Betreff der Mail", False)
