"""The outbox, its texts, its seals, automatic answers, bounces, and the hints that wake the sender."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM
from orchestrator.accounts.desk import publish_desk_facts
from orchestrator.core.clock import FixedClock, SystemClock
from orchestrator.core.db import Database
from orchestrator.core.errors import InvalidInput, Unavailable
from orchestrator.core.settings import Settings
from orchestrator.core.signals import MemorySignals
from orchestrator.customers.events import ApproverWithdrawn
from orchestrator.customers.models import ApproverRight, Contact
from orchestrator.intake.models import KnownMessage
from orchestrator.notifications import signalling
from orchestrator.notifications.automatic import RATE_OF_ADDRESS, RATES_OF_TICKET, may_answer
from orchestrator.notifications.confirmation import confirm_ticket
from orchestrator.notifications.events import MailBounced, MailFailed
from orchestrator.notifications.models import AutomaticAnswer, OutgoingMail
from orchestrator.notifications.outbox import enqueue_mail, hash_message_id
from orchestrator.notifications.sealing import KEY_FILE, SealBroken, prepare_sealing, seal, unseal
from orchestrator.notifications.texts import TEXTS, Purpose, places_of, render_text
from orchestrator.tickets.models import Entry, EntryKind
from tests.builders import make_approver, make_contact, make_organisation, make_queue, make_ticket, make_user


def test_every_purpose_speaks_german_and_english_with_the_same_places() -> None:
    for purpose in Purpose:
        assert places_of(TEXTS["de"][purpose]) == places_of(TEXTS["en"][purpose])
        assert TEXTS["de"][purpose].body != TEXTS["en"][purpose].body or purpose is Purpose.REPLY


def test_values_are_data_and_not_places() -> None:
    subject, body = render_text(Purpose.REPLY, "de", text="{desk} {link} {code}", technician="{number}", desk="Desk", number="N",
                                subject="a\nb {text}")
    assert subject == "Re: a b {text}"
    assert body.startswith("{desk} (link) (code)\n\n-- \n{number}\n")


def test_a_missing_value_is_an_error_and_an_unknown_language_german() -> None:
    with pytest.raises(KeyError):
        render_text(Purpose.TICKET_RESOLVED, "de", name="x")
    assert "Nummer" in render_text(Purpose.TICKET_CONFIRMATION, "fr", name="x", number="1", subject="s", desk="d")[1]


def test_a_ticket_mail_is_tagged_and_known_for_threading(database: Database, settings: Settings) -> None:
    with database.write() as unit:
        publish_desk_facts(unit, settings)
        ticket = make_ticket(unit, make_queue(unit))
        mail = enqueue_mail(unit, purpose="x", to_address="a@muster.example", to_name="A\r\nBcc: evil@x.example",
                            subject="Zeile\r\nBcc: b@x.example", text="a\x00b", automatic=False, language="de", ticket=ticket, in_reply_to="<last@x>",
                            references=" ".join(f"<{index}@x>" for index in range(30)))
    with database.read() as unit:
        kept = unit.db.get_one(OutgoingMail, mail.id)
        assert kept.subject == f"[#{ticket.number}] Zeile Bcc: b@x.example"
        assert "\n" not in kept.to_name and "\r" not in kept.to_name
        assert kept.text == "a\ufffdb"
        assert kept.message_id == f"<fw.{kept.id}@desk.example>"
        assert kept.references.split() == ["<0@x>", *(f"<{index}@x>" for index in range(20, 30)), "<last@x>"]
        assert unit.db.scalars(select(KnownMessage.message_hash)).all() == [hash_message_id(kept.message_id)]


@pytest.mark.parametrize("address", ["", "a", "a@b c", "a@b\r\nRCPT TO:<x@y>", "<a@b>", "a@b,c@d", "x" * 250 + "@b.example"])
def test_what_is_no_address_is_refused(sqlite_database: Database, address: str) -> None:
    with sqlite_database.write() as unit:
        for to, cc in ((address, []), ("a@muster.example", [address])):
            with pytest.raises(InvalidInput):
                enqueue_mail(unit, purpose="x", to_address=to, to_name="", subject="s", text="t", automatic=False, language="de", cc=cc)


def test_a_secret_without_a_key_or_a_place_is_refused(sqlite_database: Database, sqlite_settings: Settings) -> None:
    values = {"purpose": "x", "to_address": "a@muster.example", "to_name": "", "subject": "s", "automatic": False, "language": "de"}
    with sqlite_database.write() as unit:
        with pytest.raises(Unavailable):
            enqueue_mail(unit, text="{link}", secret_values={"link": "https://x"}, **values)
        prepare_sealing(unit, sqlite_settings.data_dir)
        with pytest.raises(ValueError, match="no place"):
            enqueue_mail(unit, text="no place", secret_values={"link": "https://x"}, **values)


def test_a_seal_opens_only_with_its_own_label_key_and_bytes(sqlite_database: Database, tmp_path: Path) -> None:
    with sqlite_database.write() as unit:
        prepare_sealing(unit, tmp_path)
        prepare_sealing(unit, tmp_path)  # a second start keeps the key
        sealed = seal(unit, {"link": "https://x/ü"}, label="one")
        again = seal(unit, {"link": "https://x/ü"}, label="one")
    assert sealed != again
    assert unseal(tmp_path, sealed, label="one") == {"link": "https://x/ü"}
    (tmp_path / "other").mkdir()
    with sqlite_database.write() as unit:
        prepare_sealing(unit, tmp_path / "other")
    broken = [sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1:] for index in range(0, len(sealed), 7)]
    for folder, box, label in [(tmp_path, sealed, "two"), (tmp_path / "other", sealed, "one"), (tmp_path / "absent", sealed, "one"),
                               *((tmp_path, box, "one") for box in [*broken, b"", sealed[:20]])]:
        with pytest.raises(SealBroken):
            unseal(folder, box, label=label)


def test_two_processes_that_start_at_once_agree_on_one_key(sqlite_database: Database, tmp_path: Path) -> None:
    from orchestrator.notifications.sealing import _load_or_make

    with ThreadPoolExecutor(8) as pool:
        keys = {key.private_bytes_raw() for key in pool.map(lambda _: _load_or_make(tmp_path / KEY_FILE), range(8))}
    assert keys == {(tmp_path / KEY_FILE).read_bytes()}
    assert os.listdir(tmp_path / "keys") == [KEY_FILE.name]


def test_the_rates_are_the_desks() -> None:
    assert {rate.minutes: rate.count for rate in RATES_OF_TICKET} == {10: 10, 30: 15, 60: 25, 180: 50, 600: 100}
    assert (RATE_OF_ADDRESS.minutes, RATE_OF_ADDRESS.count) == (24 * 60, 40)


def test_automatic_answers_stop_at_the_rate_of_the_ticket(database: Database) -> None:
    clock = FixedClock(SystemClock().now())
    database.clock = clock
    with database.write() as unit:
        ticket, other = (make_ticket(unit, make_queue(unit)) for _ in range(2))
        for _ in range(10):
            assert may_answer(unit, ticket, "Bot@x.example", unit.now) == (True, "")
        allowed, reason = may_answer(unit, ticket, "bot@x.example", unit.now)
        assert not allowed and "10 automatic answers" in reason
        assert may_answer(unit, ticket, "else@x.example", unit.now)[0]
        assert may_answer(unit, other, "bot@x.example", unit.now)[0]
        for _ in range(5):
            assert may_answer(unit, ticket, "bot@x.example", unit.now + timedelta(minutes=11))[0]
        assert "15 automatic answers" in may_answer(unit, ticket, "bot@x.example", unit.now + timedelta(minutes=11))[1]
        rows = unit.db.scalars(select(AutomaticAnswer).where(AutomaticAnswer.sent.is_(False))).all()
        assert len(rows) == 2 and all(row.reason for row in rows)


def test_automatic_answers_stop_at_forty_a_day_for_an_address(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        queue = make_queue(unit)
        for index in range(40):
            assert may_answer(unit, make_ticket(unit, queue), "bot@x.example", unit.now + timedelta(minutes=index))[0]
        ticket = make_ticket(unit, queue)
        assert "within a day" in may_answer(unit, ticket, "bot@x.example", unit.now + timedelta(hours=23))[1]
        assert may_answer(unit, ticket, "bot@x.example", unit.now + timedelta(hours=25))[0]


def test_a_confirmation_goes_out_or_says_why_not(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit), subject="Drucker")
        for _ in range(10):
            assert confirm_ticket(unit, ticket, to_address="erika@muster.example", to_name="Erika", in_reply_to="<a@b>") is not None
        assert confirm_ticket(unit, ticket, to_address="erika@muster.example", to_name="Erika") is None
        mail = unit.db.scalars(select(OutgoingMail)).first()
        assert mail is not None and mail.automatic and ticket.number in mail.text
        assert mail.subject == f"[#{ticket.number}] Ihre Anfrage: Drucker"
        codes = [entry.data["code"] for entry in unit.db.scalars(select(Entry).where(Entry.kind == EntryKind.NOTICE).order_by(Entry.seq))]
        assert codes == ["confirmation_sent"] * 10 + ["confirmation_suppressed"]


@pytest.mark.parametrize("permanent", [True, False])
def test_a_permanent_bounce_suspends_the_right_to_approve(sqlite_database: Database, permanent: bool) -> None:
    signalling.register(sqlite_database.events, MemorySignals())
    withdrawn: list[ApproverWithdrawn] = []
    sqlite_database.events.after_commit(ApproverWithdrawn, withdrawn.append)
    with sqlite_database.write() as unit:
        contact = make_contact(unit, make_organisation(unit), email="erika@muster.example")
        right = make_approver(unit, contact, make_user(unit))
        ticket = make_ticket(unit, make_queue(unit), contact=contact)
        mail = enqueue_mail(unit, purpose="consent.request", to_address="erika@muster.example", to_name="", subject="s", text="t",
                            automatic=False, language="de", ticket=ticket)
    with sqlite_database.write() as unit:
        unit.emit(MailBounced(mail.id, permanent))
    with sqlite_database.read() as unit:
        assert (unit.db.get_one(ApproverRight, right.id).suspended_at is not None) is permanent
        assert (unit.db.get_one(Contact, contact.id).email_bounced_at is not None) is permanent
        assert [entry.data["code"] for entry in unit.db.scalars(select(Entry).where(Entry.kind == EntryKind.NOTICE))] == ["mail_bounced"]
    assert [one.right_ids for one in withdrawn] == ([(right.id,)] if permanent else [])


@pytest.mark.parametrize("refused", [True, False])
def test_an_address_refused_for_good_is_as_good_as_bounced(sqlite_database: Database, refused: bool) -> None:
    signalling.register(sqlite_database.events, MemorySignals())
    with sqlite_database.write() as unit:
        contact = make_contact(unit, make_organisation(unit), email="erika@muster.example")
        mail = enqueue_mail(unit, purpose="x", to_address="erika@muster.example", to_name="", subject="s", text="t", automatic=False,
                            language="de")
        unit.emit(MailFailed(mail.id, "x", None, None, refused))
    with sqlite_database.read() as unit:
        assert (unit.db.get_one(Contact, contact.id).email_bounced_at is not None) is refused


def test_a_committed_mail_wakes_the_sender_and_a_rolled_back_one_does_not(sqlite_database: Database) -> None:
    signals = MemorySignals()
    signalling.register(sqlite_database.events, signals)

    def enqueue(fail: bool) -> None:
        with sqlite_database.write() as unit:
            enqueue_mail(unit, purpose="x", to_address="a@muster.example", to_name="", subject="s", text="t", automatic=False,
                         language="de")
            if fail:
                raise InvalidInput("no")

    async def listen() -> tuple[list[str], list[str]]:
        with signals.subscribe(["jobs"]) as hints:
            with pytest.raises(InvalidInput):
                await asyncio.to_thread(enqueue, True)
            before = await hints.wait(0.05)
            await asyncio.to_thread(enqueue, False)
            return before, await hints.wait(5)

    assert asyncio.run(listen()) == ([], ["jobs"])


def test_the_program_acts_as_itself(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
        confirm_ticket(unit, ticket, to_address="a@muster.example", to_name="A")
        entry = unit.db.scalars(select(Entry).where(Entry.kind == EntryKind.NOTICE)).one()
        assert (entry.author_kind, entry.author_name) == (str(SYSTEM.kind), "Fernwart")
