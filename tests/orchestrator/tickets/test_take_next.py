"""Taking the next ticket: the right one, with its reason, and never twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from orchestrator.accounts.actor import Role
from orchestrator.core.db import Database
from orchestrator.core.errors import Forbidden
from orchestrator.tickets.models import Status, Ticket
from orchestrator.tickets.take_next import find_next, take_next
from tests.builders import actor_of, make_queue, make_ticket, make_user


def test_the_smallest_priority_goes_first_and_then_who_waits_longest(database: Database) -> None:
    with database.write() as unit:
        user = make_user(unit)
        mine, other = make_queue(unit, user), make_queue(unit)
        actor = actor_of(user, queues=(mine,))
        old = make_ticket(unit, mine, priority=3)
        old.created_at = unit.now - timedelta(days=2)
        urgent = make_ticket(unit, mine, priority=2)
        urgent_and_old = make_ticket(unit, mine, priority=2)
        urgent_and_old.created_at = unit.now - timedelta(hours=1)
        make_ticket(unit, other, priority=1)
        make_ticket(unit, mine, priority=1, assignee=make_user(unit))
        waiting = make_ticket(unit, mine, priority=1)
        waiting.status = Status.WAITING_CUSTOMER
        unit.db.flush()
        seen = find_next(unit, actor)
        assert seen is not None and seen[0].id == urgent_and_old.id
        order = []
        while (taken := take_next(unit, actor)) is not None:
            order.append(taken[0].id)
            assert (taken[0].assignee_id, taken[0].status) == (user.id, Status.OPEN)
        assert order == [urgent_and_old.id, urgent.id, old.id]


def test_it_says_why_this_one(database: Database) -> None:
    with database.write() as unit:
        user = make_user(unit)
        queue = make_queue(unit, user)
        ticket = make_ticket(unit, queue, priority=2)
        taken = take_next(unit, actor_of(user, queues=(queue,)))
        assert taken is not None
        why = taken[1]
        assert (why.code, why.priority, why.waiting_since, why.deadline) == ("priority", 2, ticket.created_at, None)
        assert why.sentence % why.values == f"Priority P2, waiting since {ticket.created_at}"
        assert str(why).startswith("Priority P2, waiting since 20")


def test_twenty_takers_at_once_get_twenty_different_tickets(database: Database) -> None:
    with database.write() as unit:
        users = [make_user(unit) for _ in range(20)]
        queues = [make_queue(unit, *users), make_queue(unit, *users)]
        for index in range(20):
            make_ticket(unit, queues[index % 2], priority=1 + index % 3)
        actors = [actor_of(user, queues=tuple(queues)) for user in users]
    barrier = threading.Barrier(20)

    def take(index: int) -> str | None:
        barrier.wait(20)
        with database.write() as unit:
            taken = take_next(unit, actors[index])
            return taken[0].id if taken else None

    with ThreadPoolExecutor(20) as pool:
        taken = list(pool.map(take, range(20)))
    assert None not in taken
    assert len(set(taken)) == 20
    with database.read() as unit:
        assert {unit.db.get_one(Ticket, ticket_id or "").assignee_id for ticket_id in taken} == {user.id for user in users}


def test_named_queues_narrow_but_never_widen(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        user = make_user(unit)
        mine, second, other = make_queue(unit, user), make_queue(unit, user), make_queue(unit)
        actor = actor_of(user, queues=(mine, second))
        make_ticket(unit, mine)
        make_ticket(unit, other)
        assert take_next(unit, actor, queue_ids=[second.id]) is None
        assert take_next(unit, actor, queue_ids=[other.id]) is None
        assert take_next(unit, actor, queue_ids=[mine.id]) is not None


def test_a_lead_without_queues_of_his_own_takes_from_all(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        make_ticket(unit, make_queue(unit))
        assert take_next(unit, actor_of(make_user(unit, roles=(Role.LEAD,)))) is not None


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.ADMINISTRATOR])
def test_who_does_not_work_on_tickets_takes_none(sqlite_database: Database, role: Role) -> None:
    with sqlite_database.write() as unit:
        make_ticket(unit, make_queue(unit))
        with pytest.raises(Forbidden):
            take_next(unit, actor_of(make_user(unit, roles=(role,))))
