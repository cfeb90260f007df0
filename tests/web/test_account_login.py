"""Logging in: two steps, each decided by the server; nothing to learn for who does not know the password."""

from __future__ import annotations

import html
import re
import statistics
import time
from collections.abc import Callable

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM, Role
from orchestrator.accounts.models import Login, User
from orchestrator.accounts.passwords import hash_password
from orchestrator.accounts.service import disable_user
from orchestrator.audit.queries import list_audit
from orchestrator.core.db import Database
from tests.orchestrator.accounts.builders import Person, add_person, pass_time, stop_clock
from tests.web.desk import Browser
from web.auth import safe_next

PASSWORD = "wandern im wald bei regen"
LOGIN = "__Host-fernwart-login"
FORM = "__Host-fernwart-form"


@pytest.fixture(scope="module")
def password_hash() -> str:
    return hash_password(PASSWORD)


@pytest.fixture
def anna(sqlite_database: Database, password_hash: str) -> Person:
    return add_person(sqlite_database, Role.LEAD, password_hash=password_hash)


def give_password(browser: Browser, *, email: str = "anna@desk.example", password: str = PASSWORD, next_path: str = "/") -> int:
    browser.get("/login")
    return browser.post("/login", email=email, password=password, next=next_path).status_code


def log_in(browser: Browser, person: Person, database: Database, *, steps: int = 0, next_path: str = "/") -> None:
    assert give_password(browser, email=person.user.email, next_path=next_path) == 303
    assert browser.page is not None
    browser.get(browser.page.headers["location"])
    browser.post("/login/code", code=person.code(database, steps=steps), next=next_path)
    assert browser.page.status_code == 303, browser.page.text


def test_password_and_code_lead_to_where_one_wanted_to_go(desk: Callable[[], Browser], anna: Person, sqlite_database: Database) -> None:
    browser = desk()
    refused = browser.get("/audit?kind=login")
    assert (refused.status_code, refused.headers["location"]) == (303, "/login?next=/audit%3Fkind%3Dlogin")
    log_in(browser, anna, sqlite_database, next_path="/audit?kind=login")
    assert browser.page is not None and browser.page.headers["location"] == "/audit?kind=login"
    shown = browser.get("/audit?kind=login")
    assert shown.status_code == 200 and "login.succeeded" in shown.text


def test_the_password_alone_opens_nothing(desk: Callable[[], Browser], anna: Person) -> None:
    browser = desk()
    assert give_password(browser) == 303
    for path in ("/account", "/settings", "/audit", "/audit/1", "/audit/verdict", "/login/step-up"):
        answer = browser.get(path)
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login"), path
        assert browser.get(path, accept="application/json").status_code == 401
    browser.get("/login/code")
    token = browser.token()
    for path in ("/account/profile", "/account/tokens", "/account/password", "/logout", "/preferences", "/settings/people"):
        answer = browser.request("POST", path, data={"csrf_token": token, "name": "X"}, headers={"accept": "application/json"})
        assert answer.status_code == 401, path


def test_the_cookie_of_the_first_step_is_worth_nothing_after_the_second(
    desk: Callable[[], Browser], anna: Person, sqlite_database: Database,
) -> None:
    browser = desk()
    give_password(browser)
    first = browser.cookies[LOGIN]
    browser.get("/login/code")
    browser.post("/login/code", code=anna.code(sqlite_database))
    assert browser.cookies[LOGIN] != first
    thief = desk()
    thief.cookies[LOGIN] = first
    assert thief.get("/account").status_code == 303


def test_a_planted_cookie_does_not_become_a_login(desk: Callable[[], Browser], anna: Person, sqlite_database: Database) -> None:
    browser = desk()
    browser.cookies[LOGIN] = "planted-by-somebody"
    log_in(browser, anna, sqlite_database)
    assert browser.cookies[LOGIN] != "planted-by-somebody"
    attacker = desk()
    attacker.cookies[LOGIN] = "planted-by-somebody"
    assert attacker.get("/account").status_code == 303


