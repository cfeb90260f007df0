"""The set-up link over HTTP: it works once, and after it no path opens the set-up again."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from pyotp.totp import TOTP
from sqlalchemy import func, select

from orchestrator.accounts.actor import SYSTEM
from orchestrator.accounts.links import FIRST, SET_UP, find_open_link, make_first_link
from orchestrator.accounts.models import User
from orchestrator.accounts.passwords import check_password
from orchestrator.accounts.service import add_user
from orchestrator.core.db import Database
from tests.orchestrator.accounts.builders import add_person
from tests.web.desk import Browser

GOOD = "wandern im wald bei regen"


def first_token(database: Database) -> str:
    with database.write() as unit:
        token = make_first_link(unit)
    assert token is not None
    return token


def code_of(database: Database, token: str) -> str:
    with database.read() as unit:
        secret = find_open_link(unit, token, FIRST, SET_UP).totp_secret
    return TOTP(secret).at(int(database.clock.now().timestamp()))


def finish(browser: Browser, database: Database, token: str, **fields: str) -> int:
    browser.get(f"/set-up/{token}")
    values = {"name": "Chief", "email": "chief@desk.example", "password": GOOD, "again": GOOD, "code": code_of(database, token)}
    return browser.post(f"/set-up/{token}", **(values | fields)).status_code


def count_users(database: Database) -> int:
    with database.read() as unit:
        return unit.db.scalar(select(func.count()).select_from(User)) or 0


def test_the_first_administrator_sets_himself_up_and_is_in(desk: Callable[[], Browser], sqlite_database: Database) -> None:
    browser, token = desk(), first_token(sqlite_database)
    page = browser.get(f"/set-up/{token}")
    assert page.status_code == 200 and page.headers["cache-control"] == "no-store" and page.headers["referrer-policy"] == "same-origin"
    assert finish(browser, sqlite_database, token) == 303
    assert browser.page is not None and browser.page.headers["location"] == "/settings"
    assert browser.get("/settings").status_code == 200
    with sqlite_database.read() as unit:
        user = unit.db.scalars(select(User)).one()
    assert (user.email, user.roles) == ("chief@desk.example", ["administrator"])
    assert user.password_hash is not None and check_password(GOOD, user.password_hash)


def test_the_first_administrator_may_tick_to_work_on_tickets(desk: Callable[[], Browser], sqlite_database: Database) -> None:
    browser, token = desk(), first_token(sqlite_database)
    assert finish(browser, sqlite_database, token, works_tickets="yes") == 303
    assert browser.page is not None and browser.page.headers["location"] == "/"


def test_the_qr_code_is_an_image_of_its_own_that_no_cache_keeps(desk: Callable[[], Browser], sqlite_database: Database) -> None:
    browser, token = desk(), first_token(sqlite_database)
    page = html.unescape(browser.get(f"/set-up/{token}").text)
    assert f'src="/set-up/{token}/qr.svg"' in page and "data:image" not in page
    image = browser.get(f"/set-up/{token}/qr.svg")
    assert image.headers["content-type"] == "image/svg+xml" and image.headers["cache-control"] == "no-store"
    assert image.text.startswith("<?xml") and "<script" not in image.text


@pytest.mark.parametrize(("fields", "field"), [
    ({"password": "short", "again": "short"}, "password"), ({"password": "Passwort-2026!", "again": "Passwort-2026!"}, "password"),
    ({"password": "chief chief chief", "again": "chief chief chief"}, "password"), ({"again": "something else entirely"}, "again"),
    ({"code": "000000"}, "code"), ({"email": "nobody"}, "email"), ({"name": " "}, "name"),
])
def test_what_cannot_be_used_is_said_beside_its_field(desk: Callable[[], Browser], sqlite_database: Database, fields: dict[str, str],
                                                      field: str) -> None:
    browser, token = desk(), first_token(sqlite_database)
    assert finish(browser, sqlite_database, token, **fields) == 422
    assert browser.page is not None
    text = browser.page.text
    assert f'id="{field}-error"' in text
    assert GOOD not in text and "chief chief" not in text, "a password comes back in the page"
    assert count_users(sqlite_database) == 0
    assert finish(browser, sqlite_database, token) == 303, "the link still works after a mistake"


def test_a_colleague_cannot_change_who_he_is(desk: Callable[[], Browser], sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        _user, token = add_user(unit, SYSTEM, email="bert@desk.example", name="Bert", roles=["technician"])
    browser = desk()
    assert finish(browser, sqlite_database, token, email="evil@desk.example", name="Evil", works_tickets="yes") == 303
    with sqlite_database.read() as unit:
        user = unit.db.scalars(select(User)).one()
    assert (user.email, user.name, user.roles) == ("bert@desk.example", "Bert", ["technician"])
    assert browser.get("/settings").status_code == 403


def variants(token: str) -> list[str]:
    return [
        f"/set-up/{token}", f"/set-up/{token}/qr.svg", f"/set-up/{token}/", f"/set-up/{token}//", f"//set-up/{token}", f"/set-up//{token}",
        f"/set-up/{token}/x", f"/set-up/{token};x=1", f"/set-up/{token}%2f", f"/set-up/{token}%00", f"/set-up/./{token}",
        f"/x/../set-up/{token}", f"/SET-UP/{token}", f"/Set-Up/{token}", f"/set-up/{token.upper()}", f"/set-up/{token}?x=1",
        f"/set%2dup/{token}", f"/set-up/%20{token}", "/set-up", "/set-up/", "/set-up/first-administrator", "/set-up/null", "/set-up/undefined",
        "/set-up/%2e%2e/set-up", "/setup", "/setup/", "/SetupWizard.aspx/x", "/set-up/" + "a" * 4000,
    ]


def test_after_the_set_up_no_path_opens_it_again(desk: Callable[[], Browser], sqlite_database: Database) -> None:
    browser, token = desk(), first_token(sqlite_database)
    assert finish(browser, sqlite_database, token) == 303
    stranger = desk()
    stranger.get("/login")
    form = {"csrf_token": stranger.token(), "name": "Evil", "email": "evil@desk.example", "password": GOOD, "again": GOOD, "code": "123456"}
    for path in variants(token):
        got = stranger.get(path)
        assert got.status_code in (404, 410), path
        assert "password" not in re.sub(r"<a [^>]*>", "", got.text).lower(), path
        assert stranger.request("POST", path, data=form).status_code in (404, 405, 410), path
    assert count_users(sqlite_database) == 1


def test_without_a_link_an_empty_desk_lets_nobody_set_up(desk: Callable[[], Browser], sqlite_database: Database) -> None:
    first_token(sqlite_database)
    stranger = desk()
    stranger.get("/login")
    form = {"csrf_token": stranger.token(), "name": "Evil", "email": "evil@desk.example", "password": GOOD, "again": GOOD, "code": "123456"}
    for path in variants("x" * 43):
        assert stranger.get(path).status_code in (404, 410), path
        assert stranger.request("POST", path, data=form).status_code in (404, 405, 410), path
    assert count_users(sqlite_database) == 0


def test_a_first_link_is_dead_while_anybody_has_an_account(desk: Callable[[], Browser], sqlite_database: Database) -> None:
    token = first_token(sqlite_database)
    code = code_of(sqlite_database, token)
    add_person(sqlite_database)
    browser = desk()
    browser.get("/login")
    answer = browser.post(f"/set-up/{token}", name="Evil", email="evil@desk.example", password=GOOD, again=GOOD, code=code)
    assert answer.status_code == 410
    assert count_users(sqlite_database) == 1


def test_the_set_up_form_needs_its_token(desk: Callable[[], Browser], sqlite_database: Database) -> None:
    browser, token = desk(), first_token(sqlite_database)
    browser.get(f"/set-up/{token}")
    form = {"name": "Evil", "email": "evil@desk.example", "password": GOOD, "again": GOOD, "code": code_of(sqlite_database, token)}
    assert browser.request("POST", f"/set-up/{token}", data=form).status_code == 403
    assert count_users(sqlite_database) == 0
