"""The status of tickets: every pair of the table, and what a change does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM, Role
from orchestrator.core.clock import FixedClock, SystemClock
from orchestrator.core.db import Database
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput
from orchestrator.notifications.models import OutgoingMail
from orchestrator.tickets.events import TicketClosed
from orchestrator.tickets.models import Entry, EntryKind, Status, Ticket
from orchestrator.tickets.status import change_status, find_transition, next_statuses
from orchestrator.tickets.waking import TicketWaking
from tests.builders import actor_of, make_contact, make_organisation, make_queue, make_ticket, make_user

# Written by hand from the desk's rules: yes, no, u = needs a time to wait until, r = reopens. Rows are from, columns to.
GRID = """
                   new  open  waiting_customer  waiting_until  resolved  closed
new                no   yes   yes               u              yes       yes
open               no   no    yes               u              yes       yes
waiting_customer   no   yes   no                u              yes       yes
waiting_until      no   yes   yes               u              yes       yes
resolved           no   r     no                no             no        yes
closed             no   r     no                no             no        no
"""
_HEAD, *_ROWS = [line.split() for line in GRID.strip().splitlines()]
PAIRS = [(row[0], after, word) for row in _ROWS for after, word in zip(_HEAD, row[1:], strict=True)]


def test_the_grid_names_every_pair() -> None:
    assert len(PAIRS) == len(Status) ** 2


@pytest.mark.parametrize(("before", "after", "word"), PAIRS)
def test_the_table_holds_exactly_these_ways(before: str, after: str, word: str) -> None:
    transition = find_transition(Status(before), Status(after))
    assert (transition is not None) is (word != "no")
    if transition is not None:
        assert transition.needs_moment is (word == "u")
        assert transition.reopens is (word == "r")
    assert (Status(after) in next_statuses(before)) is (word != "no")


@pytest.mark.parametrize(("before", "after", "word"), PAIRS)
def test_the_service_follows_the_table(sqlite_database: Database, before: str, after: str, word: str) -> None:
    with sqlite_database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
        ticket.status = Status(before)
        until = unit.now + timedelta(hours=2)
        if word == "no":
            with pytest.raises(Conflict):
                change_status(unit, SYSTEM, ticket, Status(after), wait_until=until)
            return
        if word == "u":
            for wrong in (None, unit.now):
                with pytest.raises(InvalidInput):
                    change_status(unit, SYSTEM, ticket, Status(after), wait_until=wrong)
        change_status(unit, SYSTEM, ticket, Status(after), wait_until=until, reason="because")
        assert (ticket.status, ticket.version) == (after, 2)
        assert ticket.wait_until == (until if word == "u" else None)
        assert (ticket.resolved_at is not None) is (after in ("resolved", "closed"))
        assert (ticket.closed_at is not None) is (after == "closed")
        assert any(isinstance(one, TicketClosed) for one in unit.emitted) is (after == "closed")
        entry = unit.db.scalars(select(Entry).where(Entry.kind == EntryKind.CHANGE)).first()
        assert entry is not None
        assert entry.data["what"] == "status" and entry.data["from"] == before and entry.text == "because"


def test_a_resolved_ticket_tells_the_customer_once(database: Database) -> None:
    with database.write() as unit:
        technician = make_user(unit, name="Jana Roth")
        contact = make_contact(unit, make_organisation(unit), email="erika@muster.example")
        queue = make_queue(unit, technician)
        ticket = make_ticket(unit, queue, contact=contact, assignee=technician)
        ticket.language = "en"
        actor = actor_of(technician, queues=(queue,))
        change_status(unit, actor, ticket, Status.RESOLVED)
        with pytest.raises(Conflict):
            change_status(unit, actor, ticket, Status.RESOLVED)
        change_status(unit, actor, ticket, Status.CLOSED)
    with database.read() as unit:
        mail = unit.db.scalars(select(OutgoingMail)).one()
        assert (mail.to_address, mail.automatic, mail.purpose) == ("erika@muster.example", True, "ticket.resolved")
        assert mail.subject == f"[#{ticket.number}] Resolved: {ticket.subject}"
        assert "Jana Roth" in mail.text


def test_a_ticket_without_an_address_says_that_nobody_was_told(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit), contact=make_contact(unit, email=None, phone="+4922112345"))
        change_status(unit, SYSTEM, ticket, Status.RESOLVED)
        codes = [entry.data["code"] for entry in unit.db.scalars(select(Entry).where(Entry.kind == EntryKind.NOTICE))]
        assert codes == ["resolved_not_told"]
        assert unit.db.scalars(select(OutgoingMail)).all() == []


def test_an_auditor_changes_nothing(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
        with pytest.raises(Forbidden):
            change_status(unit, actor_of(make_user(unit, roles=(Role.AUDITOR,))), ticket, Status.OPEN)


def test_a_ticket_that_waits_until_a_time_opens_again_when_it_has_come(database: Database) -> None:
    clock = FixedClock(SystemClock().now())
    database.clock = clock
    with database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
        change_status(unit, SYSTEM, ticket, Status.WAITING_UNTIL, wait_until=unit.now + timedelta(hours=1))
    waking = TicketWaking(database)

    def run() -> int:
        with database.write() as unit:
            ids = waking.claim(unit, lease_until=unit.now, limit=10)
        for row_id in ids:
            waking.perform(row_id)
        return len(ids)

    assert run() == 0
    clock.moment += timedelta(hours=1)
    assert run() == 1
    waking.perform(ticket.id)  # performed twice, as after a crash
    with database.read() as unit:
        assert unit.db.get_one(Ticket, ticket.id).status == Status.OPEN
        notices = unit.db.scalars(select(Entry).where(Entry.ticket_id == ticket.id, Entry.kind == EntryKind.NOTICE)).all()
        assert [entry.data["code"] for entry in notices] == ["waiting_over"]


def test_closing_at_once_by_many_has_one_effect(database: Database) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))

    def close(_: int) -> bool:
        try:
            with database.write() as unit:
                change_status(unit, SYSTEM, unit.db.get_one(Ticket, ticket.id), Status.CLOSED)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(close, range(20))) == 1
    with database.read() as unit:
        assert len(unit.db.scalars(select(Entry).where(Entry.ticket_id == ticket.id)).all()) == 2
