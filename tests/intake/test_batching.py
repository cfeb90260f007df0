"""Mails that wait together share transactions; one bad mail holds up nobody; the bound holds."""

from __future__ import annotations

import pytest
from sqlalchemy import event, func, select

from orchestrator.accounts.desk import publish_desk_facts
from orchestrator.core.db import Database
from orchestrator.core.errors import Unavailable
from orchestrator.core.settings import Settings
from orchestrator.intake import receive
from orchestrator.intake.batching import MAX_WAITING, IntakeQueue
from orchestrator.intake.mail.parsed import ParsedMail
from orchestrator.intake.models import RawInput
from orchestrator.intake.understand import IntakeResult, Outcome, understand_mail
from orchestrator.tickets.models import Ticket
from tests.builders import make_queue
from tests.intake.mail import samples


@pytest.fixture
def desk(database: Database, settings: Settings) -> Database:
    with database.write() as unit:
        publish_desk_facts(unit, settings)
        make_queue(unit, name="Support", address="support@desk.example")
    return database


def submit(line: IntakeQueue, number: int):  # type: ignore[no-untyped-def]  # the type of a private future
    raw = samples.simple(f"Mail {number}", subject=f"Nr. {number}", message_id=f"<{number}@example.de>", sender=f"a{number}@example.de")
    return line.submit(raw, envelope_from=f"a{number}@example.de", envelope_to=["support@desk.example"])


def test_waiting_mails_share_their_transactions(desk: Database, settings: Settings) -> None:
    commits: list[object] = []
    event.listen(desk.write_engine, "commit", commits.append)
    line = IntakeQueue(desk, settings, door="test")
    results = [submit(line, number) for number in range(16)]
    again = submit(line, 3)
    line.start()
    outcomes = [future.result(30) for future in (*results, again)]
    assert sorted(result.outcome for result in outcomes) == [Outcome.CREATED] * 16 + [Outcome.DUPLICATE]
    assert len({result.ticket_number for result in outcomes}) == 16
    line.stop(10)
    assert len(commits) <= 10


def test_bad_mail_in_a_batch_holds_up_nobody(desk: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def understand(unit: object, row: RawInput, mail: ParsedMail) -> IntakeResult:
        if mail.subject == "Nr. 2":
            raise RuntimeError("a fault in the middle")
        return understand_mail(unit, row, mail)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(receive, "understand_mail", understand)
    line = IntakeQueue(desk, settings, door="test")
    results = [submit(line, number) for number in range(6)]
    line.start()
    assert all(future.result(30).outcome is Outcome.CREATED for future in results)
    line.stop(10)
    with desk.read() as unit:
        assert unit.db.scalar(select(func.count()).select_from(Ticket)) == 6
        states = sorted(unit.db.scalars(select(RawInput.state)))
        assert states == ["failed"] + ["understood"] * 5


def test_sender_that_hung_up_ends_no_thread(desk: Database, settings: Settings) -> None:
    line = IntakeQueue(desk, settings, door="test")
    gone = submit(line, 1)
    assert gone.cancel()
    line.start()
    assert submit(line, 2).result(30).outcome is Outcome.CREATED
    line.stop(10)


def test_too_many_waiting_mails_are_sent_back(desk: Database, settings: Settings) -> None:
    line = IntakeQueue(desk, settings, door="test")
    for number in range(MAX_WAITING):
        submit(line, number)
    with pytest.raises(Unavailable):
        submit(line, MAX_WAITING)


def test_stop_receives_what_waits(desk: Database, settings: Settings) -> None:
    line = IntakeQueue(desk, settings, door="test")
    results = [submit(line, number) for number in range(5)]
    line.start()
    line.stop(30)
    assert all(future.done() for future in results)


def test_fault_of_the_database_is_told_to_each_sender(settings: Settings) -> None:
    away = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    line = IntakeQueue(away, settings, door="test")
    results = [submit(line, number) for number in range(2)]
    line.start()
    for future in results:
        with pytest.raises(Unavailable):
            future.result(60)
    line.stop(10)
    away.dispose()
