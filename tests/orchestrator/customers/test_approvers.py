"""Who may approve remote access: the rules one by one, and what happens to the right over its life."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM, Actor, ActorKind, Role
from orchestrator.accounts.desk import publish_desk_facts
from orchestrator.audit.models import AuditEntry
from orchestrator.core.clock import FixedClock, SystemClock
from orchestrator.core.db import Database, WriteUnit
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from orchestrator.core.settings import Settings
from orchestrator.customers.approvers import (
    NotAnApprover,
    confirm_address,
    end_approver,
    resume_approvers,
    set_approver,
    suspend_approvers,
)
from orchestrator.customers.changes import change_contact, mark_left
from orchestrator.customers.events import ApproverWithdrawn
from orchestrator.customers.models import Contact
from orchestrator.customers.policy import ADDRESS_WAIT, MAX_RIGHT, Obstacle, Rested, UsableRight, needs_call_back
from orchestrator.customers.queries import usable_approver_rights
from orchestrator.notifications.models import OutgoingMail
from tests.builders import actor_of, make_approver, make_contact, make_organisation, make_queue, make_ticket, make_user

SCOPES = ("terminal",)


def _lead(unit: WriteUnit) -> Actor:
    return actor_of(make_user(unit, name="Lea Lang", roles=(Role.LEAD,)))


def _usable(unit: WriteUnit, contact: Contact, *, ticket_id: str | None = None, scopes: tuple[str, ...] = SCOPES,
            leader_id: str | None = None) -> list[UsableRight]:
    return usable_approver_rights(unit, contact, ticket_id=ticket_id, scopes=scopes, leader_id=leader_id)


def _as_contact(contact: Contact) -> Actor:
    return Actor(kind=ActorKind.CONTACT, id=contact.id, name=contact.name, organisation_id=contact.organisation_id)


def test_a_lead_gives_the_right_and_the_contact_is_told(database: Database) -> None:
    with database.write() as unit:
        contact = make_contact(unit, make_organisation(unit, name="Muster GmbH", language="en"), email="erika@muster.example")
        right = set_approver(unit, _lead(unit), contact.id, scopes=["terminal", " terminal ", "diagnostics"], until=unit.now + timedelta(days=90))
        assert right.scopes == ["terminal", "diagnostics"]
        assert [one.right.id for one in _usable(unit, contact)] == [right.id]
        assert _usable(unit, contact, scopes=("terminal", "diagnostics"))
        assert not _usable(unit, contact, scopes=("terminal", "files.read:/"))
        mail = unit.db.scalars(select(OutgoingMail)).one()
        assert (mail.to_address, mail.purpose) == ("erika@muster.example", "approver.given")
        assert "Lea Lang" in mail.text and "Muster GmbH" in mail.text
        audit = unit.db.scalars(select(AuditEntry)).one()
        assert (audit.kind, audit.actor_name) == ("approver.given", "Lea Lang")


def test_scopes_are_compared_by_the_function_that_the_caller_brings(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        contact = make_contact(unit, make_organisation(unit))
        make_approver(unit, contact, make_user(unit), scopes=("terminal.admin",))
        assert not _usable(unit, contact)
        assert usable_approver_rights(unit, contact, ticket_id=None, scopes=SCOPES, covers=lambda given, asked: given.startswith(asked))


@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.AUDITOR])
def test_only_leads_and_administrators_give_the_right(sqlite_database: Database, role: Role) -> None:
    with sqlite_database.write() as unit:
        contact = make_contact(unit, make_organisation(unit))
        actor = actor_of(make_user(unit, roles=(role,)))
        for who in (actor, SYSTEM, _as_contact(contact)):  # SYSTEM has every right, but the right is never given automatically
            with pytest.raises(Forbidden):
                set_approver(unit, who, contact.id, scopes=SCOPES, until=unit.now + timedelta(days=1))


def test_an_administrator_gives_the_right(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        contact = make_contact(unit, make_organisation(unit))
        set_approver(unit, actor_of(make_user(unit, roles=(Role.ADMINISTRATOR,))), contact.id, scopes=SCOPES, until=unit.now + timedelta(days=1))
        assert _usable(unit, contact)


@pytest.mark.parametrize(("case", "obstacle"), [
    ("a technician's own address", Obstacle.TECHNICIAN), ("a mailbox of the desk", Obstacle.DESK_MAILBOX),
    ("our own domain", Obstacle.OWN_DOMAIN), ("no address", Obstacle.NO_ADDRESS), ("left", Obstacle.LEFT),
    ("no organisation", Obstacle.NO_ORGANISATION), ("too long", Obstacle.TOO_LONG), ("past", Obstacle.PAST), ("no scopes", Obstacle.NO_SCOPES),
    ("one ticket without a reason", Obstacle.REASON_MISSING),
])
def test_whom_and_what_the_rules_refuse(sqlite_database: Database, sqlite_settings: Settings, case: str, obstacle: Obstacle) -> None:
    with sqlite_database.write() as unit:
        publish_desk_facts(unit, sqlite_settings)
        organisation = make_organisation(unit)
        contact = make_contact(unit, organisation)
        until, scopes, ticket_id = unit.now + timedelta(days=1), list(SCOPES), None
        match case:
            case "a technician's own address":
                contact.email = "tom@private.example"
                make_user(unit, email="Tom@Private.example")
            case "a mailbox of the desk":
                contact.email = "support@desk.example"
            case "our own domain":
                contact.email = "someone@desk.example"
            case "no address":
                contact.email = None
            case "left":
                contact.left_at = unit.now
            case "no organisation":
                contact.organisation_id = None
            case "too long":
                until = unit.now + MAX_RIGHT + timedelta(seconds=1)
            case "past":
                until = unit.now
            case "no scopes":
                scopes = [" "]
            case _:
                ticket_id = make_ticket(unit, make_queue(unit)).id
        unit.db.flush()
        with pytest.raises(NotAnApprover) as refused:
            set_approver(unit, _lead(unit), contact.id, scopes=scopes, until=until, ticket_id=ticket_id)
        assert refused.value.obstacle is obstacle


def test_our_own_domain_may_approve_in_an_internal_organisation(sqlite_database: Database, sqlite_settings: Settings) -> None:
    with sqlite_database.write() as unit:
        publish_desk_facts(unit, sqlite_settings)
        contact = make_contact(unit, make_organisation(unit, internal=True), email="someone@desk.example")
        set_approver(unit, _lead(unit), contact.id, scopes=SCOPES, until=unit.now + MAX_RIGHT)
        assert _usable(unit, contact)


def test_who_becomes_a_technician_later_can_no_longer_use_the_right(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        contact = make_contact(unit, make_organisation(unit), email="max@muster.example")
        make_approver(unit, contact, make_user(unit))
        assert _usable(unit, contact)
        user = make_user(unit, email="max@muster.example")
        assert not _usable(unit, contact)
        user.disabled_at = unit.now
        assert _usable(unit, contact)


def test_whoever_gave_the_right_may_not_lead_the_session_that_uses_it(database: Database) -> None:
    with database.write() as unit:
        lead, other = make_user(unit, roles=(Role.LEAD,)), make_user(unit, roles=(Role.ADMINISTRATOR,))
        contact = make_contact(unit, make_organisation(unit))
        ticket = make_ticket(unit, make_queue(unit), contact=contact)
        right = make_approver(unit, contact, lead)
        assert not _usable(unit, contact, ticket_id=ticket.id, leader_id=lead.id)
        assert [one.rested for one in _usable(unit, contact, ticket_id=ticket.id, leader_id=other.id)] == [None]
        own = make_approver(unit, contact, lead, ticket_id=ticket.id, reason="The only approver is on holiday")
        assert [(one.right.id, one.rested) for one in _usable(unit, contact, ticket_id=ticket.id, leader_id=lead.id)] == [
            (own.id, Rested.ONE_TICKET)]
        # A right for which no rule had to rest comes first.
        assert [one.right.id for one in _usable(unit, contact, ticket_id=ticket.id, leader_id=other.id)] == [right.id, own.id]
        other.disabled_at = unit.now  # now the lead is alone
        unit.db.flush()
        assert {one.rested for one in _usable(unit, contact, ticket_id=ticket.id, leader_id=lead.id)} == {Rested.SINGLE_PERSON}


def test_a_right_for_one_ticket_serves_that_ticket_and_the_other_approvers_are_told(database: Database) -> None:
    with database.write() as unit:
        organisation = make_organisation(unit, language="de")
        boss = make_contact(unit, organisation, name="Bea Chef", email="boss@muster.example")
        make_approver(unit, boss, make_user(unit))
        contact = make_contact(unit, organisation, name="Max Muster", email="max@muster.example")
        ticket, other = (make_ticket(unit, make_queue(unit), contact=contact) for _ in range(2))
        set_approver(unit, _lead(unit), contact.id, scopes=SCOPES, until=unit.now + timedelta(days=1), ticket_id=ticket.id,
                     reason="Der Server steht, die Chefin ist im Urlaub")
        assert _usable(unit, contact, ticket_id=ticket.id)
        assert not _usable(unit, contact, ticket_id=other.id)
        assert not _usable(unit, contact)
        told = {mail.to_address: mail for mail in unit.db.scalars(select(OutgoingMail))}
        assert set(told) == {"boss@muster.example", "max@muster.example"}
        assert "im Urlaub" in told["boss@muster.example"].text and ticket.number in told["boss@muster.example"].text


def test_a_new_general_right_takes_the_place_of_the_old_one(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        contact, lead = make_contact(unit, make_organisation(unit)), _lead(unit)
        first = set_approver(unit, lead, contact.id, scopes=["terminal", "diagnostics"], until=unit.now + timedelta(days=90))
        second = set_approver(unit, lead, contact.id, scopes=["diagnostics"], until=unit.now + timedelta(days=90))
        assert first.ended_at is not None
        assert not _usable(unit, contact)
        assert [one.right.id for one in _usable(unit, contact, scopes=("diagnostics",))] == [second.id]
        assert ApproverWithdrawn(contact.id, (first.id,), "replaced") in unit.emitted


def test_ending_is_told_and_happens_once(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        contact, lead = make_contact(unit, make_organisation(unit)), _lead(unit)
        right = make_approver(unit, contact, make_user(unit))
        for _ in range(2):
            end_approver(unit, lead, right.id, reason="Abteilung gewechselt")
        assert not _usable(unit, contact)
        assert [mail.purpose for mail in unit.db.scalars(select(OutgoingMail))] == ["approver.ended"]
        assert [one for one in unit.emitted if isinstance(one, ApproverWithdrawn)] == [
            ApproverWithdrawn(contact.id, (right.id,), "Abteilung gewechselt")]
        with pytest.raises(NotFound):
            end_approver(unit, lead, "018f0000-0000-7000-8000-000000000000")
        with pytest.raises(Forbidden):
            end_approver(unit, actor_of(make_user(unit)), right.id)


def test_a_right_ends_by_itself(sqlite_database: Database) -> None:
    clock = FixedClock(SystemClock().now())
    sqlite_database.clock = clock
    with sqlite_database.write() as unit:
        contact = make_contact(unit, make_organisation(unit))
        make_approver(unit, contact, make_user(unit), days=1)
        assert _usable(unit, contact)
    clock.moment += timedelta(days=1)
    with sqlite_database.write() as unit:
        assert not _usable(unit, contact)


def test_the_mailbox_of_a_queue_is_never_an_approver(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        make_queue(unit).address = "Printers@desk.example"
        unit.db.flush()
        contact = make_contact(unit, make_organisation(unit), email="printers@desk.example")
        with pytest.raises(NotAnApprover) as refused:
            set_approver(unit, _lead(unit), contact.id, scopes=SCOPES, until=unit.now + timedelta(days=1))
        assert refused.value.obstacle is Obstacle.DESK_MAILBOX


def test_a_changed_address_waits_a_day_and_the_old_one_is_told(database: Database) -> None:
    clock = FixedClock(SystemClock().now())
    database.clock = clock
    with database.write() as unit:
        contact = make_contact(unit, make_organisation(unit), email="alt@muster.example")
        make_approver(unit, contact, make_user(unit))
        technician = actor_of(make_user(unit, name="Tom Berg"))
        change_contact(unit, technician, contact.id, email="Neu@muster.example")
        assert not _usable(unit, contact)
        mail = unit.db.scalars(select(OutgoingMail)).one()
        assert (mail.to_address, mail.purpose) == ("alt@muster.example", "contact.address_changed")
        assert "neu@muster.example" in mail.text and "Tom Berg" in mail.text
        assert "contact.address_changed" in unit.db.scalars(select(AuditEntry.kind)).all()
    clock.moment += ADDRESS_WAIT - timedelta(seconds=1)
    with database.write() as unit:
        assert not _usable(unit, unit.db.get_one(Contact, contact.id))
    clock.moment += timedelta(seconds=1)
    with database.write() as unit:
        assert _usable(unit, unit.db.get_one(Contact, contact.id))


@pytest.mark.parametrize("change", [{"shared_mailbox": False}, {"phone": "+49221999999"}])
def test_how_an_approver_is_called_back_is_changed_only_by_a_lead_and_audited(sqlite_database: Database, change: dict[str, Any]) -> None:
    with sqlite_database.write() as unit:
        contact = make_contact(unit, make_organisation(unit), email="info@muster.example", phone="+4922112345")
        contact.shared_mailbox = True
        technician, lead = actor_of(make_user(unit)), _lead(unit)
        make_approver(unit, contact, make_user(unit))
    with pytest.raises(Forbidden), sqlite_database.write() as unit:
        change_contact(unit, technician, contact.id, **change)
    with sqlite_database.write() as unit:
        change_contact(unit, technician, contact.id, name="Info", shared_mailbox=True, phone="+4922112345")  # as it was
        assert "contact.changed" not in unit.db.scalars(select(AuditEntry.kind)).all()
        change_contact(unit, lead, contact.id, **change)
        assert "contact.changed" in unit.db.scalars(select(AuditEntry.kind)).all()


def test_a_first_address_given_to_a_known_person_waits_too(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        contact = make_contact(unit, make_organisation(unit), email=None, phone="+4922112345")
        change_contact(unit, actor_of(make_user(unit)), contact.id, email="neu@muster.example")
        make_approver(unit, contact, make_user(unit))
        assert not _usable(unit, contact)
        assert unit.db.scalars(select(OutgoingMail)).all() == []


def test_another_approver_may_confirm_a_changed_address(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        organisation = make_organisation(unit)
        contact, colleague = (make_contact(unit, organisation) for _ in range(2))
        stranger = make_contact(unit, make_organisation(unit))
        giver = make_user(unit)
        for one in (contact, colleague, stranger):
            make_approver(unit, one, giver)
        change_contact(unit, actor_of(giver), contact.id, email="neu@muster.example")
        for actor in (_as_contact(contact), _as_contact(stranger), _lead(unit), SYSTEM):
            with pytest.raises(Forbidden):
                confirm_address(unit, actor, contact.id)
        confirm_address(unit, _as_contact(colleague), contact.id)
        assert _usable(unit, contact)
        change_contact(unit, actor_of(giver), contact.id, email="noch-neuer@muster.example")
        assert not _usable(unit, contact)


def test_a_bounce_suspends_until_the_address_is_put_right(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        contact, lead = make_contact(unit, make_organisation(unit), email="alt@muster.example"), _lead(unit)
        right = make_approver(unit, contact, make_user(unit))
        contact.email_bounced_at = unit.now
        assert [one.id for one in suspend_approvers(unit, contact.id, "address_bounced")] == [right.id]
        assert suspend_approvers(unit, contact.id, "address_bounced") == []
        assert not _usable(unit, contact)
        with pytest.raises(Conflict):
            resume_approvers(unit, lead, contact.id)
        change_contact(unit, lead, contact.id, email="neu@muster.example")
        resume_approvers(unit, lead, contact.id)
        assert right.suspended_at is None
        assert not _usable(unit, contact)  # the new address still waits its day


@pytest.mark.parametrize("change", ["left", "organisation"])
def test_leaving_the_company_ends_the_right(sqlite_database: Database, change: str) -> None:
    with sqlite_database.write() as unit:
        contact = make_contact(unit, make_organisation(unit))
        right = make_approver(unit, contact, make_user(unit))
        technician = actor_of(make_user(unit))
        if change == "left":
            mark_left(unit, technician, contact.id)
            mark_left(unit, technician, contact.id, left=False)  # who comes back gets no right back
        else:
            change_contact(unit, technician, contact.id, organisation_id=make_organisation(unit).id)
        assert right.ended_at is not None
        assert not _usable(unit, contact)
        assert [one.right_ids for one in unit.emitted if isinstance(one, ApproverWithdrawn)] == [(right.id,)]


def test_a_shared_mailbox_needs_a_call_back_for_administrator_rights() -> None:
    shared, own = Contact(shared_mailbox=True), Contact(shared_mailbox=False)
    assert needs_call_back(shared, ["terminal.admin"])
    assert not needs_call_back(shared, ["terminal"])
    assert not needs_call_back(own, ["terminal.admin"])


def test_an_end_without_a_zone_is_refused(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        contact = make_contact(unit, make_organisation(unit))
        with pytest.raises(InvalidInput):
            set_approver(unit, _lead(unit), contact.id, scopes=SCOPES, until=(unit.now + timedelta(days=1)).replace(tzinfo=None))
