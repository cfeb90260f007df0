"""Delivery to a real SMTP server: what leaves, what is tried again, what is given up, and what survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from orchestrator.accounts.actor import SYSTEM
from orchestrator.core.clock import FixedClock, SystemClock
from orchestrator.core.db import Database
from orchestrator.core.jobs import LEASE
from orchestrator.core.settings import Settings
from orchestrator.notifications.events import MailFailed, MailSent
from orchestrator.notifications.models import OutgoingMail
from orchestrator.notifications.outbox import enqueue_mail
from orchestrator.notifications.sender import MAX_ATTEMPTS, MailDelivery, count_waiting, wait_before
from orchestrator.notifications.smtp import DeliveryError
from orchestrator.tickets.blobs import NewAttachment
from orchestrator.tickets.models import Entry, EntryKind
from orchestrator.tickets.reply import reply_to_customer
from tests.builders import make_contact, make_queue, make_ticket
from tests.orchestrator.notifications.conftest import Certificates, MailServer, login_server, make_certificates, prepare


def _enqueue(database: Database, *, automatic: bool = False, secret: str = "", cc: Sequence[str] = (),
             not_after: datetime | None = None) -> str:
    with database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
        mail = enqueue_mail(unit, purpose="test", to_address="erika@muster.example", to_name="Érika Beispiel", subject="Prüfung äöü", cc=cc,
                            text="Guten Tag,\n\n" + ("{link}\n" if secret else "hier ist nichts.\n"), automatic=automatic, ticket=ticket,
                            language="de", secret_values={"link": secret} if secret else None, not_after=not_after)
        return mail.id


def _run(database: Database, delivery: MailDelivery) -> list[str]:
    with database.write() as unit:
        ids = list(delivery.claim(unit, lease_until=unit.now + LEASE, limit=10))
    for mail_id in ids:
        delivery.perform(mail_id)
    return ids


def _mail(database: Database, mail_id: str) -> OutgoingMail:
    with database.read() as unit:
        return unit.db.get_one(OutgoingMail, mail_id)


def _notices(database: Database) -> list[str]:
    with database.read() as unit:
        return [entry.data["code"] for entry in unit.db.scalars(select(Entry).where(Entry.kind == EntryKind.NOTICE))]


def test_a_mail_leaves_with_its_headers_and_is_sent_once(database: Database, ready: Settings, mail_server: MailServer) -> None:
    sent: list[MailSent] = []
    database.events.after_commit(MailSent, sent.append)
    mail_id = _enqueue(database)
    delivery = MailDelivery(database, ready)
    assert _run(database, delivery) == [mail_id]
    assert _run(database, delivery) == []
    delivery.perform(mail_id)
    mail = _mail(database, mail_id)
    assert (mail.state, mail.attempts, mail.lease_until) == ("sent", 1, None)
    taken = mail_server.taken[0]
    assert len(mail_server.taken) == 1
    assert (taken.return_path, taken.recipients) == ("support@desk.example", ["erika@muster.example"])
    message = taken.message
    assert message["Message-ID"] == mail.message_id and mail.message_id.endswith("@desk.example>")
    assert message["From"] == "Fernwart <support@desk.example>"
    assert message["To"] == "Érika Beispiel <erika@muster.example>"
    assert message["Subject"] == mail.subject and mail.subject.endswith("Prüfung äöü")
    assert message["Date"].datetime == mail.created_at.replace(microsecond=0)
    assert message["Auto-Submitted"] is None and message["List-Unsubscribe"] is None
    assert (message.get_content_type(), message.get_content_charset(), message["Content-Type"].params["format"]) == ("text/plain", "utf-8", "flowed")
    assert [happened.outgoing_mail_id for happened in sent] == [mail_id]


def test_an_automatic_mail_says_so_and_has_no_return_path(database: Database, ready: Settings, mail_server: MailServer) -> None:
    _enqueue(database, automatic=True)
    _run(database, MailDelivery(database, ready))
    taken = mail_server.taken[0]
    assert taken.return_path == "" or taken.return_path == "<>"
    assert taken.message["Auto-Submitted"] == "auto-generated"
    assert taken.message["X-Auto-Response-Suppress"] == "All"


def test_a_reply_arrives_with_thread_copies_and_files(database: Database, ready: Settings, mail_server: MailServer) -> None:
    with database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit), contact=make_contact(unit, email="erika@muster.example"))
        files = [NewAttachment("Prüfbericht.pdf", "application/pdf", b"%PDF-1.7\n" + bytes(range(256)) * 40),
                 NewAttachment("alt.eml", "message/rfc822", b"From: a@b.example\r\n\r\nx")]
        reply_to_customer(unit, SYSTEM, ticket, text="Anbei der Bericht. " * 20, cc=["max@muster.example"], attachments=files)
    _run(database, MailDelivery(database, ready))
    taken = mail_server.taken[0]
    assert taken.recipients == ["erika@muster.example", "max@muster.example"]
    received = {part.get_filename(): part.get_payload(decode=True) for part in taken.message.iter_attachments()}
    assert received == {file.name: file.data for file in files}
    body = taken.message.get_body()
    assert body is not None and max(len(line) for line in body.get_content().splitlines()) <= 78


def test_the_secret_is_in_the_mail_and_afterwards_nowhere_in_the_database(sqlite_database: Database, sqlite_settings: Settings,
                                                                          mail_server: MailServer) -> None:
    settings = prepare(sqlite_database, sqlite_settings, mail_server)
    token = "https://desk.example/consent/kX9-very-secret-token"
    mail_id = _enqueue(sqlite_database, secret=token)
    assert _mail(sqlite_database, mail_id).sealed is not None
    file = sqlite_settings.data_dir / "fernwart.sqlite"
    _run(sqlite_database, MailDelivery(sqlite_database, settings))
    assert token in mail_server.taken[0].content.decode()
    mail = _mail(sqlite_database, mail_id)
    assert (mail.state, mail.sealed) == ("sent", None)
    assert "{link}" in mail.text
    sqlite_database.dispose()
    for path in (file, file.with_name(file.name + "-wal")):
        assert not path.exists() or b"very-secret" not in path.read_bytes()


def test_a_stored_secret_cannot_be_read_without_the_data_folder(database: Database, ready: Settings, mail_server: MailServer) -> None:
    mail_id = _enqueue(database, secret="https://desk.example/consent/kX9-very-secret-token")
    with database.read() as unit:
        row = unit.db.execute(text("select * from outgoing_mails")).one()
    assert "very-secret" not in repr(tuple(row))
    key = ready.data_dir / "keys" / "mail-sealing.key"
    assert key.stat().st_mode & 0o077 == 0
    key.unlink()
    _run(database, MailDelivery(database, ready))
    mail = _mail(database, mail_id)
    assert (mail.state, mail.sealed, mail_server.taken) == ("failed", None, [])


@pytest.mark.parametrize(("stage", "answer"), [
    ("banner", "421 too busy"), ("banner", "554 no service"), ("EHLO", "421 later"), ("MAIL", "451 greylisted"), ("RCPT", "450 greylisted"),
    ("354", "451 no room"), ("DATA", "452 no room"),
])
def test_what_may_pass_is_tried_again_later(sqlite_database: Database, sqlite_settings: Settings, mail_server: MailServer, stage: str,
                                            answer: str) -> None:
    settings = prepare(sqlite_database, sqlite_settings, mail_server)
    clock = FixedClock(SystemClock().now())
    sqlite_database.clock = clock
    mail_id = _enqueue(sqlite_database)
    mail_server.script.answers[stage] = answer
    delivery = MailDelivery(sqlite_database, settings)
    _run(sqlite_database, delivery)
    mail = _mail(sqlite_database, mail_id)
    assert (mail.state, mail.attempts, mail.lease_until) == ("due", 1, None)
    assert mail.last_error
    assert clock.moment + timedelta(seconds=15) <= mail.due_at <= clock.moment + timedelta(seconds=30)
    assert _run(sqlite_database, delivery) == []
    first_id, mail_server.script.answers = mail.message_id, {}
    clock.moment = mail.due_at
    assert _run(sqlite_database, delivery) == [mail_id]
    assert [one.message["Message-ID"] for one in mail_server.taken] == [first_id]
    assert _notices(sqlite_database) == []


@pytest.mark.parametrize(("stage", "answer", "refused"), [
    ("MAIL", "550 not you", False), ("RCPT", "550 5.1.1 no such user", True), ("354", "554 no", False), ("DATA", "554 spam", False),
])
def test_what_is_refused_for_good_shows_on_the_ticket(sqlite_database: Database, sqlite_settings: Settings, mail_server: MailServer,
                                                      stage: str, answer: str, refused: bool) -> None:
    settings = prepare(sqlite_database, sqlite_settings, mail_server)
    failed: list[MailFailed] = []
    sqlite_database.events.after_commit(MailFailed, failed.append)
    mail_id = _enqueue(sqlite_database, secret="https://x/secret")
    mail_server.script.answers[stage] = answer
    _run(sqlite_database, MailDelivery(sqlite_database, settings))
    mail = _mail(sqlite_database, mail_id)
    assert (mail.state, mail.sealed) == ("failed", None)
    assert [(one.outgoing_mail_id, one.address_refused) for one in failed] == [(mail_id, refused)]
    with sqlite_database.read() as unit:
        notice = unit.db.scalars(select(Entry).where(Entry.kind == EntryKind.NOTICE)).one()
        assert notice.data["code"] == "mail_failed" and answer in notice.text and "erika@muster.example" in notice.text


@pytest.mark.parametrize("stage", ["banner", "EHLO", "MAIL", "RCPT", "354", "DATA"])
def test_a_server_that_falls_silent_is_left_after_the_timeout(sqlite_database: Database, sqlite_settings: Settings,
                                                              mail_server: MailServer, stage: str) -> None:
    settings = prepare(sqlite_database, sqlite_settings, mail_server)
    mail_id = _enqueue(sqlite_database)
    mail_server.script.hang = stage
    begun = time.monotonic()
    _run(sqlite_database, MailDelivery(sqlite_database, settings, timeout_seconds=0.3))
    assert time.monotonic() - begun < 5
    assert _mail(sqlite_database, mail_id).state == "due"


def test_nobody_listening_is_a_reason_to_wait(sqlite_database: Database, sqlite_settings: Settings, mail_server: MailServer) -> None:
    settings = prepare(sqlite_database, sqlite_settings, mail_server, smtp_port=1)
    mail_id = _enqueue(sqlite_database)
    _run(sqlite_database, MailDelivery(sqlite_database, settings))
    assert (_mail(sqlite_database, mail_id).state, _mail(sqlite_database, mail_id).attempts) == ("due", 1)


def test_half_of_the_recipients_refused_does_not_stop_the_others(sqlite_database: Database, sqlite_settings: Settings,
                                                                 mail_server: MailServer) -> None:
    settings = prepare(sqlite_database, sqlite_settings, mail_server)
    mail_id = _enqueue(sqlite_database, cc=["gone@muster.example", "max@muster.example"])
    mail_server.script.refused["gone@muster.example"] = "550 no such user"
    _run(sqlite_database, MailDelivery(sqlite_database, settings))
    assert _mail(sqlite_database, mail_id).state == "sent"
    assert mail_server.taken[0].recipients == ["erika@muster.example", "max@muster.example"]
    assert _notices(sqlite_database) == ["mail_partly_refused"]


def test_a_copy_that_is_put_off_waits_a_while_and_is_then_left_out(sqlite_database: Database, sqlite_settings: Settings,
                                                                   mail_server: MailServer) -> None:
    settings = prepare(sqlite_database, sqlite_settings, mail_server)
    clock = FixedClock(SystemClock().now())
    sqlite_database.clock = clock
    mail_id = _enqueue(sqlite_database, cc=["slow@muster.example"])
    mail_server.script.refused["slow@muster.example"] = "450 greylisted"
    delivery = MailDelivery(sqlite_database, settings)
    for attempt in range(1, 6):
        assert len(mail_server.taken) == 0
        _run(sqlite_database, delivery)
        mail = _mail(sqlite_database, mail_id)
        assert mail.attempts == attempt
        clock.moment = max(clock.moment, mail.due_at)
    assert mail.state == "sent"
    assert mail_server.taken[0].recipients == ["erika@muster.example"]


def test_a_mail_is_given_up_after_its_last_attempt(sqlite_database: Database, sqlite_settings: Settings, mail_server: MailServer) -> None:
    settings = prepare(sqlite_database, sqlite_settings, mail_server)
    clock = FixedClock(SystemClock().now())
    sqlite_database.clock = clock
    begun = clock.moment
    mail_id = _enqueue(sqlite_database)
    mail_server.script.answers["RCPT"] = "450 not now"
    delivery = MailDelivery(sqlite_database, settings)
    while (mail := _mail(sqlite_database, mail_id)).state == "due":
        clock.moment = max(clock.moment, mail.due_at)
        assert _run(sqlite_database, delivery) == [mail_id]
    assert (mail.state, mail.attempts, mail_server.attempts) == ("failed", MAX_ATTEMPTS, MAX_ATTEMPTS)
    assert timedelta(days=1) < clock.moment - begun < timedelta(days=4)
    assert _notices(sqlite_database) == ["mail_failed"]
    with sqlite_database.read() as unit:
        assert count_waiting(unit) == (0, 1)


def test_a_mail_whose_last_attempt_had_no_outcome_is_not_sent_again(sqlite_database: Database, sqlite_settings: Settings,
                                                                    mail_server: MailServer) -> None:
    settings = prepare(sqlite_database, sqlite_settings, mail_server)
    mail_id = _enqueue(sqlite_database, secret="https://desk.example/x")
    with sqlite_database.write() as unit:
        unit.db.get_one(OutgoingMail, mail_id).attempts = MAX_ATTEMPTS  # claimed as often, and the process died each time
    assert _run(sqlite_database, MailDelivery(sqlite_database, settings)) == []
    mail = _mail(sqlite_database, mail_id)
    assert (mail.state, mail.sealed, mail.attempts, mail_server.attempts) == ("failed", None, MAX_ATTEMPTS, 0)
    assert "unknown" in mail.last_error and _notices(sqlite_database) == ["mail_failed"]


def test_a_mail_about_something_that_is_over_is_not_sent(sqlite_database: Database, sqlite_settings: Settings, mail_server: MailServer) -> None:
    settings = prepare(sqlite_database, sqlite_settings, mail_server)
    clock = FixedClock(SystemClock().now())
    sqlite_database.clock = clock
    mail_server.script.answers["RCPT"] = "450 not now"
    mail_id = _enqueue(sqlite_database, not_after=clock.moment + timedelta(minutes=10))
    delivery = MailDelivery(sqlite_database, settings)
    assert _run(sqlite_database, delivery) == [mail_id]
    clock.moment += timedelta(minutes=10)
    assert _run(sqlite_database, delivery) == []
    assert (_mail(sqlite_database, mail_id).state, mail_server.attempts) == ("failed", 1)
    assert _notices(sqlite_database) == ["mail_failed"]


def test_waiting_doubles_is_spread_and_bounded() -> None:
    for attempts in range(1, 40):
        low, high = wait_before(attempts, 0.0), wait_before(attempts, 1.0)
        assert high == low * 2
        assert high <= timedelta(hours=6)
    assert wait_before(1, 1.0) == timedelta(seconds=30)
    assert wait_before(2, 1.0) == timedelta(seconds=60)


def test_without_a_mail_server_in_the_settings_mails_wait(sqlite_database: Database, sqlite_settings: Settings, mail_server: MailServer) -> None:
    settings = prepare(sqlite_database, sqlite_settings, mail_server, smtp_host="")
    mail_id = _enqueue(sqlite_database)
    assert _run(sqlite_database, MailDelivery(sqlite_database, settings)) == []
    assert _mail(sqlite_database, mail_id).attempts == 0


@pytest.mark.parametrize("way", ["tls", "starttls"])
def test_mail_leaves_over_tls_with_a_login(sqlite_database: Database, sqlite_settings: Settings, certificates: Certificates, way: str) -> None:
    context = certificates.context()
    server = login_server("desk", "s3cret", tls_context=context if way == "tls" else None, tls_of_starttls=context if way == "starttls" else None)
    server.start()
    try:
        settings = prepare(sqlite_database, sqlite_settings, server, smtp_host="localhost", smtp_tls=way, smtp_ca=certificates.ca,
                           smtp_user="desk", smtp_password="s3cret")
        mail_id = _enqueue(sqlite_database)
        _run(sqlite_database, MailDelivery(sqlite_database, settings))
        mail = _mail(sqlite_database, mail_id)
        assert (mail.state, mail.last_error) == ("sent", "")
        assert (server.taken[0].login, server.taken[0].secured) == ("desk", True)
    finally:
        server.stop()


@pytest.mark.parametrize("flaw", ["unknown CA", "other name", "no STARTTLS", "wrong password"])
def test_a_way_that_cannot_be_trusted_is_not_taken(sqlite_database: Database, sqlite_settings: Settings, certificates: Certificates,
                                                   tmp_path: Path, flaw: str) -> None:
    shown = certificates
    if flaw in ("unknown CA", "other name"):
        (tmp_path / "other").mkdir()
        shown = make_certificates(tmp_path / "other", name="mail.elsewhere.example" if flaw == "other name" else "localhost")
    server = login_server("desk", "s3cret", tls_of_starttls=None if flaw == "no STARTTLS" else shown.context())
    server.start()
    try:
        settings = prepare(sqlite_database, sqlite_settings, server, smtp_host="localhost", smtp_tls="starttls",
                           smtp_ca=shown.ca if flaw == "other name" else certificates.ca, smtp_user="desk",
                           smtp_password="wrong" if flaw == "wrong password" else "s3cret")
        mail_id = _enqueue(sqlite_database, secret="https://x/secret")
        _run(sqlite_database, MailDelivery(sqlite_database, settings, timeout_seconds=2))
        mail = _mail(sqlite_database, mail_id)
        assert (mail.state, mail.attempts, server.taken) == ("due", 1, [])
        assert mail.sealed is not None
        assert "s3cret" not in mail.last_error
    finally:
        server.stop()


def test_parallel_workers_send_each_mail_once(database: Database, ready: Settings, mail_server: MailServer) -> None:
    ids = {_enqueue(database) for _ in range(8)}
    delivery = MailDelivery(database, ready)
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            barrier.wait(10)
            while True:
                with database.write() as unit:
                    claimed = delivery.claim(unit, lease_until=unit.now + LEASE, limit=2)
                if not claimed:
                    return
                for mail_id in claimed:
                    delivery.perform(mail_id)
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert {_mail(database, mail_id).state for mail_id in ids} == {"sent"}
    assert len(mail_server.taken) == len({one.message["Message-ID"] for one in mail_server.taken}) == 8


def test_killed_between_acceptance_and_commit_it_is_sent_again_under_the_same_id(database: Database, ready: Settings,
                                                                                  mail_server: MailServer, tmp_path: Path) -> None:
    mail_id = _enqueue(database)
    program = tmp_path / "send.py"
    program.write_text(textwrap.dedent("""
        import sys
        from orchestrator.core.db import Database
        from orchestrator.core.jobs import LEASE
        from orchestrator.core.settings import Settings
        from orchestrator.notifications.sender import MailDelivery
        settings = Settings.model_validate_json(sys.stdin.read())
        database = Database(settings.sqlalchemy_url)
        delivery = MailDelivery(database, settings)
        with database.write() as unit:
            claimed = delivery.claim(unit, lease_until=unit.now + LEASE, limit=1)
        delivery.perform(claimed[0])
        print("committed", flush=True)
    """))
    child = subprocess.Popen([sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             cwd=Path(__file__).resolve().parents[3], env={**os.environ, "PYTHONPATH": "."})
    mail_server.script.on_data = lambda: os.kill(child.pid, signal.SIGKILL)  # taken, but not answered yet
    output, _ = child.communicate(ready.model_dump_json(), timeout=60)
    assert (child.returncode, output) == (-signal.SIGKILL, "")
    mail_server.script.on_data = None
    mail = _mail(database, mail_id)
    assert (mail.state, mail.attempts) == ("due", 1)
    delivery = MailDelivery(database, ready)
    assert _run(database, delivery) == []  # its lease still runs
    assert mail.lease_until is not None
    database.clock = FixedClock(mail.lease_until)
    assert _run(database, delivery) == [mail_id]
    assert _mail(database, mail_id).state == "sent"
    assert [one.message["Message-ID"] for one in mail_server.taken] == [mail.message_id] * 2


def test_an_error_says_where_it_happened() -> None:
    error = DeliveryError("RCPT", "550 no", permanent=True)
    assert str(error) == "RCPT: 550 no"
