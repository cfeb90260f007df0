"""Adding and changing people, what is checked about them, passwords, and the counts of attempts."""

from __future__ import annotations

import pytest

from orchestrator.accounts.actor import SYSTEM, Right, Role
from orchestrator.accounts.attempts import LoginAttempts, group_address
from orchestrator.accounts.errors import LastAdministrator, TooManyAttempts
from orchestrator.accounts.models import User
from orchestrator.accounts.passwords import check_password, hash_password
from orchestrator.accounts.policy import check_new_password, is_common
from orchestrator.accounts.queries import actor_for_user, get_user, list_users, roles_of, single_person_desk
from orchestrator.accounts.service import add_user, change_own_profile, change_roles, disable_user, enable_user, renew_set_up
from orchestrator.accounts.settings_store import SINGLE_PERSON, get_setting, set_setting
from orchestrator.audit.queries import list_audit, verify_audit
from orchestrator.core.db import Database
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from tests.orchestrator.accounts.builders import add_person, make_actor


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """What is asked here does not depend on the engine."""
    return sqlite_database


def test_adding_a_person_is_in_the_audit_without_the_link(database: Database) -> None:
    with database.write() as unit:
        user, token = add_user(unit, SYSTEM, email="b@desk.example", name="Bert", roles=["technician", "lead", "lead"])
    with database.read() as unit:
        entry = list_audit(unit, SYSTEM)[0]
        assert verify_audit(unit).is_whole
    assert entry.kind == "user.added" and entry.subject == f"user {user.id}" and token not in entry.summary
    assert user.roles == ["lead", "technician"]


@pytest.mark.parametrize(("email", "name", "roles", "field"), [
    ("nobody", "B", ["technician"], "email"), ("a@b@c", "B", ["technician"], "email"), ("a b@c.example", "B", ["technician"], "email"),
    ("x" * 250 + "@c.example", "B", ["technician"], "email"), ("a@c.example\r\nBcc: x@y", "B", ["technician"], "email"),
    ("b@c.example", "  ", ["technician"], "name"), ("b@c.example", "x" * 201, ["technician"], "name"),
    ("b@c.example", "B\u202eert", ["technician"], "name"), ("b@c.example", "B", [], "roles"), ("b@c.example", "B", ["root"], "roles"),
])
def test_what_cannot_be_used_is_refused_by_field(database: Database, email: str, name: str, roles: list[str], field: str) -> None:
    with pytest.raises(InvalidInput) as caught, database.write() as unit:
        add_user(unit, SYSTEM, email=email, name=name, roles=roles)
    assert caught.value.field == field


def test_an_address_has_one_account(database: Database) -> None:
    add_person(database, email="anna@desk.example")
    with pytest.raises(InvalidInput) as caught, database.write() as unit:
        add_user(unit, SYSTEM, email="ANNA@desk.example", name="B", roles=["lead"])
    assert caught.value.field == "email"


@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.LEAD, Role.AUDITOR])
def test_only_administrators_change_accounts(database: Database, role: Role) -> None:
    actor = make_actor(database, add_person(database, role))
    other = add_person(database, email="b@desk.example").user
    with database.write() as unit:
        for call in (
            lambda: add_user(unit, actor, email="c@desk.example", name="C", roles=["lead"]),
            lambda: change_roles(unit, actor, other, roles=["lead"]),
            lambda: disable_user(unit, actor, other),
            lambda: enable_user(unit, actor, other),
            lambda: renew_set_up(unit, actor, other),
        ):
            with pytest.raises(Forbidden):
                call()
        with pytest.raises(NotFound):
            get_user(unit, actor, other.id)


def test_roles_count_from_the_next_request_on(database: Database) -> None:
    person = add_person(database, Role.TECHNICIAN)
    with database.write() as unit:
        user = unit.db.get_one(User, person.user.id)
        assert not actor_for_user(unit, user).may(Right.AUDIT_READ)
        change_roles(unit, SYSTEM, user, roles=["lead"])
        assert actor_for_user(unit, user).may(Right.AUDIT_READ)


def test_a_disabled_user_may_do_nothing_until_enabled(database: Database) -> None:
    person = add_person(database, Role.LEAD)
    with database.write() as unit:
        user = unit.db.get_one(User, person.user.id)
        disable_user(unit, SYSTEM, user)
        assert actor_for_user(unit, user).rights == frozenset()
        with pytest.raises(Conflict):
            renew_set_up(unit, SYSTEM, user)
        enable_user(unit, SYSTEM, user)
        assert actor_for_user(unit, user).may(Right.TICKETS_READ)


def test_the_last_administrator_stays(database: Database) -> None:
    chief = add_person(database, Role.ADMINISTRATOR, email="chief@desk.example")
    actor = make_actor(database, chief)
    with database.write() as unit:
        user = unit.db.get_one(User, chief.user.id)
        with pytest.raises(LastAdministrator):
            disable_user(unit, actor, user)
        with pytest.raises(LastAdministrator):
            change_roles(unit, actor, user, roles=["lead"])
        add_user(unit, actor, email="new@desk.example", name="Not yet", roles=["administrator"])
        with pytest.raises(LastAdministrator):
            disable_user(unit, actor, user)
    add_person(database, Role.ADMINISTRATOR, email="second@desk.example")
    with database.write() as unit:
        change_roles(unit, actor, unit.db.get_one(User, chief.user.id), roles=["lead"])