def test_a_new_login_in_the_same_browser_ends_the_old_one(desk: Callable[[], Browser], anna: Person, sqlite_database: Database) -> None:
    clock = stop_clock(sqlite_database)
    browser = desk()
    log_in(browser, anna, sqlite_database)
    old = browser.cookies[LOGIN]
    pass_time(clock, seconds=60)
    form_page = desk()
    form_page.get("/login")
    browser.cookies[FORM] = form_page.cookies[FORM]
    browser.page = form_page.page
    browser.post("/login", email="anna@desk.example", password=PASSWORD)
    other = desk()
    other.cookies[LOGIN] = old
    assert other.get("/account").status_code == 303


def test_cookies_are_kept_from_scripts_other_hosts_and_plain_connections(
    desk: Callable[[], Browser], anna: Person, sqlite_database: Database,
) -> None:
    browser = desk()
    browser.get("/login")
    assert len(browser.set_cookies) == 1 and browser.set_cookies[0].startswith(FORM + "=")
    lines = list(browser.set_cookies)
    log_in(browser, anna, sqlite_database)
    lines += [line for line in browser.set_cookies if line.startswith("__Host-")]
    assert len(lines) == 2
    for line in lines:
        attributes = {part.strip().lower() for part in line.split(";")[1:]}
        assert {"httponly", "secure", "path=/", "samesite=lax"} <= attributes, line
        assert not any(attribute.startswith("domain") for attribute in attributes)
    assert not any("max-age" in line.lower() or "expires" in line.lower() for line in lines)


def test_a_code_works_once(desk: Callable[[], Browser], anna: Person, sqlite_database: Database) -> None:
    stop_clock(sqlite_database)
    log_in(desk(), anna, sqlite_database)
    again = desk()
    give_password(again)
    again.get("/login/code")
    assert again.post("/login/code", code=anna.code(sqlite_database)).status_code == 422
    assert again.get("/account").status_code == 303


def test_an_old_login_page_of_the_code_leads_back_to_the_start(desk: Callable[[], Browser], anna: Person, sqlite_database: Database) -> None:
    clock = stop_clock(sqlite_database)
    browser = desk()
    give_password(browser)
    browser.get("/login/code")
    pass_time(clock, minutes=11)
    answer = browser.post("/login/code", code=anna.code(sqlite_database))
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize(("email", "password"), [
    ("anna@desk.example", "a wrong password"), ("nobody@desk.example", PASSWORD), ("", ""), ("x\x00y@desk.example", "x"),
    ("disabled@desk.example", PASSWORD), ("new@desk.example", PASSWORD), ("anna@desk.example", "x" * 100_000), ("<script>", "\ufffe"),
])
def test_every_refusal_looks_the_same(desk: Callable[[], Browser], anna: Person, sqlite_database: Database, password_hash: str, email: str,
                                      password: str) -> None:
    disabled = add_person(sqlite_database, email="disabled@desk.example", password_hash=password_hash)
    with sqlite_database.write() as unit:
        disable_user(unit, SYSTEM, unit.db.get_one(User, disabled.user.id))
        unit.db.add(User(email="new@desk.example", name="New", roles=["lead"], created_at=unit.now, disabled_at=None))
    browser = desk()
    assert give_password(browser, email=email, password=password) == 422
    assert browser.page is not None
    text = re.sub(r'value="[^"]*"', "", browser.page.text)
    assert "Mail address or password is wrong." in html.unescape(text)
    assert LOGIN not in browser.cookies and "<script>" not in browser.page.text
    with sqlite_database.read() as unit:
        assert unit.db.scalars(select(Login)).all() == []
        assert list_audit(unit, SYSTEM, kind="login.failed")[0].actor_name == "nobody"


def test_an_unknown_account_takes_as_long_as_a_known_one(desk: Callable[[], Browser], anna: Person) -> None:
    browser = desk()

    def seconds(email: str) -> float:
        browser.get("/login")
        token, started = browser.token(), time.perf_counter()
        browser.request("POST", "/login", data={"csrf_token": token, "email": email, "password": "a wrong password"})
        return time.perf_counter() - started

    seconds("warm@desk.example")
    known = statistics.median(seconds("anna@desk.example") for _ in range(5))
    unknown = statistics.median(seconds(f"nobody{number}@desk.example") for number in range(5))
    assert unknown > known * 0.4, "an unknown account answers without hashing"


