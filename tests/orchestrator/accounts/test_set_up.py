"""One-time links: the first administrator, a new colleague, a changed second factor; each works once."""

from __future__ import annotations

import pytest
from pyotp.totp import TOTP
from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM, Role
from orchestrator.accounts.errors import LinkSpent
from orchestrator.accounts.links import (
    FIRST,
    SECOND_FACTOR,
    SET_UP,
    begin_second_factor,
    complete_second_factor,
    complete_set_up,
    find_open_link,
    make_first_link,
)
from orchestrator.accounts.logins import actor_for_login
from orchestrator.accounts.models import OneTimeLink, User
from orchestrator.accounts.second_factor import prove_second_factor
from orchestrator.accounts.secret_box import read_totp_secret
from orchestrator.accounts.service import add_user, change_own_password, disable_user, renew_set_up
from orchestrator.accounts.tokens import actor_for_token, create_token
from orchestrator.core.db import Database
from orchestrator.core.errors import InvalidInput
from tests.orchestrator.accounts.builders import add_person, log_in, make_actor, pass_time, stop_clock


def first_token(database: Database) -> str:
    with database.write() as unit:
        token = make_first_link(unit)
    assert token is not None
    return token


def code_of(database: Database, token: str) -> str:
    with database.read() as unit:
        secret = find_open_link(unit, token, FIRST, SET_UP, SECOND_FACTOR).totp_secret
    return TOTP(secret).at(int(database.clock.now().timestamp()))


def set_up_first(database: Database, token: str, *, email: str = "chief@desk.example", works_tickets: bool = False) -> User:
    code = code_of(database, token)
    with database.write() as unit:
        return complete_set_up(unit, token, password_hash="hash", code=code, email=email, name="Chief", works_tickets=works_tickets)


def test_the_first_administrator_is_made_by_the_first_link(database: Database) -> None:
    user = set_up_first(database, first_token(database))
    assert (user.roles, user.email, user.password_hash) == (["administrator"], "chief@desk.example", "hash")


def test_the_first_administrator_may_work_as_well(database: Database) -> None:
    assert set(set_up_first(database, first_token(database), works_tickets=True).roles) == {"administrator", "technician", "lead"}


def test_a_link_works_once(database: Database) -> None:
    token = first_token(database)
    set_up_first(database, token)
    with pytest.raises(LinkSpent), database.write() as unit:
        complete_set_up(unit, token, password_hash="hash", code="000000", email="other@desk.example", name="Other")
    with database.read() as unit:
        assert len(unit.db.scalars(select(User)).all()) == 1


def test_each_start_replaces_the_first_link(database: Database) -> None:
    old = first_token(database)
    new = first_token(database)
    with database.read() as unit:
        find_open_link(unit, new, FIRST)
        with pytest.raises(LinkSpent):
            find_open_link(unit, old, FIRST)


def test_there_is_no_first_link_once_somebody_exists(database: Database) -> None:
    add_person(database)
    with database.write() as unit:
        assert make_first_link(unit) is None


def test_a_first_link_left_over_is_dead_once_somebody_exists(database: Database) -> None:
    token = first_token(database)
    code = code_of(database, token)
    add_person(database)
    with database.read() as unit, pytest.raises(LinkSpent):
        find_open_link(unit, token, FIRST, SET_UP)
    with pytest.raises(LinkSpent), database.write() as unit:
        complete_set_up(unit, token, password_hash="hash", code=code, email="x@desk.example", name="X")


def test_a_link_ends_after_a_day(database: Database) -> None:
    clock = stop_clock(database)
    token = first_token(database)
    pass_time(clock, hours=24, seconds=1)
    with database.read() as unit, pytest.raises(LinkSpent):
        find_open_link(unit, token, FIRST)


@pytest.mark.parametrize("token", ["", "x", "\ud800", "../", "a" * 5000])
def test_a_strange_token_opens_nothing(database: Database, token: str) -> None:
    first_token(database)
    with database.read() as unit, pytest.raises(LinkSpent):
        find_open_link(unit, token, FIRST, SET_UP)


def test_a_wrong_code_leaves_the_link_open(database: Database) -> None:
    stop_clock(database)
    token = first_token(database)
    right = code_of(database, token)
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"
    with pytest.raises(InvalidInput) as caught, database.write() as unit:
        complete_set_up(unit, token, password_hash="hash", code=wrong, email="c@desk.example", name="C")
    assert caught.value.field == "code"
    set_up_first(database, token)


