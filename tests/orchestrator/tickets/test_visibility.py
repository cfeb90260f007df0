"""Who sees which ticket, its timeline and its files; lists agree with the getter; every list uses an index."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select

from orchestrator.accounts.actor import SYSTEM, Actor, ActorKind, Role
from orchestrator.core.db import Database, ReadUnit, WriteUnit
from orchestrator.core.errors import Forbidden, InvalidInput, NotFound
from orchestrator.tickets.assign import follow_ticket
from orchestrator.tickets.blobs import NewAttachment
from orchestrator.tickets.board import board
from orchestrator.tickets.lists import OPEN_STATUSES, Order, TicketFilter, list_tickets
from orchestrator.tickets.models import Attachment, EntryKind, Medium, Queue, Status, Ticket, Visibility
from orchestrator.tickets.numbers import format_number
from orchestrator.tickets.queries import find_ticket_by_number, find_tickets_in_text, get_attachment, get_ticket, may_see, timeline
from orchestrator.tickets.reply import reply_to_customer
from orchestrator.tickets.service import add_entry
from tests.builders import actor_of, make_contact, make_organisation, make_queue, make_ticket, make_user


def _contact_actor(contact_id: str, organisation_id: str | None) -> Actor:
    return Actor(kind=ActorKind.CONTACT, id=contact_id, name="x", organisation_id=organisation_id)


def test_each_role_sees_what_the_table_of_rights_gives_it(database: Database) -> None:
    with database.write() as unit:
        member, assignee, follower, stranger = (make_user(unit) for _ in range(4))
        queue, other = make_queue(unit, member), make_queue(unit)
        contact = make_contact(unit, make_organisation(unit))
        ticket = make_ticket(unit, queue, contact=contact, assignee=assignee)
        follow_ticket(unit, actor_of(follower), ticket)
        seers = [actor_of(member, queues=(queue,)), actor_of(assignee), actor_of(follower), actor_of(make_user(unit, roles=(Role.LEAD,))),
                 actor_of(make_user(unit, roles=(Role.AUDITOR,))), SYSTEM, _contact_actor(contact.id, contact.organisation_id)]
        for actor in seers:
            assert get_ticket(unit, actor, ticket.number) is ticket
            assert get_ticket(unit, actor, ticket.id) is ticket
        colleague = _contact_actor(make_contact(unit).id, contact.organisation_id)
        for actor in (actor_of(stranger), actor_of(stranger, queues=(other,)), colleague):
            with pytest.raises(NotFound) as hidden:
                get_ticket(unit, actor, ticket.number)
            with pytest.raises(NotFound) as absent:
                get_ticket(unit, actor, "2026-999999-9")
            assert str(hidden.value) == str(absent.value)
        with pytest.raises(Forbidden):
            get_ticket(unit, actor_of(make_user(unit, roles=(Role.ADMINISTRATOR,))), ticket.number)


def test_a_malformed_name_is_simply_not_found(database: Database) -> None:
    ids = ("018f0000-0000-7000-8000-00000000000z", "018f0000-0000-7000-8000-000000000000")
    for name in ("", "x", *ids, "\x00", "2026-000001-1", "x" * 9000):
        with database.read() as unit, pytest.raises(NotFound):
            get_ticket(unit, SYSTEM, name)


def test_numbers_are_found_however_they_are_written(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        queue = make_queue(unit)
        number = format_number("{year}-{counter:06d}-{check}", year=2026, counter=77)
        ticket = make_ticket(unit, queue, number=number)
        for written in (number, f"[#{number}]", number.replace("-", "–"), f"#{number.replace('-', '')}"):
            assert find_ticket_by_number(unit, written) is ticket
        assert find_tickets_in_text(unit, f"AW: {number} und 2026-000078-9") == [ticket]


def test_a_contact_reads_only_what_is_meant_for_customers(database: Database) -> None:
    with database.write() as unit:
        contact = make_contact(unit)
        user = make_user(unit)
        ticket = make_ticket(unit, make_queue(unit), contact=contact)
        for visibility in (Visibility.INTERNAL, Visibility.CUSTOMER):
            file = NewAttachment(f"{visibility}.txt", "text/plain", b"x")
            add_entry(unit, SYSTEM, ticket, kind=EntryKind.NOTE, visibility=visibility, medium=Medium.DESK, text=str(visibility),
                      author_kind="user", author_id=user.id, author_name="x", attachments=[file])
        reader = _contact_actor(contact.id, None)
        assert [item.entry.seq for item in timeline(unit, reader, ticket).items] == [1, 3]
        files = {one.name: one for one in unit.db.scalars(select(Attachment))}
        assert get_attachment(unit, reader, files["customer.txt"].id)[2] is ticket
        with pytest.raises(NotFound):
            get_attachment(unit, reader, files["internal.txt"].id)
        with pytest.raises(NotFound):
            get_attachment(unit, actor_of(make_user(unit)), files["customer.txt"].id)


def test_the_timeline_pages_back_to_the_beginning(database: Database) -> None:
    with database.write() as unit:
        user = make_user(unit)
        queue = make_queue(unit, user)
        ticket = make_ticket(unit, queue, contact=make_contact(unit))
        actor = actor_of(user, queues=(queue,))
        for index in range(9):
            reply_to_customer(unit, actor, ticket, text=f"Antwort {index}")
    seqs: list[int] = []
    before: int | None = None
    with database.read() as unit:
        while True:
            page = timeline(unit, actor, ticket, before_seq=before, limit=4)
            seqs = [item.entry.seq for item in page.items] + seqs
            assert all(item.mail is not None for item in page.items if item.entry.data.get("direction") == "out")
            before = page.before_seq
            if before is None:
                break
    assert seqs == list(range(1, 12))  # the first message, nine replies, and the change to open


def _world(unit: WriteUnit, seed: int) -> tuple[list[Actor], list[Queue]]:
    chance = random.Random(seed)
    users = [make_user(unit) for _ in range(3)]
    queues = [make_queue(unit, *chance.sample(users, chance.randint(0, 2))) for _ in range(3)]
    organisations = [make_organisation(unit) for _ in range(2)]
    contacts = [make_contact(unit, chance.choice(organisations)) for _ in range(3)]
    for _ in range(60):
        ticket = make_ticket(unit, chance.choice(queues), contact=chance.choice(contacts), priority=chance.randint(1, 5),
                             assignee=chance.choice([None, *users]))
        ticket.status = chance.choice(list(Status))
        ticket.created_at = unit.now - timedelta(minutes=chance.randint(0, 20))
        for user in users:
            if chance.random() < 0.1:
                follow_ticket(unit, actor_of(user), ticket)
    unit.db.flush()
    actors = [actor_of(user, queues=tuple(chance.sample(queues, index))) for index, user in enumerate(users)]
    return [*actors, actor_of(make_user(unit, roles=(Role.LEAD,))), _contact_actor(contacts[0].id, contacts[0].organisation_id)], queues


def _expected(unit: ReadUnit, actor: Actor, wanted: TicketFilter) -> list[str]:
    """The same list by the slow and plain way: every ticket asked one by one."""
    kept = [
        ticket for ticket in unit.db.scalars(select(Ticket))
        if may_see(unit, actor, ticket)
        and (not wanted.statuses or ticket.status in wanted.statuses)
        and (wanted.queue_id is None or ticket.queue_id == wanted.queue_id)
        and (wanted.assignee_id is None or ticket.assignee_id == wanted.assignee_id)
        and (not wanted.unassigned or ticket.assignee_id is None)
        and (wanted.organisation_id is None or ticket.organisation_id == wanted.organisation_id)
        and (not wanted.priorities or ticket.priority in wanted.priorities)
    ]
    if wanted.order is Order.RANK:
        return [one.id for one in sorted(kept, key=lambda one: (one.priority, one.created_at, one.id))]
    return [one.id for one in sorted(kept, key=lambda one: (one.created_at, one.id), reverse=True)]


@pytest.mark.parametrize("seed", range(2))
def test_every_list_read_page_by_page_agrees_with_asking_one_by_one(database: Database, seed: int) -> None:
    with database.write() as unit:
        actors, queues = _world(unit, seed)
    with database.read() as unit:
        organisation_id = unit.db.scalars(select(Ticket.organisation_id)).first()
        filters = [
            TicketFilter(), TicketFilter(statuses=OPEN_STATUSES), TicketFilter(statuses=(Status.CLOSED,), unassigned=True),
            TicketFilter(queue_id=queues[0].id, statuses=OPEN_STATUSES), TicketFilter(queue_id=queues[1].id),
            TicketFilter(priorities=(1, 2)),
            TicketFilter(assignee_id=actors[0].id), TicketFilter(assignee_id=actors[1].id, statuses=OPEN_STATUSES),
            TicketFilter(organisation_id=organisation_id, statuses=OPEN_STATUSES, queue_id=queues[0].id),
            TicketFilter(assignee_id=actors[0].id, queue_id=queues[1].id),
        ]
        for actor, plain, order in itertools.product(actors, filters, Order):
            wanted = TicketFilter(**{**{name: getattr(plain, name) for name in TicketFilter.__slots__}, "order": order})
            found: list[str] = []
            cursor: str | None = None
            while True:
                page = list_tickets(unit, actor, wanted, cursor=cursor, limit=7)
                found += [row.ticket.id for row in page.items]
                cursor = page.next
                if cursor is None:
                    break
                assert len(cursor) <= 200
            assert found == _expected(unit, actor, wanted)


def test_a_followed_list_holds_what_is_followed(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        actor = actor_of(make_user(unit))
        queue = make_queue(unit)
        ticket, _ = make_ticket(unit, queue), make_ticket(unit, queue)
        follow_ticket(unit, actor, ticket)
        assert [row.ticket.id for row in list_tickets(unit, actor, TicketFilter(followed=True)).items] == [ticket.id]


@pytest.mark.parametrize("cursor", ["x", "WzFd", "bnVsbA", "W10", "é", "WyIyMDI2LTAxLTAxIiwieCJd"])
def test_a_made_up_cursor_is_refused(sqlite_database: Database, cursor: str) -> None:
    with sqlite_database.read() as unit, pytest.raises((InvalidInput, NotFound)):
        list_tickets(unit, SYSTEM, TicketFilter(), cursor=cursor)


def test_the_board_shows_my_work_my_queues_and_what_is_next(database: Database) -> None:
    with database.write() as unit:
        user = make_user(unit)
        queue, other = make_queue(unit, user, name="Server"), make_queue(unit, name="Andere")
        late, early = make_ticket(unit, queue, priority=2, assignee=user), make_ticket(unit, queue, priority=1, assignee=user)
        done = make_ticket(unit, queue, assignee=user)
        done.status = Status.CLOSED
        for _ in range(120):
            make_ticket(unit, queue)
        first = make_ticket(unit, queue, priority=1)
        make_ticket(unit, other, priority=1)
        unit.db.flush()
        shown = board(unit, actor_of(user, queues=(queue,)))
        assert [row.ticket.id for row in shown.my_work] == [early.id, late.id]
        assert [one.queue.id for one in shown.queues] == [queue.id]
        assert (shown.queues[0].waiting, shown.queues[0].more, len(shown.queues[0].first)) == (99, True, 8)
        assert shown.next is not None and shown.next.ticket.id == first.id
        assert shown.why is not None and shown.why.priority == 1


def test_no_list_reads_the_whole_table(sqlite_database: Database) -> None:
    """On SQLite: every statement of the hot paths is explained; none may scan tickets or entries."""
    with sqlite_database.write() as unit:
        user = make_user(unit)
        queues = tuple(make_queue(unit, user) for _ in range(3))
        ticket = make_ticket(unit, queues[0], contact=make_contact(unit, make_organisation(unit)))
        actor, lead = actor_of(user, queues=queues), actor_of(make_user(unit, roles=(Role.LEAD,)))
    with sqlite_database.read() as unit:
        statements: list[tuple[str, Any]] = []
        connection = unit.db.connection()

        def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
            statements.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", remember)
        for who in (actor, lead):
            board(unit, who)
            timeline(unit, who, get_ticket(unit, who, ticket.number))
            for order in Order:
                list_tickets(unit, who, TicketFilter(order=order))
                list_tickets(unit, who, TicketFilter(statuses=OPEN_STATUSES, order=order))
                list_tickets(unit, who, TicketFilter(queue_id=queues[0].id, statuses=OPEN_STATUSES, order=order))
                list_tickets(unit, who, TicketFilter(organisation_id=ticket.organisation_id, order=order))
        event.remove(connection, "before_cursor_execute", remember)
        assert len(statements) > 20
        for statement, parameters in statements:
            if statement.lstrip().upper().startswith("SELECT"):
                for row in connection.exec_driver_sql(f"explain query plan {statement}", parameters):
                    assert row[3] not in ("SCAN tickets", "SCAN entries"), statement