def test_many_wrong_passwords_are_stopped(desk: Callable[[], Browser], anna: Person) -> None:
    browser = desk()
    statuses = [give_password(browser, password=f"wrong password {number}") for number in range(12)]
    assert statuses == [422] * 10 + [429] * 2
    assert browser.page is not None and int(browser.page.headers["retry-after"]) > 0
    assert give_password(browser) == 429, "the right password does not help either"


def test_many_wrong_codes_are_stopped(desk: Callable[[], Browser], anna: Person, sqlite_database: Database) -> None:
    stop_clock(sqlite_database)
    right = anna.code(sqlite_database)
    browser = desk()
    give_password(browser)
    statuses = []
    for number in range(12):
        browser.get("/login/code")
        if browser.page is None or browser.page.status_code != 200:
            break
        statuses.append(browser.post("/login/code", code=f"{(int(right) + 7 + number) % 1_000_000:06d}").status_code)
    assert statuses == [422] * 10 + [429] * 2
    browser.get("/login/code")
    assert browser.post("/login/code", code=right).status_code == 429


@pytest.mark.parametrize("path", ["/login", "/login/code"])
@pytest.mark.parametrize("token", [None, "", "0" * 64, "foreign"])
def test_a_form_without_its_token_is_refused(desk: Callable[[], Browser], anna: Person, sqlite_database: Database, path: str,
                                             token: str | None) -> None:
    browser = desk()
    if path == "/login/code":
        give_password(browser)
    browser.get(path)
    if token == "foreign":
        stranger = desk()
        stranger.get("/login")
        token = stranger.token()
    fields = {"email": "anna@desk.example", "password": PASSWORD, "code": anna.code(sqlite_database)}
    answer = browser.request("POST", path, data=fields if token is None else fields | {"csrf_token": token})
    assert answer.status_code == 403
    assert browser.get("/account").status_code == 303


def test_a_form_token_without_its_cookie_is_refused(desk: Callable[[], Browser], anna: Person) -> None:
    browser = desk()
    browser.get("/login")
    token = browser.token()
    browser.cookies.clear()
    answer = browser.request("POST", "/login", data={"csrf_token": token, "email": "anna@desk.example", "password": PASSWORD})
    assert answer.status_code == 403


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "\thttps://evil.example",
                                    "/\t/evil.example", "evil", "", None, "/a\nSet-Cookie: x", "///evil.example"])
def test_an_address_elsewhere_is_no_way_on(wanted: str | None) -> None:
    assert safe_next(wanted) == "/"


@pytest.mark.parametrize("wanted", ["/", "/tickets?state=open&q=a%20b", "/sessions/1/replay"])
def test_a_path_of_ours_is_a_way_on(wanted: str) -> None:
    assert safe_next(wanted) == wanted


def test_the_login_does_not_lead_elsewhere(desk: Callable[[], Browser], anna: Person, sqlite_database: Database) -> None:
    browser = desk()
    log_in(browser, anna, sqlite_database, next_path="https://evil.example/")
    assert browser.page is not None and browser.page.headers["location"] == "/"


def test_logging_out_ends_the_login_on_the_server(desk: Callable[[], Browser], anna: Person, sqlite_database: Database) -> None:
    browser = desk()
    log_in(browser, anna, sqlite_database)
    kept = browser.cookies[LOGIN]
    browser.get("/account")
    assert browser.post("/logout").status_code == 303
    assert LOGIN not in browser.cookies
    browser.cookies[LOGIN] = kept
    assert browser.get("/account").status_code == 303


def test_get_does_not_log_out(desk: Callable[[], Browser], anna: Person, sqlite_database: Database) -> None:
    browser = desk()
    log_in(browser, anna, sqlite_database)
    assert browser.get("/logout").status_code == 405
    assert browser.get("/account").status_code == 200


def test_pages_of_the_login_are_kept_by_no_cache_and_carry_the_headers(desk: Callable[[], Browser]) -> None:
    answer = desk().get("/login")
    assert answer.headers["cache-control"] == "no-store"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["strict-transport-security"]


def test_htmx_is_sent_to_the_login_as_a_whole_page(desk: Callable[[], Browser]) -> None:
    answer = desk().get("/audit", hx_request="true")
    assert answer.status_code == 401 and answer.headers["hx-redirect"].startswith("/login?next=")
