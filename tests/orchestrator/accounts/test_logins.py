"""Logins: nothing before the second factor, a new secret with it, and every way in which one ends."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import Role
from orchestrator.accounts.errors import StepUpNeeded
from orchestrator.accounts.events import LoginRevoked, UserDisabled
from orchestrator.accounts.logins import (
    actor_for_login,
    actor_for_login_id,
    begin_login,
    end_login,
    prove_login,
    require_step_up,
    revoke_login,
    touch_login,
)
from orchestrator.accounts.models import Login
from orchestrator.accounts.queries import list_logins
from orchestrator.accounts.service import change_own_password, disable_user
from orchestrator.core.db import Database
from orchestrator.core.errors import NotFound
from orchestrator.core.settings import Settings
from tests.orchestrator.accounts.builders import add_person, log_in, make_actor, pass_time, stop_clock


def test_a_password_alone_is_nobody(database: Database) -> None:
    person = add_person(database)
    with database.write() as unit:
        login, secret = begin_login(unit, person.user, address="192.0.2.7", agent_name="Test")
        assert actor_for_login(unit, secret, None) is None
        assert actor_for_login_id(unit, login.id, None) is None


def test_proving_the_second_factor_replaces_the_cookie(database: Database) -> None:
    person = add_person(database, Role.LEAD)
    with database.write() as unit:
        login, first = begin_login(unit, person.user, address="192.0.2.7", agent_name="Test")
        token = login.csrf_secret
        second = prove_login(unit, login, hours=12)
        assert actor_for_login(unit, first, None) is None
        actor = actor_for_login(unit, second, "192.0.2.9")
        assert login.csrf_secret != token
    assert actor is not None
    assert (actor.user_id, actor.login_id, actor.address, actor.proved_at) == (person.user.id, login.id, "192.0.2.9", unit.now)
    assert actor.roles == {Role.LEAD}


def test_the_cookie_is_not_in_the_database(database: Database) -> None:
    person = add_person(database)
    with database.write() as unit:
        _, secret = log_in(unit, person)
        stored = unit.db.scalars(select(Login)).one()
    assert secret not in (stored.secret_hash, stored.csrf_secret) and len(stored.secret_hash) == 64


@pytest.mark.parametrize("cookie", ["", "x", "\ud800", "a" * 10_000, "' or 1=1 --"])
def test_a_strange_cookie_is_nobody(database: Database, cookie: str) -> None:
    make_actor(database, add_person(database))
    with database.read() as unit:
        assert actor_for_login(unit, cookie, None) is None


@pytest.mark.parametrize(("hours", "touched", "lives"), [(3.9, False, True), (4.1, False, False), (11.9, True, True), (12.1, True, False)])
def test_a_login_ends_by_age_and_by_being_idle(database: Database, hours: float, touched: bool, lives: bool) -> None:
    clock = stop_clock(database)
    person = add_person(database)
    with database.write() as unit:
        actor, secret = log_in(unit, person)
    start = clock.moment
    pass_time(clock, hours=hours)
    if touched:
        moment, clock.moment = clock.moment, start
        while clock.moment < moment:
            with database.write() as unit:
                assert actor.login_id is not None
                touch_login(unit, actor.login_id, address=None)
            clock.moment = min(moment, clock.moment + (moment - start) / 6)
    with database.read() as unit:
        assert (actor_for_login(unit, secret, None) is not None) is lives


def test_a_login_without_second_factor_is_given_up_after_ten_minutes(database: Database) -> None:
    clock = stop_clock(database)
    person = add_person(database)
    with database.write() as unit:
        login, _ = begin_login(unit, person.user, address="", agent_name="")
    assert (login.expires_at - clock.moment).total_seconds() == 600


def test_logging_out_ends_the_login_and_says_so(database: Database) -> None:
    heard: list[LoginRevoked] = []
    database.events.after_commit(LoginRevoked, heard.append)
    person = add_person(database)
    with database.write() as unit:
        actor, secret = log_in(unit, person)
    with database.write() as unit:
        end_login(unit, actor)
    with database.read() as unit:
        assert actor_for_login(unit, secret, None) is None
    assert [happened.login_id for happened in heard] == [actor.login_id]


def test_one_login_can_be_revoked_from_another_but_nobody_elses(database: Database) -> None:
    anna, bert = add_person(database), add_person(database, email="bert@desk.example")
    with database.write() as unit:
        laptop, _ = log_in(unit, anna)
        phone, phone_cookie = log_in(unit, anna)
        stranger, _ = log_in(unit, bert)
    assert phone.login_id and stranger.login_id
    with database.write() as unit:
        assert {login.id for login in list_logins(unit, laptop)} == {laptop.login_id, phone.login_id}
        with pytest.raises(NotFound):
            revoke_login(unit, laptop, stranger.login_id)
        revoke_login(unit, laptop, phone.login_id)
        assert actor_for_login(unit, phone_cookie, None) is None
        with pytest.raises(NotFound):
            revoke_login(unit, laptop, phone.login_id)


def test_a_disabled_user_is_out_at_once(database: Database) -> None:
    heard: list[UserDisabled] = []
    database.events.after_commit(UserDisabled, heard.append)
    chief = make_actor(database, add_person(database, Role.ADMINISTRATOR, email="chief@desk.example"))
    person = add_person(database)
    with database.write() as unit:
        actor, secret = log_in(unit, person)
    with database.write() as unit:
        disable_user(unit, chief, unit.db.get_one(type(person.user), person.user.id))
    with database.read() as unit:
        assert actor_for_login(unit, secret, None) is None
        assert actor.login_id and actor_for_login_id(unit, actor.login_id, None) is None
    assert heard == [UserDisabled(person.user.id)]


def test_a_new_password_ends_the_other_logins(database: Database) -> None:
    person = add_person(database)
    with database.write() as unit:
        here, here_cookie = log_in(unit, person)
        _, there_cookie = log_in(unit, person)
    with database.write() as unit:
        change_own_password(unit, here, password_hash="another hash")
        assert actor_for_login(unit, here_cookie, None) is not None
        assert actor_for_login(unit, there_cookie, None) is None


def test_the_second_factor_must_be_fresh_for_a_step_up(database: Database) -> None:
    clock = stop_clock(database)
    settings = Settings(step_up_minutes=15)
    actor = make_actor(database, add_person(database))
    pass_time(clock, minutes=14)
    require_step_up(actor, clock.moment, settings)
    pass_time(clock, minutes=2)
    with pytest.raises(StepUpNeeded):
        require_step_up(actor, clock.moment, settings)


def test_a_step_up_does_not_lengthen_the_login(database: Database) -> None:
    clock = stop_clock(database)
    person = add_person(database)
    with database.write() as unit:
        actor, secret = log_in(unit, person)
        login = unit.db.get_one(Login, actor.login_id)
        end = login.expires_at
    pass_time(clock, hours=3)
    with database.write() as unit:
        login = unit.db.get_one(Login, actor.login_id)
        again = prove_login(unit, login, hours=12)
        assert login.expires_at == end
        assert actor_for_login(unit, secret, None) is None
        fresh = actor_for_login(unit, again, None)
    assert fresh is not None and fresh.proved_at == clock.moment
