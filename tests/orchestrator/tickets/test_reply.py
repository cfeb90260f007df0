"""Replies and notes: threading, known Message-IDs, participants, and two people writing at once."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM, Actor, Role
from orchestrator.core.db import Database, WriteUnit
from orchestrator.core.errors import Forbidden, InvalidInput
from orchestrator.intake.models import KnownMessage
from orchestrator.notifications.models import OutgoingMail
from orchestrator.notifications.outbox import hash_message_id
from orchestrator.tickets.blobs import NewAttachment
from orchestrator.tickets.collisions import WrittenMeanwhile
from orchestrator.tickets.models import Attachment, Entry, EntryKind, Medium, Participant, Status, Ticket, Visibility
from orchestrator.tickets.reply import plain_subject, reply_to_customer, write_call, write_note
from orchestrator.tickets.service import add_entry
from tests.builders import actor_of, make_contact, make_organisation, make_queue, make_ticket, make_user


def _ticket(unit: WriteUnit) -> tuple[Ticket, Actor]:
    user = make_user(unit, name="Jana Roth")
    queue = make_queue(unit, user)
    contact = make_contact(unit, make_organisation(unit), email="erika@muster.example")
    return make_ticket(unit, queue, contact=contact, subject="Drucker hängt"), actor_of(user, queues=(queue,))


def _customer_writes(unit: WriteUnit, ticket: Ticket, message_id: str, references: str = "", subject: str = "AW: Drucker hängt") -> Entry:
    return add_entry(unit, SYSTEM, ticket, kind=EntryKind.MESSAGE, visibility=Visibility.CUSTOMER, medium=Medium.MAIL, text="Immer noch",
                     subject=subject, author_kind="contact", author_id=ticket.contact_id, author_name="Erika Beispiel",
                     data={"message_id": message_id, "references": references})


def test_a_reply_answers_the_customers_last_mail(database: Database) -> None:
    with database.write() as unit:
        ticket, actor = _ticket(unit)
        _customer_writes(unit, ticket, "<first@muster.example>")
        _customer_writes(unit, ticket, "<second@muster.example>", "<first@muster.example> <other@muster.example>")
        entry = reply_to_customer(unit, actor, ticket, text="Wir schauen nach.", cc=["Max@Muster.example", "max@muster.example"])
    with database.read() as unit:
        mail = unit.db.scalars(select(OutgoingMail)).one()
        assert mail.subject == f"[#{ticket.number}] Re: Drucker hängt"
        assert mail.in_reply_to == "<second@muster.example>"
        assert mail.references == "<first@muster.example> <other@muster.example> <second@muster.example>"
        assert (mail.to_address, mail.to_name, mail.automatic) == ("erika@muster.example", "Erika Beispiel", False)
        assert mail.cc == ["max@muster.example"]
        assert mail.text.startswith("Wir schauen nach.\n\n-- \nJana Roth\n")
        known = unit.db.scalars(select(KnownMessage).where(KnownMessage.message_hash == hash_message_id(mail.message_id))).one()
        assert (known.ticket_id, known.entry_id, known.ours) == (ticket.id, entry.id, True)
        kept = unit.db.get_one(Ticket, ticket.id)
        assert kept.first_response_at is not None and kept.status == Status.OPEN
        assert {"erika@muster.example", "max@muster.example"} <= set(
            unit.db.scalars(select(Participant.address).where(Participant.ticket_id == ticket.id)))


def test_a_reply_carries_its_attachments(database: Database) -> None:
    with database.write() as unit:
        ticket, actor = _ticket(unit)
        reply_to_customer(unit, actor, ticket, text="Anbei.", attachments=[NewAttachment("anleitung.pdf", "application/pdf", b"%PDF-1.7")])
        attachment = unit.db.scalars(select(Attachment)).one()
        assert unit.db.scalars(select(OutgoingMail)).one().attachment_ids == [attachment.id]


def test_without_an_address_a_reply_is_refused_unless_one_is_given(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket, actor = _ticket(unit)
        ticket.contact_id = make_contact(unit, email=None, phone="+49221123456").id
        with pytest.raises(InvalidInput) as refused:
            reply_to_customer(unit, actor, ticket, text="Hallo")
        assert refused.value.field == "to"
        with pytest.raises(InvalidInput):
            reply_to_customer(unit, actor, ticket, text="Hallo", to="nonsense")
        with pytest.raises(InvalidInput):
            reply_to_customer(unit, actor, ticket, text="Hallo", to="support@localhost")  # our own address: a loop
        reply_to_customer(unit, actor, ticket, text="Hallo", to="neu@muster.example")
        assert unit.db.scalars(select(OutgoingMail.to_address)).all() == ["neu@muster.example"]


@pytest.mark.parametrize("text", ["", " \n ", "x" * 500_001])
def test_an_empty_or_endless_text_is_refused(sqlite_database: Database, text: str) -> None:
    with sqlite_database.write() as unit:
        ticket, actor = _ticket(unit)
        with pytest.raises(InvalidInput):
            reply_to_customer(unit, actor, ticket, text=text)
        with pytest.raises(InvalidInput):
            write_note(unit, actor, ticket, text=text)


def test_whoever_writes_second_is_shown_what_the_first_wrote(database: Database) -> None:
    with database.write() as unit:
        ticket, jana = _ticket(unit)
        tom = actor_of(make_user(unit, name="Tom Berg"))
        seen = 1
        reply_to_customer(unit, tom, ticket, text="Ich bin dran.", seen_seq=seen)
    with pytest.raises(WrittenMeanwhile) as caught, database.write() as unit:
        reply_to_customer(unit, jana, unit.db.get_one(Ticket, ticket.id), text="Ich auch.", seen_seq=seen)
    assert [entry.text for entry in caught.value.entries] == ["Ich bin dran."]
    assert "Tom Berg" in str(caught.value)
    with database.write() as unit:
        assert len(unit.db.scalars(select(OutgoingMail)).all()) == 1
        reply_to_customer(unit, jana, unit.db.get_one(Ticket, ticket.id), text="Ich auch.", seen_seq=caught.value.entries[-1].seq)
        assert len(unit.db.scalars(select(OutgoingMail)).all()) == 2


def test_ones_own_note_and_the_programs_notices_are_no_collision(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket, jana = _ticket(unit)
        write_note(unit, jana, ticket, text="Notiz")
        reply_to_customer(unit, jana, ticket, text="Hallo", seen_seq=1)


def test_a_note_stays_inside(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket, jana = _ticket(unit)
        entry = write_note(unit, jana, ticket, text="Intern")
        assert (entry.visibility, entry.kind, entry.author_name) == (Visibility.INTERNAL, EntryKind.NOTE, "Jana Roth")
        assert unit.db.scalars(select(OutgoingMail)).all() == []


def test_a_call_is_written_down_for_the_caller(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket, jana = _ticket(unit)
        contact = make_contact(unit, name="Max Muster", email=None, phone="+49221123456")
        entry = write_call(unit, jana, ticket, text="Rief an", with_whom=contact)
        assert (entry.author_name, entry.medium, entry.data["entered_by"]) == ("Max Muster", Medium.PHONE, "Jana Roth")
        assert ticket.first_response_at is None
        write_call(unit, jana, ticket, text="Zurückgerufen", with_whom=contact, incoming=False)
        assert ticket.first_response_at is not None


def test_only_who_works_on_tickets_writes(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket, _ = _ticket(unit)
        auditor = actor_of(make_user(unit, roles=(Role.AUDITOR,)))
        with pytest.raises(Forbidden):
            reply_to_customer(unit, auditor, ticket, text="x")
        with pytest.raises(Forbidden):
            write_note(unit, auditor, ticket, text="x")


@pytest.mark.parametrize(("subject", "plain"), [
    ("Re: AW: [#2026-000123-4] Drucker", "Drucker"), ("WG: Drucker", "Drucker"), ("Re[2]: x", "x"), ("Regal defekt", "Regal defekt"),
    ("Re:", "Re:"),
])
def test_answer_prefixes_and_tags_come_off(subject: str, plain: str) -> None:
    assert plain_subject(subject) == plain
