"""Priority: the default matrix against the desk's rules, set priorities, and an organisation's own matrix."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM
from orchestrator.core.db import Database
from orchestrator.core.errors import InvalidInput
from orchestrator.customers.service import change_organisation
from orchestrator.tickets.classification import set_priority, set_subject, set_tags
from orchestrator.tickets.models import Entry, EntryKind, Level
from orchestrator.tickets.priority import DEFAULT_MATRIX, check_matrix, priority_of
from tests.builders import make_organisation, make_queue, make_ticket

# P1 high/high, P2 high/medium, P3 high/low or medium/medium, P4 medium/low, P5 low/low; impact and urgency weigh alike.
EXPECTED = [("high", "high", 1), ("high", "medium", 2), ("medium", "high", 2), ("high", "low", 3), ("low", "high", 3),
            ("medium", "medium", 3), ("medium", "low", 4), ("low", "medium", 4), ("low", "low", 5)]


@pytest.mark.parametrize(("impact", "urgency", "priority"), EXPECTED)
def test_the_default_matrix_is_the_desks(impact: str, urgency: str, priority: int) -> None:
    assert priority_of(impact, urgency) == priority


@pytest.mark.parametrize("matrix", [
    {}, {**DEFAULT_MATRIX, "low/low": 6}, {**DEFAULT_MATRIX, "low/low": True}, {**DEFAULT_MATRIX, "x/y": 1},
])
def test_an_incomplete_or_wrong_matrix_is_refused(matrix: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        check_matrix(matrix)


def test_a_set_priority_needs_and_keeps_its_reason(database: Database) -> None:
    with database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
        with pytest.raises(InvalidInput):
            set_priority(unit, SYSTEM, ticket, priority=1)
        set_priority(unit, SYSTEM, ticket, priority=1, reason="The plant stands still")
        assert (ticket.priority, ticket.priority_reason) == (1, "The plant stands still")
        set_priority(unit, SYSTEM, ticket, urgency=Level.LOW)
        assert (ticket.priority, ticket.priority_reason) == (4, "")
        changes = unit.db.scalars(select(Entry).where(Entry.kind == EntryKind.CHANGE).order_by(Entry.seq)).all()
        assert [(entry.data["to"]["priority"], entry.text) for entry in changes] == [(1, "The plant stands still"), (4, "")]


def test_an_organisations_matrix_goes_before_the_default(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        organisation = make_organisation(unit)
        ticket = make_ticket(unit, make_queue(unit), organisation=organisation)
        change_organisation(unit, SYSTEM, organisation.id, priority_matrix={**DEFAULT_MATRIX, "low/low": 2})
        assert set_priority(unit, SYSTEM, ticket, impact=Level.LOW, urgency=Level.LOW).priority == 2
        change_organisation(unit, SYSTEM, organisation.id, priority_matrix={})
        assert set_priority(unit, SYSTEM, ticket, impact=Level.LOW).priority == 5


def test_a_priority_out_of_range_is_refused(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
        for wrong in (0, 6):
            with pytest.raises(InvalidInput):
                set_priority(unit, SYSTEM, ticket, priority=wrong, reason="x")


def test_subject_and_tags_change_and_are_written_down(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
        set_subject(unit, SYSTEM, ticket, " Spooler\nhangs ")
        set_tags(unit, SYSTEM, ticket, ["Printer", "printer ", "spooler"])
        assert (ticket.subject, ticket.tags, ticket.version) == ("Spooler hangs", ["printer", "spooler"], 3)
        with pytest.raises(InvalidInput):
            set_subject(unit, SYSTEM, ticket, "  ")
