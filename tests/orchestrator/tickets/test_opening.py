"""Opening tickets and adding entries, on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM
from orchestrator.accounts.desk import publish_desk_facts, read_desk_facts
from orchestrator.core.db import Database
from orchestrator.core.errors import InvalidInput
from orchestrator.core.settings import Settings
from orchestrator.tickets.blobs import NewAttachment, read_blob, safe_name
from orchestrator.tickets.events import EntryAdded, TicketOpened
from orchestrator.tickets.models import Attachment, Blob, Entry, EntryKind, Medium, Participant, Ticket, Visibility
from orchestrator.tickets.numbers import find_numbers
from orchestrator.tickets.service import add_entry, open_ticket
from tests.builders import actor_of, make_contact, make_organisation, make_queue, make_ticket, make_user


def test_a_ticket_gets_a_number_its_customer_and_a_first_entry(database: Database) -> None:
    with database.write() as unit:
        contact = make_contact(unit, make_organisation(unit), email="erika@muster.example")
        ticket, entry = open_ticket(unit, SYSTEM, subject="Drucker\r\nsteht", text="Nichts\x00 druckt", queue_id=make_queue(unit).id,
                                    contact_id=contact.id, organisation_id=None, medium=Medium.MAIL, language="de", author=contact)
        told = [happened for happened in unit.emitted if isinstance(happened, EntryAdded | TicketOpened)]
        assert told == [EntryAdded(ticket.id, entry.id, ticket.queue_id), TicketOpened(ticket.id, contact.organisation_id, ticket.queue_id)]
    with database.read() as unit:
        kept = unit.db.get_one(Ticket, ticket.id)
        assert find_numbers(kept.number) == [kept.number]
        assert kept.subject == "Drucker steht"
        assert kept.organisation_id == contact.organisation_id
        first = unit.db.get_one(Entry, entry.id)
        assert (first.seq, first.kind, first.visibility, first.author_kind) == (1, EntryKind.MESSAGE, Visibility.CUSTOMER, "contact")
        assert first.text == "Nichts\ufffd druckt"
        assert unit.db.get(Participant, (ticket.id, "erika@muster.example")) is not None


def test_twenty_tickets_opened_at_once_get_twenty_numbers_without_a_gap(database: Database) -> None:
    with database.write() as unit:
        queue = make_queue(unit)

    def open_one(index: int) -> str:
        with database.write() as unit:
            ticket, _ = open_ticket(unit, SYSTEM, subject=f"Fall {index}", text="x", queue_id=queue.id, contact_id=None,
                                    organisation_id=None, medium=Medium.API, language="de")
            return ticket.number

    with ThreadPoolExecutor(10) as pool:
        numbers = list(pool.map(open_one, range(20)))
    assert sorted(int(number.split("-")[1]) for number in numbers) == list(range(1, 21))


def test_entries_written_at_once_are_numbered_without_a_gap(database: Database) -> None:
    with database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
    barrier = threading.Barrier(8)

    def add_one(index: int) -> None:
        barrier.wait(10)
        with database.write() as unit:
            add_entry(unit, SYSTEM, unit.db.get_one(Ticket, ticket.id), kind=EntryKind.NOTE, visibility=Visibility.INTERNAL,
                      medium=Medium.DESK, text=str(index), author_kind="system", author_id=None, author_name="x")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(8)))
    with database.read() as unit:
        seqs = list(unit.db.scalars(select(Entry.seq).where(Entry.ticket_id == ticket.id).order_by(Entry.seq)))
    assert seqs == list(range(1, 10))


def test_an_entry_made_for_somebody_else_names_who_entered_it(database: Database) -> None:
    with database.write() as unit:
        user = make_user(unit, name="Jana Roth")
        contact = make_contact(unit)
        _, entry = open_ticket(unit, actor_of(user), subject="Anruf", text="Rief an", queue_id=make_queue(unit).id,
                               contact_id=contact.id, organisation_id=None, medium=Medium.PHONE, language="de", author=contact)
        assert entry.author_name == contact.name
        assert entry.data["entered_by"] == "Jana Roth"


def test_the_organisations_own_matrix_decides_its_priorities(database: Database) -> None:
    with database.write() as unit:
        organisation = make_organisation(unit)
        queue = make_queue(unit)
        usual, _ = open_ticket(unit, SYSTEM, subject="a", text="", queue_id=queue.id, contact_id=None, organisation_id=organisation.id,
                               medium=Medium.API, language="de")
        organisation.priority_matrix = {f"{i}/{u}": 1 for i in ("high", "medium", "low") for u in ("high", "medium", "low")}
        own, _ = open_ticket(unit, SYSTEM, subject="b", text="", queue_id=queue.id, contact_id=None, organisation_id=organisation.id,
                             medium=Medium.API, language="de")
        assert (usual.priority, own.priority) == (3, 1)


@pytest.mark.parametrize("field", ["queue_id", "contact_id", "organisation_id"])
def test_what_is_not_there_is_refused_by_name(database: Database, field: str) -> None:
    with database.write() as unit:
        values = {"queue_id": make_queue(unit).id, "contact_id": None, "organisation_id": None,
                  field: "018f0000-0000-7000-8000-000000000000"}
        with pytest.raises(InvalidInput):
            open_ticket(unit, SYSTEM, subject="a", text="", medium=Medium.API, language="de", **values)


def test_the_same_file_is_stored_once_and_read_back_whole(database: Database) -> None:
    picture = bytes(range(256)) * 64
    with database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
        files = [NewAttachment("../../etc/pass\u202ewd", "IMAGE/png", picture), NewAttachment("b.png", "nonsense", picture, "cid1")]
        entry = add_entry(unit, SYSTEM, ticket, kind=EntryKind.MESSAGE, visibility=Visibility.CUSTOMER, medium=Medium.MAIL, text="",
                          author_kind="contact", author_id=None, author_name="x", attachments=files)
    with database.read() as unit:
        kept = list(unit.db.scalars(select(Attachment).where(Attachment.entry_id == entry.id).order_by(Attachment.id)))
        assert [(one.name, one.media_type, one.content_id) for one in kept] == [
            ("pass_wd", "image/png", None), ("b.png", "application/octet-stream", "cid1")]
        assert len(unit.db.scalars(select(Blob)).all()) == 1
        assert read_blob(unit, kept[0].blob_sha256) == picture


@pytest.mark.parametrize(("given", "kept"), [
    ("", "attachment"), ("..", "attachment"), ("C:\\temp\\a.txt", "a.txt"), ("a\nb", "a_b"), ("x" * 300 + ".pdf", "x" * 180 + ".pdf"),
])
def test_file_names_are_only_names(given: str, kept: str) -> None:
    assert safe_name(given) == kept


def test_the_desk_publishes_its_settings_and_remembers_old_number_formats(database: Database, settings: Settings) -> None:
    with database.write() as unit:
        assert publish_desk_facts(unit, settings).mail_domain == "desk.example"
        publish_desk_facts(unit, settings.model_copy(update={"ticket_number_format": "T{year}{counter:05d}{check}"}))
    with database.read() as unit:
        facts = read_desk_facts(unit)
        assert facts.number_formats == ("T{year}{counter:05d}{check}", "{year}-{counter:06d}-{check}")
        assert "support@desk.example" in facts.own_addresses
