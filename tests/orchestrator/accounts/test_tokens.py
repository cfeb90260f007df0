"""API tokens: never more than their owner, neither when made nor when used, and what reaches machines must be named."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM, Actor, Right, Role
from orchestrator.accounts.errors import StepUpNeeded
from orchestrator.accounts.logins import require_step_up
from orchestrator.accounts.models import APIToken, User
from orchestrator.accounts.queries import list_tokens
from orchestrator.accounts.service import add_user, change_own_password, change_roles, disable_user, renew_set_up
from orchestrator.accounts.tokens import actor_for_token, actor_for_token_id, create_token, revoke_token, touch_token
from orchestrator.audit.queries import list_audit
from orchestrator.core.db import Database
from orchestrator.core.errors import Forbidden, InvalidInput, NotFound
from orchestrator.core.settings import Settings
from tests.orchestrator.accounts.builders import Person, actor_without_login, add_person, make_actor, pass_time, stop_clock


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """What is asked here does not depend on the engine."""
    return sqlite_database


def make_token(database: Database, person: Person, *rights: str, actor: Actor | None = None, address: str | None = None,
               hours: int | None = None) -> str:
    actor = actor or make_actor(database, person)
    with database.write() as unit:
        user = unit.db.get_one(User, person.user.id)
        return create_token(unit, actor, user=user, rights=list(rights), address=address, hours=hours)


def use_token(database: Database, bearer: str, address: str | None = "192.0.2.7") -> Actor | None:
    with database.read() as unit:
        return actor_for_token(unit, bearer, address)


def test_a_token_stands_for_its_owner_with_the_named_rights(database: Database) -> None:
    person = add_person(database)
    bearer = make_token(database, person, "tickets:read", "tickets:write")
    actor = use_token(database, bearer)
    assert bearer.startswith("fwt_") and actor is not None
    assert (actor.user_id, actor.login_id, actor.proved_at) == (person.user.id, None, None)
    assert actor.token_id is not None
    assert actor.rights == {Right.TICKETS_READ, Right.TICKETS_WRITE}


def test_all_leaves_out_what_reaches_machines(database: Database) -> None:
    actor = use_token(database, make_token(database, add_person(database), "all"))
    assert actor is not None
    assert Right.SESSIONS_READ in actor.rights and Right.TICKETS_WRITE in actor.rights
    assert not actor.rights & {Right.SESSIONS_REQUEST, Right.CHANNELS_OPEN}


def test_rights_that_reach_machines_are_had_by_name_and_for_a_day(database: Database) -> None:
    clock = stop_clock(database)
    person = add_person(database)
    bearer = make_token(database, person, "all", "sessions:request", "channels:open")
    actor = use_token(database, bearer)
    assert actor is not None and {Right.SESSIONS_REQUEST, Right.CHANNELS_OPEN} <= actor.rights
    for right in ("sessions:request", "channels:open"):
        with pytest.raises(InvalidInput):
            make_token(database, person, right, hours=25)
    pass_time(clock, hours=24, seconds=1)
    assert use_token(database, bearer) is None


def test_other_tokens_live_ninety_days_unless_said_otherwise(database: Database) -> None:
    clock = stop_clock(database)
    person = add_person(database)
    bearer, short = make_token(database, person, "all"), make_token(database, person, "all", hours=2)
    pass_time(clock, hours=3)
    assert use_token(database, short) is None
    pass_time(clock, days=89)
    assert use_token(database, bearer) is not None
    pass_time(clock, days=2)
    assert use_token(database, bearer) is None


@pytest.mark.parametrize("hours", [0, -1, 24 * 367])
def test_a_token_lives_neither_for_ever_nor_for_nothing(database: Database, hours: int) -> None:
    with pytest.raises(InvalidInput):
        make_token(database, add_person(database), "all", hours=hours)


@pytest.mark.parametrize("right", ["endpoints:accept", "audit:read"])
def test_a_token_cannot_be_made_with_a_right_its_owner_lacks(database: Database, right: str) -> None:
    with pytest.raises(Forbidden):
        make_token(database, add_person(database, Role.TECHNICIAN), right)


@pytest.mark.parametrize("right", ["accounts:write", "queues:write", "approvers:write", "queues:all", "sessions:end-any", "", "ALL", "*",
                                   "tickets:read,audit:read"])
def test_what_is_no_right_of_tokens_is_refused(database: Database, right: str) -> None:
    with pytest.raises(InvalidInput):
        make_token(database, add_person(database, Role.ADMINISTRATOR, Role.LEAD), right)


def test_a_token_without_rights_is_refused(database: Database) -> None:
    with pytest.raises(InvalidInput):
        make_token(database, add_person(database))


def test_all_of_an_administrator_does_not_reach_accounts(database: Database) -> None:
    actor = use_token(database, make_token(database, add_person(database, Role.ADMINISTRATOR), "all"))
    assert actor is not None
    assert not actor.may(Right.ACCOUNTS_WRITE) and not actor.may(Right.QUEUES_WRITE)
    assert actor.may(Right.AUDIT_READ)


def test_a_right_that_the_owner_loses_is_lost_to_the_token(database: Database) -> None:
    chief = make_actor(database, add_person(database, Role.ADMINISTRATOR, email="chief@desk.example"))
    person = add_person(database, Role.LEAD)
    bearer = make_token(database, person, "endpoints:accept", "tickets:read")
    with database.write() as unit:
        change_roles(unit, chief, unit.db.get_one(User, person.user.id), roles=["auditor"])
    actor = use_token(database, bearer)
    assert actor is not None
    assert Right.ENDPOINTS_ACCEPT not in actor.rights and Right.TICKETS_READ in actor.rights


def test_a_right_that_the_owner_gains_is_not_gained_by_the_token(database: Database) -> None:
    chief = make_actor(database, add_person(database, Role.ADMINISTRATOR, email="chief@desk.example"))
    person = add_person(database, Role.TECHNICIAN)
    bearer = make_token(database, person, "all")
    with database.write() as unit:
        change_roles(unit, chief, unit.db.get_one(User, person.user.id), roles=["lead", "administrator"])
    actor = use_token(database, bearer)
    assert actor is not None
    assert not actor.rights & {Right.AUDIT_READ, Right.ENDPOINTS_ACCEPT, Right.ACCOUNTS_WRITE, Right.SESSIONS_REQUEST}


def test_a_token_cannot_make_a_token_or_touch_the_account(database: Database) -> None:
    person = add_person(database, Role.ADMINISTRATOR, Role.LEAD)
    bearer = make_token(database, person, "all", "sessions:request", "channels:open")
    actor = use_token(database, bearer)
    assert actor is not None
    with pytest.raises(Forbidden):
        make_token(database, person, "tickets:read", actor=actor)
    with database.write() as unit:
        for call in (
            lambda: change_own_password(unit, actor, password_hash="x"),
            lambda: add_user(unit, actor, email="x@desk.example", name="X", roles=["administrator"]),
            lambda: disable_user(unit, actor, person.user),
            lambda: renew_set_up(unit, actor, person.user),
            lambda: list_tokens(unit, actor),
        ):
            with pytest.raises(Forbidden):
                call()


def test_a_token_is_made_for_oneself_only(database: Database) -> None:
    chief = make_actor(database, add_person(database, Role.ADMINISTRATOR, email="chief@desk.example"))
    with pytest.raises(Forbidden):
        make_token(database, add_person(database), "tickets:read", actor=chief)


def test_an_actor_without_a_login_makes_no_token(database: Database) -> None:
    person = add_person(database)
    with pytest.raises(Forbidden):
        make_token(database, person, "tickets:read", actor=actor_without_login(database, person))


def test_the_command_line_makes_tokens_within_the_rights_of_the_owner(database: Database) -> None:
    person = add_person(database, Role.TECHNICIAN)
    assert use_token(database, make_token(database, person, "all", actor=SYSTEM)) is not None
    with pytest.raises(Forbidden):
        make_token(database, person, "audit:read", actor=SYSTEM)


@pytest.mark.parametrize(("network", "address", "allowed"), [
    ("192.0.2.0/24", "192.0.2.200", True), ("192.0.2.0/24", "192.0.3.1", False), ("192.0.2.7", "192.0.2.7", True),
    ("192.0.2.7", "192.0.2.8", False), ("192.0.2.0/24", "::ffff:192.0.2.9", True), ("2001:db8::/32", "2001:db8::1", True),
    ("2001:db8::/32", "192.0.2.1", False), ("192.0.2.0/24", None, False), ("192.0.2.0/24", "", False), ("0.0.0.0/0", "testclient", False),
])
def test_a_token_is_bound_to_its_network(database: Database, network: str, address: str | None, allowed: bool) -> None:
    bearer = make_token(database, add_person(database), "all", address=network)
    assert (use_token(database, bearer, address) is not None) is allowed


def test_a_network_that_is_none_is_refused(database: Database) -> None:
    with pytest.raises(InvalidInput):
        make_token(database, add_person(database), "all", address="office")


@pytest.mark.parametrize("bearer", ["", "fwt_", "fwt_wrong", "fwa_agent", "Bearer", "\ud800", "fwt_\x00"])
def test_a_wrong_token_is_nobody(database: Database, bearer: str) -> None:
    make_token(database, add_person(database), "all")
    assert use_token(database, bearer) is None


def test_a_hash_from_the_database_is_no_token(database: Database) -> None:
    make_token(database, add_person(database), "all")
    with database.read() as unit:
        stored = unit.db.scalars(select(APIToken)).one()
        assert actor_for_token(unit, stored.secret_hash, None) is None
        assert actor_for_token(unit, "fwt_" + stored.secret_hash, None) is None


def test_a_disabled_users_tokens_end(database: Database) -> None:
    chief = make_actor(database, add_person(database, Role.ADMINISTRATOR, email="chief@desk.example"))
    person = add_person(database)
    bearer = make_token(database, person, "all")
    actor = use_token(database, bearer)
    assert actor is not None and actor.token_id is not None
    with database.write() as unit:
        disable_user(unit, chief, unit.db.get_one(User, person.user.id))
    assert use_token(database, bearer) is None
    with database.read() as unit:
        assert actor_for_token_id(unit, actor.token_id, None) is None


def test_a_token_is_revoked_by_its_owner_alone(database: Database) -> None:
    person = add_person(database)
    owner, other = make_actor(database, person), make_actor(database, add_person(database, email="bert@desk.example"))
    bearer = make_token(database, person, "all")
    with database.write() as unit:
        token = list_tokens(unit, owner)[0]
        with pytest.raises(NotFound):
            revoke_token(unit, other, token.id)
        revoke_token(unit, owner, token.id)
        assert list_tokens(unit, owner) == []
    assert use_token(database, bearer) is None


def test_a_token_stands_in_for_the_step_up_and_the_audit_names_it(database: Database) -> None:
    person = add_person(database, Role.AUDITOR)
    owner = make_actor(database, person)
    bearer = make_token(database, person, "all", actor=owner)
    actor = use_token(database, bearer)
    assert actor is not None
    require_step_up(actor, database.clock.now(), Settings())
    with pytest.raises(StepUpNeeded):
        require_step_up(actor_without_login(database, person), database.clock.now(), Settings())
    with database.read() as unit:
        entry = list_audit(unit, owner, kind="token.created")[0]
    assert bearer not in entry.summary and "tickets:read" in entry.summary


def test_the_use_of_a_token_is_noted(database: Database) -> None:
    person = add_person(database)
    actor = use_token(database, make_token(database, person, "all"))
    assert actor is not None and actor.token_id is not None
    with database.write() as unit:
        touch_token(unit, actor.token_id)
    with database.read() as unit:
        assert unit.db.scalars(select(APIToken)).one().last_used_at is not None
