"""From raw bytes to tickets on real databases: once each, never lost, never in a loop, nothing secret stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import func, inspect, select, text

from orchestrator.accounts.desk import publish_desk_facts
from orchestrator.core.db import Base, Database, WriteUnit
from orchestrator.core.errors import Unavailable
from orchestrator.core.ids import new_secret
from orchestrator.core.settings import Settings
from orchestrator.core.signals import MemorySignals
from orchestrator.customers.models import Contact
from orchestrator.intake import understand
from orchestrator.intake.events import OwnLinksSeen
from orchestrator.intake.models import RawInput
from orchestrator.intake.queries import InputCounts, count_inputs
from orchestrator.intake.raw import read_raw, store_raw
from orchestrator.intake.receive import arrive, receive_mail, recover_waiting
from orchestrator.intake.understand import IntakeResult, Outcome
from orchestrator.notifications import signalling
from orchestrator.notifications.models import AutomaticAnswer, OutgoingMail
from orchestrator.tickets.models import Attachment, Entry, EntryKind, Participant, Queue, Status, Ticket, TicketLink, Visibility
from tests.builders import make_contact, make_organisation, make_queue, make_ticket, make_user
from tests.intake.mail import samples

SUPPORT = "support@desk.example"


@pytest.fixture
def desk(database: Database, settings: Settings) -> Database:
    """An empty desk with one queue and one customer."""
    signalling.register(database.events, MemorySignals())
    with database.write() as unit:
        publish_desk_facts(unit, settings)
        make_queue(unit, name="Support", address=SUPPORT)
        organisation = make_organisation(unit, name="Beispiel GmbH", domain="example.de")
        make_contact(unit, organisation, name="Erika Beispiel", email="erika@example.de")
    return database


def take(desk: Database, settings: Settings, raw: bytes, *, sender: str | None = "erika@example.de", verified: str = "none") -> IntakeResult:
    return receive_mail(desk, settings, raw, door="test", envelope_from=sender, envelope_to=[SUPPORT], sender_verified=verified)


def mail(text: str = "Der Drucker geht nicht und wir können nicht arbeiten.", **options: str) -> bytes:
    return samples.simple(text, **{"to": SUPPORT, **options})  # type: ignore[arg-type]  # only names that the sample knows


def count(desk: Database, table: type[Base]) -> int:
    with desk.read() as unit:
        return unit.db.scalar(select(func.count()).select_from(table)) or 0


def ticket_of(unit: WriteUnit, result: IntakeResult) -> Ticket:
    return unit.db.scalars(select(Ticket).where(Ticket.number == result.ticket_number)).one()


def outbox(desk: Database) -> list[OutgoingMail]:
    with desk.read() as unit:
        return list(unit.db.scalars(select(OutgoingMail).order_by(OutgoingMail.created_at)))


def test_mail_of_a_known_contact_becomes_a_ticket_with_a_confirmation(desk: Database, settings: Settings) -> None:
    result = take(desk, settings, mail(subject="Drucker kaputt"))
    assert result.outcome is Outcome.CREATED
    with desk.write() as unit:
        ticket = ticket_of(unit, result)
        assert (ticket.subject, ticket.language, ticket.status) == ("Drucker kaputt", "de", Status.NEW)
        contact = unit.db.get_one(Contact, ticket.contact_id)
        assert contact.email == "erika@example.de"
        assert ticket.organisation_id == contact.organisation_id
        entry = unit.db.get_one(Entry, result.entry_id)
        assert entry.text == "Der Drucker geht nicht und wir können nicht arbeiten."
        assert (entry.author_name, entry.data["message_id"]) == ("Erika Beispiel", "1@example.de")
    (confirmation,) = outbox(desk)
    assert confirmation.to_address == "erika@example.de"
    assert f"[#{result.ticket_number}]" in confirmation.subject
    assert confirmation.automatic
    assert confirmation.in_reply_to == "<1@example.de>"


def test_same_mail_again_changes_nothing(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    before = {table: count(desk, table) for table in (Ticket, Entry, OutgoingMail, RawInput, Contact)}
    again = take(desk, settings, mail())
    assert again.outcome is Outcome.DUPLICATE
    assert (again.ticket_number, again.entry_id) == (first.ticket_number, first.entry_id)
    assert {table: count(desk, table) for table in before} == before


def test_twenty_parallel_copies_make_one_entry(desk: Database, settings: Settings) -> None:
    raw = mail(sender="Neu <neu@example.de>")
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda _: take(desk, settings, raw, sender="neu@example.de"), range(20)))
    assert sorted(str(result.outcome) for result in results) == ["created"] + ["duplicate"] * 19
    assert len({result.entry_id for result in results}) == 1
    assert (count(desk, Ticket), count(desk, RawInput), len(outbox(desk))) == (1, 1, 1)


def test_many_first_mails_of_one_new_sender_make_one_contact(desk: Database, settings: Settings) -> None:
    raws = [mail(f"Mail {number}", sender="Neu <neu@anders.example>", message_id=f"<{number}@anders.example>") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda raw: take(desk, settings, raw, sender="neu@anders.example"), raws))
    assert all(result.outcome is Outcome.CREATED for result in results)
    assert count(desk, Contact) == 2


def test_same_message_id_with_another_body_is_kept(desk: Database, settings: Settings) -> None:
    take(desk, settings, mail("Der erste Text."))
    second = take(desk, settings, mail("Ein anderer Text."))
    assert second.outcome is Outcome.CREATED
    assert count(desk, Entry) >= 2


def test_reply_lands_in_the_same_ticket(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    reply = take(desk, settings, mail("Es ist der im Flur.", subject=f"AW: [#{first.ticket_number}] Drucker", message_id="<2@example.de>"))
    assert (reply.outcome, reply.ticket_number) == (Outcome.APPENDED, first.ticket_number)
    assert len(outbox(desk)) == 1


def test_reply_without_a_number_is_found_by_our_message_id(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    ours = outbox(desk)[0].message_id
    reply = take(desk, settings, mail("Nachtrag", subject="Nachtrag", message_id="<2@example.de>", extra=f"In-Reply-To: {ours}\n"))
    assert reply.ticket_number == first.ticket_number
    by_own_thread = take(desk, settings, mail("Noch einer", subject="x", message_id="<3@example.de>", extra="References: <1@example.de>\n"))
    assert by_own_thread.ticket_number == first.ticket_number


def test_plus_address_leads_to_the_ticket(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    raw = mail("Hallo", subject="Frage", message_id="<9@example.de>", to=f"support+{first.ticket_number}@desk.example")
    assert take(desk, settings, raw).ticket_number == first.ticket_number


def test_stranger_with_the_right_number_gets_a_new_linked_flagged_ticket(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    raw = mail(
        "Bitte senden Sie mir alles.",
        subject=f"Re: [#{first.ticket_number}] Akte",
        sender="fremd@boese.example",
        message_id="<x@boese.example>",
    )
    result = take(desk, settings, raw, sender="fremd@boese.example")
    assert result.outcome is Outcome.CREATED
    assert result.ticket_number != first.ticket_number
    with desk.write() as unit:
        old, new = ticket_of(unit, first), ticket_of(unit, result)
        link = unit.db.scalars(select(TicketLink)).one()
        assert (link.ticket_id, link.other_id) == (new.id, old.id)
        assert "stranger" in new.tags
        assert new.organisation_id is None
        assert "fremd@boese.example" not in unit.db.scalars(select(Participant.address).where(Participant.ticket_id == old.id)).all()
        notices = unit.db.scalars(select(Entry.data).where(Entry.ticket_id == new.id, Entry.kind == EntryKind.NOTICE)).all()
        assert "written_by_stranger" in {notice["code"] for notice in notices}
        row = unit.db.scalars(select(RawInput).where(RawInput.ticket_id == new.id)).one()
        assert (row.decision["action"], row.decision["reason"]) == ("open_linked", "stranger")
    assert all("alles" not in sent.text and first.ticket_number not in sent.text for sent in outbox(desk)[1:])


def test_colleague_of_the_organisation_may_follow_up(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    raw = mail("Ich übernehme.", subject=f"Re: [#{first.ticket_number}]", sender="Neu <kollege@example.de>", message_id="<c@example.de>")
    assert take(desk, settings, raw, sender="kollege@example.de").ticket_number == first.ticket_number


def test_unknown_sender_becomes_a_contact_of_the_organisation_by_domain_but_not_for_free_mail(desk: Database, settings: Settings) -> None:
    take(desk, settings, mail(sender="Karl Neu <karl@buero.example.de>", message_id="<k@example.de>"), sender="karl@buero.example.de")
    take(desk, settings, mail(sender="Privat <privat@gmx.de>", message_id="<p@gmx.de>"), sender="privat@gmx.de")
    with desk.read() as unit:
        karl = unit.db.scalars(select(Contact).where(Contact.email == "karl@buero.example.de")).one()
        private = unit.db.scalars(select(Contact).where(Contact.email == "privat@gmx.de")).one()
        assert karl.organisation_id is not None
        assert private.organisation_id is None


def test_first_mail_is_confirmed_to_the_envelope_never_to_reply_to_or_cc(desk: Database, settings: Settings) -> None:
    extra = "Reply-To: opfer@victim.example\nCc: opfer@victim.example\n"
    take(desk, settings, mail(sender="neu@anders.example", extra=extra), sender="envelope@anders.example")
    assert [sent.to_address for sent in outbox(desk)] == ["envelope@anders.example"]
    take(desk, settings, mail(message_id="<2@example.de>", extra=extra), sender="envelope@anders.example")
    assert outbox(desk)[-1].to_address == "erika@example.de"
    assert all(sent.cc == [] for sent in outbox(desk))


def test_queue_is_chosen_by_the_address(desk: Database, settings: Settings) -> None:
    with desk.write() as unit:
        fax = make_queue(unit, name="Fax", address="fax@desk.example")
    result = receive_mail(desk, settings, mail(), door="test", envelope_from="erika@example.de", envelope_to=["fax@desk.example"])
    with desk.write() as unit:
        assert ticket_of(unit, result).queue_id == fax.id


def test_desk_without_a_queue_gets_one_with_its_first_mail(database: Database, settings: Settings) -> None:
    assert take(database, settings, mail()).outcome is Outcome.CREATED
    assert count(database, Queue) == 1


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (mail(extra="Auto-Submitted: auto-generated\n"), "auto_submitted"),
        (mail(extra="List-Id: <x.example.de>\n"), "list_mail"),
        (mail(sender="noreply@example.de"), "daemon"),
        (mail(sender="Support <support@desk.example>"), "own_address"),
        (mail(extra="X-Auto-Response-Suppress: All\n"), "response_suppressed"),
    ],
)
def test_suppressed_confirmation_is_shown_on_the_ticket_with_its_reason(desk: Database, settings: Settings, raw: bytes, why: str) -> None:
    result = take(desk, settings, raw)
    assert result.outcome is Outcome.CREATED
    assert outbox(desk) == []
    with desk.write() as unit:
        ticket = ticket_of(unit, result)
        notice = unit.db.scalars(select(Entry).where(Entry.ticket_id == ticket.id, Entry.kind == EntryKind.NOTICE)).one()
        assert notice.data["code"] == "confirmation_suppressed"
        assert notice.data["values"]["why"] == why
        assert unit.db.scalars(select(AutomaticAnswer)).one().sent is False


def test_mail_with_the_null_return_path_is_never_answered(desk: Database, settings: Settings) -> None:
    take(desk, settings, mail(), sender="")
    assert outbox(desk) == []


def test_failed_sender_opens_a_ticket_but_gets_no_answer_and_enters_none(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    forged = take(desk, settings, mail("x", subject=f"[#{first.ticket_number}]", message_id="<f@example.de>"), verified="fail")
    assert forged.ticket_number != first.ticket_number
    assert len(outbox(desk)) == 1


def test_closed_ticket_is_reopened_and_a_waiting_one_wakes(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    for status in (Status.CLOSED, Status.RESOLVED, Status.WAITING_CUSTOMER):
        with desk.write() as unit:
            ticket = ticket_of(unit, first)
            ticket.status = status
            ticket.closed_at = unit.now - timedelta(days=1) if status is Status.CLOSED else None
        raw = mail(f"Es geht noch immer nicht ({status}).", subject=f"[#{first.ticket_number}]", message_id=f"<{status}@example.de>")
        assert take(desk, settings, raw).outcome is Outcome.APPENDED
        with desk.write() as unit:
            assert ticket_of(unit, first).status == Status.OPEN


def test_long_closed_ticket_gets_a_linked_successor_without_a_flag(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    with desk.write() as unit:
        ticket = ticket_of(unit, first)
        ticket.status, ticket.closed_at = Status.CLOSED, unit.now - timedelta(days=60)
    later = take(desk, settings, mail("Schon wieder!", subject=f"[#{first.ticket_number}]", message_id="<l@example.de>"))
    assert later.outcome is Outcome.CREATED
    with desk.write() as unit:
        assert ticket_of(unit, first).status == Status.CLOSED
        assert "stranger" not in ticket_of(unit, later).tags
        assert unit.db.scalars(select(TicketLink)).one().relation == "related"


def test_thank_you_does_not_reopen(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    with desk.write() as unit:
        ticket_of(unit, first).status = Status.RESOLVED
    take(desk, settings, mail("Super, vielen Dank!", subject=f"[#{first.ticket_number}]", message_id="<d@example.de>"))
    with desk.write() as unit:
        assert ticket_of(unit, first).status == Status.RESOLVED


def test_mail_of_a_technician_is_an_internal_entry_and_makes_no_contact(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    with desk.write() as unit:
        make_user(unit, name="Jana Roth", email="jana@desk.example")
    contacts = count(desk, Contact)
    raw = mail("Ich fahre hin.", subject=f"[#{first.ticket_number}]", sender="jana@desk.example", message_id="<j@desk.example>")
    result = take(desk, settings, raw, sender="jana@desk.example")
    assert result.ticket_number == first.ticket_number
    assert count(desk, Contact) == contacts
    with desk.read() as unit:
        assert unit.db.get_one(Entry, result.entry_id).visibility == Visibility.INTERNAL


def test_bounce_of_our_mail_is_attached_and_the_address_is_distrusted(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    ours = outbox(desk)[0].message_id.strip("<>")
    result = take(desk, settings, samples.bounce_report(original_id=ours), sender="")
    assert (result.outcome, result.ticket_number) == (Outcome.APPENDED, first.ticket_number)
    with desk.read() as unit:
        contact = unit.db.scalars(select(Contact).where(Contact.email == "erika@example.de")).one()
        assert contact.email_bounced_at is not None
        entry = unit.db.get_one(Entry, result.entry_id)
        assert entry.visibility == Visibility.INTERNAL
        assert entry.data["bounce"]["class"] == "permanent"
    assert len(outbox(desk)) == 1


def test_temporary_bounce_distrusts_nobody(desk: Database, settings: Settings) -> None:
    take(desk, settings, mail())
    ours = outbox(desk)[0].message_id.strip("<>")
    take(desk, settings, samples.bounce_report(original_id=ours, status="4.2.2", action="delayed"), sender="")
    with desk.read() as unit:
        assert unit.db.scalars(select(Contact.email_bounced_at).where(Contact.email == "erika@example.de")).one() is None


def test_forged_bounce_with_only_a_number_distrusts_nobody(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    raw = samples.bounce_report(original_id="made.up@desk.example").replace(b"2026-000123-4", str(first.ticket_number).encode())
    result = take(desk, settings, raw, sender="")
    assert result.ticket_number == first.ticket_number
    with desk.read() as unit:
        assert unit.db.scalars(select(Contact.email_bounced_at).where(Contact.email == "erika@example.de")).one() is None


def test_bounce_of_a_mail_that_is_not_ours_becomes_a_ticket_without_an_answer(desk: Database, settings: Settings) -> None:
    result = take(desk, settings, samples.bounce_report(), sender="")
    assert result.outcome is Outcome.CREATED
    assert outbox(desk) == []


def test_own_secret_links_are_masked_everywhere_and_told_for_burning(desk: Database, settings: Settings) -> None:
    token = new_secret()
    seen: list[OwnLinksSeen] = []
    desk.events.inside(OwnLinksSeen, lambda _unit, event: seen.append(event))
    quoted = f"Ja, machen Sie!\n\n> Bitte hier entscheiden:\n> {settings.public_url}/consent/{token}\n"
    take(desk, settings, mail(quoted))
    assert [event.token_hashes for event in seen] == [(hashlib.sha256(token.encode()).hexdigest(),)]
    take(desk, settings, mail(quoted))
    assert len(seen) == 1
    for table in inspect(desk.write_engine).get_table_names():
        with desk.read() as unit:
            for row in unit.db.execute(text(f'select * from "{table}"')):
                assert token not in " ".join(str(value) for value in row)
    with desk.read() as unit:
        stored = unit.db.scalars(select(RawInput)).one()
        assert token.encode() not in read_raw(stored)
        assert stored.key == hashlib.sha256(mail(quoted)).hexdigest()


def test_every_odd_mail_becomes_a_ticket(desk: Database, settings: Settings) -> None:
    raws = [
        b"", b"\0\0\0", b"\xff" * 100, samples.fax_gateway(), samples.phone_system(), samples.winmail(), samples.t_online(), samples.invitation(),
        samples.many_parts(1500), samples.deep(100), b"From: \xff\xfe <\xff@\xff>\r\nSubject: \xff\r\n\r\n\xff",
        b"From: a@b\r\nSubject: " + b"x" * 5000 + b"\r\nMessage-ID: <" + b"i" * 5000 + b"@x>\r\n\r\n\xed\xa0\x80",
        b"Content-Type: text/html\r\nFrom: \"'\"; drop table tickets; <a'b@b.de>\r\n\r\n<script>alert(1)</script>Hallo",
    ]  # fmt: skip
    for raw in raws:
        result = take(desk, settings, raw, sender="x@anders.example")
        assert result.outcome is Outcome.CREATED, raw[:60]
    assert count(desk, Ticket) == len(raws)
    with desk.read() as unit:
        assert set(unit.db.scalars(select(RawInput.state))) == {"understood"}


def test_mail_of_a_thousand_files_keeps_two_hundred_apart_and_the_rest_in_the_raw_mail(desk: Database, settings: Settings) -> None:
    part = b"--x\r\nContent-Type: application/pdf; name=datei.pdf\r\n\r\n%PDF\r\n"
    result = take(desk, settings, b"From: erika@example.de\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" + part * 900 + b"--x--\r\n")
    with desk.read() as unit:
        assert unit.db.scalar(select(func.count()).select_from(Attachment).where(Attachment.entry_id == result.entry_id)) == 200
        assert len(unit.db.get_one(Entry, result.entry_id).data["left_in_raw_mail"]) == 50
        assert read_raw(unit.db.scalars(select(RawInput)).one()).count(b"%PDF") == 900


def test_inputs_that_wait_or_failed_are_counted_for_the_health_page(desk: Database, settings: Settings) -> None:
    with desk.write() as unit:
        store_raw(unit, arrive(mail(), settings, door="test", envelope_from=None))
        unit.db.scalars(select(RawInput)).one().received_at = unit.now - timedelta(hours=1)
    with desk.read() as unit:
        counts = count_inputs(unit)
    assert (counts.waiting, counts.failed) == (1, 0)
    recover_waiting(desk)
    with desk.read() as unit:
        assert count_inputs(unit) == InputCounts(waiting=0, failed=0)


def test_attachments_and_inline_pictures_are_stored(desk: Database, settings: Settings) -> None:
    result = take(desk, settings, samples.german_outlook())
    with desk.read() as unit:
        picture = unit.db.scalars(select(Attachment).where(Attachment.entry_id == result.entry_id)).one()
        assert (picture.name, picture.media_type, picture.content_id) == ("image001.png", "image/png", "image001.png@01DC9400.12345670")
        entry = unit.db.get_one(Entry, result.entry_id)
        assert entry.text == "Guten Tag,\n\nder Drucker geht immer noch nicht."
        assert "Bitte starten Sie den Drucker neu." in entry.folded


def test_mail_that_cannot_be_understood_is_still_a_ticket_with_the_raw_mail(
    desk: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault in the middle")

    monkeypatch.setattr(understand, "decide_follow_up", fail)
    result = take(desk, settings, mail())
    assert result.outcome is Outcome.CREATED
    with desk.read() as unit:
        row = unit.db.scalars(select(RawInput)).one()
        assert row.state == "failed"
        assert unit.db.scalars(select(Attachment.name).where(Attachment.entry_id == result.entry_id)).one() == "message.eml"
    assert take(desk, settings, mail()).outcome is Outcome.DUPLICATE


def test_crash_between_storing_and_understanding_loses_nothing(desk: Database, settings: Settings) -> None:
    """The first transaction is committed, the program ends; the next start understands what waits, and the sender's
    next attempt is a duplicate."""
    with desk.write() as unit:
        store_raw(unit, arrive(mail(), settings, door="test", envelope_from="erika@example.de", envelope_to=[SUPPORT]))
    assert count(desk, Ticket) == 0
    assert recover_waiting(desk) == 1
    assert recover_waiting(desk) == 0
    assert count(desk, Ticket) == 1
    assert take(desk, settings, mail()).outcome is Outcome.DUPLICATE
    assert [sent.to_address for sent in outbox(desk)] == ["erika@example.de"]


def test_database_that_is_away_is_told_to_the_door(tmp_path: Path, settings: Settings) -> None:
    away = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    try:
        with pytest.raises(Unavailable):
            take(away, settings, mail())
    finally:
        away.dispose()


class Instance:
    """One whole desk that sends its outbox to the other by value, as two mail servers would."""

    def __init__(self, database: Database, settings: Settings, address: str) -> None:
        self.database, self.settings, self.address = database, settings, address
        self.sent = 0

    def deliver(self) -> Iterator[bytes]:
        for row in outbox(self.database)[self.sent :]:
            self.sent += 1
            message = EmailMessage()
            message["From"], message["To"], message["Subject"], message["Message-ID"] = (
                self.address,
                row.to_address,
                row.subject,
                row.message_id,
            )
            if row.automatic:
                message["Auto-Submitted"] = "auto-replied"
            message.set_content(row.text)
            yield message.as_bytes()


def test_two_desks_that_answer_each_other_stop(desk: Database, settings: Settings, tmp_path: Path, sqlite_template: Path) -> None:
    import shutil

    shutil.copyfile(sqlite_template / "fernwart.sqlite", tmp_path / "other.sqlite")
    there_settings = settings.model_copy(update={"mail_from": "Other <help@other.example>", "mail_addresses": ""})
    there = Database(f"sqlite:///{tmp_path / 'other.sqlite'}")
    try:
        with there.write() as unit:
            publish_desk_facts(unit, there_settings)
            make_queue(unit, name="Help", address="help@other.example")
        here_side = Instance(desk, settings, SUPPORT)
        there_side = Instance(there, there_settings, "help@other.example")
        receive_mail(desk, settings, mail(sender="help@other.example"), door="test", envelope_from="help@other.example", envelope_to=[SUPPORT])
        exchanged = 0
        for _round in range(10):
            for source, target in ((here_side, there_side), (there_side, here_side)):
                for raw in source.deliver():
                    exchanged += 1
                    receive_mail(target.database, target.settings, raw, door="test", envelope_from=source.address, envelope_to=[target.address])
        assert exchanged <= 2
    finally:
        there.dispose()


def test_answering_machine_without_any_mark_is_stopped_by_the_rates(sqlite_database: Database, sqlite_settings: Settings) -> None:
    """A program that answers every confirmation with a new subject and no header that says so."""
    with sqlite_database.write() as unit:
        publish_desk_facts(unit, sqlite_settings)
        make_queue(unit, name="Support", address=SUPPORT)
    for number in range(60):
        raw = mail(f"Bin im Urlaub ({number})", subject=f"Urlaub {number}", sender="bot@anders.example", message_id=f"<{number}@anders.example>")
        assert take(sqlite_database, sqlite_settings, raw, sender="bot@anders.example").outcome is Outcome.CREATED
    assert len(outbox(sqlite_database)) == 40


def test_own_mail_that_comes_back_is_ignored(desk: Database, settings: Settings) -> None:
    first = take(desk, settings, mail())
    ours = outbox(desk)[0]
    raw = mail("Ihre Nummer …", subject=ours.subject, sender=f"Fernwart <{SUPPORT}>", message_id=ours.message_id)
    result = take(desk, settings, raw, sender="")
    assert (result.outcome, result.ticket_number) == (Outcome.IGNORED, first.ticket_number)
    assert len(outbox(desk)) == 1


def test_numbers_of_other_tickets_in_the_body_lead_nowhere(desk: Database, settings: Settings) -> None:
    with desk.write() as unit:
        other = make_ticket(unit, unit.db.scalars(select(Queue)).one(), number="2026-000777-7")
    result = take(desk, settings, mail(f"Wie bei [#{other.number}] ist der Drucker aus."))
    assert result.outcome is Outcome.CREATED
    assert result.ticket_number != other.number
