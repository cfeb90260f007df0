"""Assigning, handing over, following, moving, linking, and whose ticket it is."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM, Role
from orchestrator.audit.models import AuditEntry
from orchestrator.core.db import Database
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput
from orchestrator.tickets.assign import assign_ticket, follow_ticket, move_ticket
from orchestrator.tickets.customer import set_customer
from orchestrator.tickets.events import TicketChanged, TicketOrganisationChanged
from orchestrator.tickets.links import Relation, link_tickets, list_links
from orchestrator.tickets.models import Entry, EntryKind, Status
from orchestrator.tickets.notices import sentence_of
from orchestrator.tickets.queries import is_following
from orchestrator.tickets.queues import (
    add_member,
    change_queue,
    create_queue,
    default_queue,
    find_queue,
    find_queue_by_address,
    list_members,
    list_queues,
    remove_member,
)
from tests.builders import actor_of, make_contact, make_organisation, make_queue, make_ticket, make_user


def test_an_assigned_new_ticket_becomes_open(database: Database) -> None:
    with database.write() as unit:
        jana, tom = make_user(unit, name="Jana Roth"), make_user(unit, name="Tom Berg")
        ticket = make_ticket(unit, make_queue(unit))
        assign_ticket(unit, actor_of(jana), ticket, jana.id)
        assert (ticket.assignee_id, ticket.status) == (jana.id, Status.OPEN)
        assign_ticket(unit, actor_of(jana), ticket, tom.id, note="Du kennst den Server besser.")
        entries = unit.db.scalars(select(Entry).where(Entry.ticket_id == ticket.id, Entry.seq > 2).order_by(Entry.seq)).all()
        assert [entry.kind for entry in entries] == [EntryKind.CHANGE, EntryKind.NOTE]
        sentence, values = sentence_of(entries[0])
        assert sentence % values == "Assigned: Jana Roth → Tom Berg"
        assert entries[1].text == "Du kennst den Server besser."


def test_of_two_who_take_the_same_ticket_the_second_is_told(database: Database) -> None:
    with database.write() as unit:
        jana, tom = make_user(unit), make_user(unit)
        ticket = make_ticket(unit, make_queue(unit))
        shown = ticket.version
        assign_ticket(unit, actor_of(jana), ticket, jana.id, version=shown)
        with pytest.raises(Conflict):
            assign_ticket(unit, actor_of(tom), ticket, tom.id, version=shown)
        assign_ticket(unit, actor_of(jana), ticket, jana.id, version=shown)  # a double click changes nothing
        assert ticket.version == shown + 1


def test_only_people_who_work_on_tickets_get_one(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        ticket = make_ticket(unit, make_queue(unit))
        gone = make_user(unit)
        gone.disabled_at = unit.now
        for user_id in (make_user(unit, roles=(Role.AUDITOR,)).id, make_user(unit, roles=(Role.ADMINISTRATOR,)).id, gone.id,
                        "018f0000-0000-7000-8000-000000000000"):
            with pytest.raises(InvalidInput):
                assign_ticket(unit, SYSTEM, ticket, user_id)


def test_moving_tells_both_queues_and_keeps_the_assignee(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        jana = make_user(unit)
        old, new = make_queue(unit, name="Annahme"), make_queue(unit, name="Server")
        ticket = make_ticket(unit, old, assignee=jana)
        move_ticket(unit, actor_of(jana), ticket, new.id, reason="Serverfall")
        assert (ticket.queue_id, ticket.assignee_id) == (new.id, jana.id)
        told = [one for one in unit.emitted if isinstance(one, TicketChanged)]
        assert told[0].queue_ids == (old.id, new.id)


def test_following_is_remembered_once_and_can_end(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        actor = actor_of(make_user(unit))
        ticket = make_ticket(unit, make_queue(unit))
        for _ in range(2):
            follow_ticket(unit, actor, ticket)
        assert is_following(unit, actor, ticket)
        follow_ticket(unit, actor, ticket, follow=False)
        assert not is_following(unit, actor, ticket)


def test_links_are_seen_from_both_sides(database: Database) -> None:
    with database.write() as unit:
        queue = make_queue(unit)
        child, parent, other = (make_ticket(unit, queue) for _ in range(3))
        link_tickets(unit, SYSTEM, child, parent, Relation.PARENT)
        link_tickets(unit, SYSTEM, child, other)
        assert {(relation, one.id) for relation, one in list_links(unit, child)} == {("parent", parent.id), ("related", other.id)}
        assert [(relation, one.id) for relation, one in list_links(unit, parent)] == [("child", child.id)]
        entries = unit.db.scalars(select(Entry).where(Entry.ticket_id == parent.id, Entry.kind == EntryKind.CHANGE)).all()
        assert [entry.data["to"] for entry in entries] == [child.number]


def test_no_ticket_is_linked_with_itself_twice_or_in_a_circle(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        queue = make_queue(unit)
        first, second, third = (make_ticket(unit, queue) for _ in range(3))
        with pytest.raises(InvalidInput):
            link_tickets(unit, SYSTEM, first, first)
        link_tickets(unit, SYSTEM, first, second, Relation.PARENT)
        with pytest.raises(Conflict):
            link_tickets(unit, SYSTEM, second, first, Relation.RELATED)
        link_tickets(unit, SYSTEM, second, third, Relation.PARENT)
        with pytest.raises(Conflict):
            link_tickets(unit, SYSTEM, third, first, Relation.PARENT)


def test_another_organisation_is_told_to_the_rooms_above(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        one, two = make_organisation(unit), make_organisation(unit)
        ticket = make_ticket(unit, make_queue(unit), contact=make_contact(unit, one))
        colleague = make_contact(unit, one)
        set_customer(unit, SYSTEM, ticket, contact_id=colleague.id)
        assert not any(isinstance(happened, TicketOrganisationChanged) for happened in unit.emitted)
        set_customer(unit, SYSTEM, ticket, contact_id=make_contact(unit, two).id)
        assert TicketOrganisationChanged(ticket.id, two.id) in unit.emitted
        assert ticket.organisation_id == two.id


def test_queues_have_unique_names_and_addresses_and_are_audited(database: Database) -> None:
    with database.write() as unit:
        lead = actor_of(make_user(unit, roles=(Role.LEAD,)))
        queue = create_queue(unit, lead, name="Server", address="Server@Desk.example")
        assert queue.address == "server@desk.example"
        with pytest.raises(Conflict):
            create_queue(unit, lead, name="Server")
        with pytest.raises(Conflict):
            create_queue(unit, lead, name="Zweite", address="server@desk.example")
        change_queue(unit, lead, queue.id, address="", reopen_days=3)
        assert (queue.address, queue.reopen_days) == (None, 3)
        assert [row.kind for row in unit.db.scalars(select(AuditEntry).order_by(AuditEntry.seq))] == ["queue.created", "queue.changed"]


def test_members_join_and_leave(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        lead, user = actor_of(make_user(unit, roles=(Role.LEAD,))), make_user(unit)
        queue = create_queue(unit, lead, name="Server")
        for _ in range(2):
            add_member(unit, lead, queue.id, user.id)
        assert [one.id for one in list_members(unit, lead, queue.id)] == [user.id]
        assert [one.id for one in list_queues(unit, actor_of(user, queues=(queue,)))] == [queue.id]
        remove_member(unit, lead, queue.id, user.id)
        assert list_members(unit, lead, queue.id) == []
        with pytest.raises(Forbidden):
            add_member(unit, actor_of(user), queue.id, user.id)


def test_queues_are_found_by_name_id_and_address(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        queue = create_queue(unit, SYSTEM, name="Annahme", address="hilfe@desk.example")
        create_queue(unit, SYSTEM, name="Server")
        assert find_queue(unit, "annahme") is queue
        assert find_queue(unit, queue.id) is queue
        assert find_queue(unit, "nichts") is None
        assert find_queue_by_address(unit, "HILFE@desk.example") is queue
        assert default_queue(unit) is queue