def test_ones_own_profile(database: Database) -> None:
    actor = make_actor(database, add_person(database))
    with database.write() as unit:
        user = change_own_profile(unit, actor, name="Anna Neu", language="en", time_zone="America/New_York", theme="dark")
        assert (user.name, user.language, user.time_zone, user.theme) == ("Anna Neu", "en", "America/New_York", "dark")
        for field, value in (("language", "fr"), ("time_zone", "Mars/Olympus"), ("theme", "pink"), ("name", "")):
            with pytest.raises(InvalidInput) as caught:
                change_own_profile(unit, actor, **{field: value})
            assert caught.value.field == field


def test_people_are_listed_for_those_who_work_here(database: Database) -> None:
    actor = make_actor(database, add_person(database))
    add_person(database, email="b@desk.example", name="Aaron")
    with database.read() as unit:
        assert [user.name for user in list_users(unit, actor)] == ["Aaron", "Anna Kaya"]


def test_unknown_role_words_in_the_database_give_nothing() -> None:
    assert roles_of(User(roles=["root", "lead"])) == {Role.LEAD}


def test_the_rule_of_two_rests_while_there_are_not_two(database: Database) -> None:
    add_person(database, Role.ADMINISTRATOR, Role.LEAD, email="one@desk.example")
    add_person(database, Role.TECHNICIAN)
    with database.write() as unit:
        assert single_person_desk(unit)
        set_setting(unit, SINGLE_PERSON, "no")
        assert not single_person_desk(unit)
        set_setting(unit, SINGLE_PERSON, "auto")
        assert get_setting(unit, SINGLE_PERSON) == "auto"
    add_person(database, Role.LEAD, email="two@desk.example")
    with database.read() as unit:
        assert not single_person_desk(unit)


def test_a_password_is_checked_and_never_stored() -> None:
    stored = hash_password("wandern im wald")
    assert stored.startswith("$argon2id$") and "wandern" not in stored
    assert check_password("wandern im wald", stored)
    assert not check_password("wandern im Wald", stored)
    assert not check_password("wandern im wald", None)
    assert not check_password("wandern im wald", "plain text")
    assert not check_password("x" * 10_000, stored)


@pytest.mark.parametrize("password", [
    "elf zeichen", "P@ssw0rt-2026!", "Sommer2026!!!", "qwertz123456", "1qay2wsx3edc", "PasswortPasswort", "123456789012", "AdminAdmin123!",
    "fernwart2026!", "aaaaaaaaaaaaab", "annaannaanna1", "kaya-liebt-berge", "desk!desk!desk!", "%%%&&&!!!§§§", "x" * 201,
])
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_new_password(password, email="anna@desk.example", name="Anna Kaya")
    assert caught.value.field == "password"


@pytest.mark.parametrize("password", ["correct horse battery staple", "wandern im wald bei regen", "Xk9#mm2!pQ7z", "tischlampe-kuchen-42"])
def test_a_good_password_is_accepted(password: str) -> None:
    check_new_password(password, email="anna@desk.example", name="Anna Kaya")
    assert not is_common(password)


def test_passwords_are_counted_by_account_and_address() -> None:
    attempts = LoginAttempts()
    for _ in range(10):
        attempts.count_password(account="Anna@desk.example", address="192.0.2.1")
    with pytest.raises(TooManyAttempts) as caught:
        attempts.count_password(account="anna@desk.example ", address="192.0.2.1")
    assert 0 < caught.value.retry_after_seconds <= 15 * 60 + 1
    attempts.count_password(account="anna@desk.example", address="192.0.2.2")
    attempts.count_password(account="bert@desk.example", address="192.0.2.1")
    attempts.clear_password(account="anna@desk.example", address="192.0.2.1")
    attempts.count_password(account="anna@desk.example", address="192.0.2.1")


def test_one_address_cannot_try_every_account() -> None:
    attempts = LoginAttempts()
    with pytest.raises(TooManyAttempts):
        for number in range(200):
            attempts.count_password(account=f"user{number}@desk.example", address="2001:db8::1")
    with pytest.raises(TooManyAttempts):
        attempts.count_password(account="last@desk.example", address="2001:db8::2")


def test_many_addresses_cannot_try_one_account_for_ever() -> None:
    attempts = LoginAttempts()
    with pytest.raises(TooManyAttempts):
        for number in range(200):
            attempts.count_password(account="anna@desk.example", address=f"192.0.2.{number}")


def test_codes_are_counted_by_account() -> None:
    attempts = LoginAttempts()
    for _ in range(10):
        attempts.count_code(user_id="u1")
    with pytest.raises(TooManyAttempts):
        attempts.count_code(user_id="u1")
    attempts.count_code(user_id="u2")


@pytest.mark.parametrize(("address", "group"), [
    ("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("::ffff:192.0.2.1", "192.0.2.1"), ("testclient", "testclient"),
])
def test_an_ipv6_address_counts_by_its_network(address: str, group: str) -> None:
    assert group_address(address) == group