def test_the_code_of_the_set_up_is_used_up(database: Database) -> None:
    stop_clock(database)
    token = first_token(database)
    code = code_of(database, token)
    user = set_up_first(database, token)
    with database.write() as unit:
        assert not prove_second_factor(unit, user.id, code)


def test_a_colleague_sets_password_and_second_factor_by_his_link(database: Database) -> None:
    with database.write() as unit:
        user, token = add_user(unit, SYSTEM, email="Bert@Desk.Example", name=" Bert  Bau ", roles=["technician"])
        assert (user.email, user.name, user.password_hash) == ("bert@desk.example", "Bert Bau", None)
    code = code_of(database, token)
    with database.write() as unit:
        same = complete_set_up(unit, token, password_hash="hash", code=code, email="evil@desk.example", name="Evil", works_tickets=True)
        assert (same.id, same.email, same.name, same.roles) == (user.id, "bert@desk.example", "Bert Bau", ["technician"])


def test_a_new_link_replaces_the_old_one_and_ends_logins_when_used(database: Database) -> None:
    person = add_person(database)
    with database.write() as unit:
        _, cookie = log_in(unit, person)
        user = unit.db.get_one(User, person.user.id)
        old, new = renew_set_up(unit, SYSTEM, user), renew_set_up(unit, SYSTEM, user)
        with pytest.raises(LinkSpent):
            find_open_link(unit, old, SET_UP)
        assert actor_for_login(unit, cookie, None) is not None
    code = code_of(database, new)
    with database.write() as unit:
        complete_set_up(unit, new, password_hash="new hash", code=code)
        assert actor_for_login(unit, cookie, None) is None


def test_a_reset_ends_api_tokens_too(sqlite_database: Database) -> None:
    person = add_person(sqlite_database)
    with sqlite_database.write() as unit:
        user = unit.db.get_one(User, person.user.id)
        bearer = create_token(unit, SYSTEM, user=user, rights=["all"])
        link = renew_set_up(unit, SYSTEM, user)
        assert actor_for_token(unit, bearer, None) is not None
    code = code_of(sqlite_database, link)
    with sqlite_database.write() as unit:
        complete_set_up(unit, link, password_hash="new hash", code=code)
        assert actor_for_token(unit, bearer, None) is None


def test_an_own_new_password_makes_an_open_set_up_link_useless(sqlite_database: Database) -> None:
    person = add_person(sqlite_database)
    with sqlite_database.write() as unit:
        link = renew_set_up(unit, SYSTEM, unit.db.get_one(User, person.user.id))
        change_own_password(unit, log_in(unit, person)[0], password_hash="new hash")
        with pytest.raises(LinkSpent):
            find_open_link(unit, link, SET_UP)


def test_a_disabled_users_link_is_dead(database: Database) -> None:
    chief = make_actor(database, add_person(database, Role.ADMINISTRATOR, email="chief@desk.example"))
    with database.write() as unit:
        user, token = add_user(unit, chief, email="b@desk.example", name="B", roles=["technician"])
        disable_user(unit, chief, user)
        with pytest.raises(LinkSpent):
            find_open_link(unit, token, SET_UP)


def test_ones_second_factor_is_changed_by_a_code_of_the_new_one(database: Database) -> None:
    person, stranger_person = add_person(database), add_person(database, email="bert@desk.example")
    with database.write() as unit:
        here, here_cookie = log_in(unit, person)
        _, there_cookie = log_in(unit, person)
        token = begin_second_factor(unit, here)
        stranger, _ = log_in(unit, stranger_person)
    code = code_of(database, token)
    with database.write() as unit:
        with pytest.raises(LinkSpent):
            complete_second_factor(unit, stranger, token, code=code)
        with pytest.raises(InvalidInput):
            complete_second_factor(unit, here, token, code="000000" if code != "000000" else "000001")
        complete_second_factor(unit, here, token, code=code)
        assert actor_for_login(unit, here_cookie, None) is not None
        assert actor_for_login(unit, there_cookie, None) is None
        assert read_totp_secret(unit, unit.db.get_one(User, person.user.id)) != person.totp_secret


def test_a_second_factor_link_sets_no_password(database: Database) -> None:
    actor = make_actor(database, add_person(database))
    with database.write() as unit:
        token = begin_second_factor(unit, actor)
        with pytest.raises(LinkSpent):
            complete_set_up(unit, token, password_hash="hash", code="123456")


def test_neither_token_nor_secret_stay_behind(database: Database) -> None:
    token = first_token(database)
    set_up_first(database, token)
    with database.read() as unit:
        link = unit.db.scalars(select(OneTimeLink)).one()
    assert token not in link.token_hash and link.payload == {} and link.used_at is not None
