"""One's own account, the settings and the audit page over HTTP: rights, step-up, foreign forms, and what is shown once."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from pyotp.totp import TOTP
from sqlalchemy import select, update

from orchestrator.accounts.actor import SYSTEM, Role
from orchestrator.accounts.links import SECOND_FACTOR, find_open_link
from orchestrator.accounts.models import APIToken, Login, User
from orchestrator.accounts.passwords import check_password, hash_password
from orchestrator.accounts.queries import find_user_by_email
from orchestrator.accounts.secret_box import read_totp_secret
from orchestrator.accounts.service import disable_user
from orchestrator.accounts.settings_store import SINGLE_PERSON, get_setting
from orchestrator.accounts.tokens import create_token
from orchestrator.audit.queries import list_audit
from orchestrator.core.db import Database
from orchestrator.tickets.queues import list_all_queues, list_members
from tests.orchestrator.accounts.builders import Person, add_person, log_in, pass_time, stop_clock
from tests.orchestrator.audit.tampering import tamper
from tests.web.desk import Browser

Enter = Callable[..., tuple[Browser, Person]]
GOOD = "wandern im wald bei regen"
BETTER = "segeln auf dem see bei wind"


def let_proof_grow_old(database: Database) -> None:
    with database.write() as unit:
        unit.db.execute(update(Login).values(proved_at=unit.now - timedelta(minutes=16)))


def test_the_account_page_shows_ones_own_logins_and_no_secret(enter: Enter, sqlite_database: Database) -> None:
    enter(Role.LEAD, email="other@desk.example", name="Other Person")
    browser, person = enter(Role.TECHNICIAN)
    text = html.unescape(browser.get("/account").text)
    assert "anna@desk.example" in text and "other@desk.example" not in text
    assert person.totp_secret not in text and browser.cookies["__Host-fernwart-login"] not in text


def test_the_profile_is_saved(enter: Enter, sqlite_database: Database) -> None:
    browser, person = enter()
    browser.get("/account")
    assert browser.post("/account/profile", name="Anna Neu", language="en", time_zone="Europe/Vienna", theme="dark").status_code == 303
    with sqlite_database.read() as unit:
        user = unit.db.get_one(User, person.user.id)
    assert (user.name, user.language, user.time_zone, user.theme) == ("Anna Neu", "en", "Europe/Vienna", "dark")
    assert 'lang="en" data-theme="dark"' in browser.get("/account").text
    assert browser.post("/account/profile", name="Anna", language="en", time_zone="Nowhere", theme="dark").status_code == 422
    assert browser.page is not None and 'id="time_zone-error"' in browser.page.text


@pytest.mark.parametrize("token", ["", "0" * 64, "foreign"])
def test_a_foreign_form_is_refused(enter: Enter, sqlite_database: Database, token: str) -> None:
    browser, person = enter(Role.ADMINISTRATOR)
    if token == "foreign":
        stranger, _ = enter(Role.ADMINISTRATOR, email="evil@desk.example")
        stranger.get("/account")
        token = stranger.token()
    for path in ("/account/profile", "/account/tokens", "/account/password", "/account/second-factor", "/logout", "/preferences",
                 "/settings/people", "/settings/desk", "/settings/queues"):
        fields = {"csrf_token": token, "name": "Evil", "email": "e@desk.example", "roles": "administrator"}
        assert browser.request("POST", path, data=fields).status_code == 403, path
        assert browser.request("POST", path, headers={"x-csrf-token": token}, data={"name": "Evil"}).status_code == 403, path
    with sqlite_database.read() as unit:
        assert unit.db.get_one(User, person.user.id).name == "Anna Kaya"
        assert find_user_by_email(unit, "e@desk.example") is None


def test_the_token_of_the_page_counts_in_a_header_as_well(enter: Enter) -> None:
    browser, _ = enter()
    browser.get("/account")
    answer = browser.request("POST", "/preferences", headers={"x-csrf-token": browser.token()}, data={"theme": "dark"})
    assert answer.status_code == 303


def test_a_disabled_user_is_out_at_the_next_request(enter: Enter, sqlite_database: Database) -> None:
    browser, person = enter(Role.TECHNICIAN)
    assert browser.get("/account").status_code == 200
    form = browser.token()
    with sqlite_database.write() as unit:
        disable_user(unit, SYSTEM, unit.db.get_one(User, person.user.id))
    for method, path in (("GET", "/account"), ("POST", "/preferences"), ("POST", "/account/tokens")):
        answer = browser.request(method, path, data={"csrf_token": form, "theme": "dark"} if method == "POST" else None)
        assert answer.headers["location"].startswith("/login"), path


def test_another_login_is_ended_from_the_list(enter: Enter, sqlite_database: Database) -> None:
    browser, person = enter()
    with sqlite_database.write() as unit:
        other, secret = log_in(unit, person)
    phone = Browser(browser.address, {"__Host-fernwart-login": secret})
    assert phone.get("/account").status_code == 200
    browser.get("/account")
    assert browser.post(f"/account/logins/{other.login_id}/revoke").status_code == 303
    assert phone.get("/account").status_code == 303
    phone.close()


def test_somebody_elses_login_and_token_look_as_if_they_were_not_there(enter: Enter, sqlite_database: Database) -> None:
    browser, _ = enter()
    _, stranger = enter(email="bert@desk.example")
    with sqlite_database.write() as unit:
        create_token(unit, SYSTEM, user=unit.db.get_one(User, stranger.user.id), rights=["all"])
        login = unit.db.scalars(select(Login).where(Login.user_id == stranger.user.id)).one()
        token = unit.db.scalars(select(APIToken)).one()
    browser.get("/account")
    form = browser.token()
    for path in (f"/account/logins/{login.id}/revoke", f"/account/tokens/{token.id}/revoke", "/account/logins/nothing/revoke"):
        assert browser.request("POST", path, data={"csrf_token": form}).status_code == 404


def test_the_password_is_changed_with_the_old_one_and_a_fresh_second_factor(enter: Enter, sqlite_database: Database) -> None:
    browser, person = enter(password_hash=hash_password(GOOD))
    browser.get("/account")
    form = browser.token()

    def change(**fields: str) -> int:
        return browser.request("POST", "/account/password", data={"csrf_token": form, **fields}).status_code

    assert change(current="wrong", password=BETTER, again=BETTER) == 422
    assert change(current=GOOD, password="short", again="short") == 422
    assert change(current=GOOD, password=BETTER, again="another") == 422
    let_proof_grow_old(sqlite_database)
    assert change(current=GOOD, password=BETTER, again=BETTER) == 303
    assert browser.page is not None and browser.page.headers["location"].startswith("/login/step-up")
    browser.get("/login/step-up?next=/account")
    assert browser.post("/login/step-up", code=person.code(sqlite_database), next="/account").headers["location"] == "/account"
    assert change(current=GOOD, password=BETTER, again=BETTER) == 303
    with sqlite_database.read() as unit:
        stored = unit.db.get_one(User, person.user.id).password_hash
    assert stored is not None and check_password(BETTER, stored)
    assert browser.get("/account").status_code == 200


def test_a_wrong_code_does_not_step_up(enter: Enter, sqlite_database: Database) -> None:
    clock = stop_clock(sqlite_database)
    browser, person = enter(Role.ADMINISTRATOR)
    pass_time(clock, minutes=16)
    right = person.code(sqlite_database)
    browser.get("/login/step-up?next=/settings")
    assert browser.post("/login/step-up", code=f"{(int(right) + 5) % 1_000_000:06d}").status_code == 422
    browser.get("/settings")
    assert browser.post("/settings/people", email="b@desk.example", name="B", roles="technician").headers["location"].startswith("/login/step-up")


def test_a_code_steps_up_once(enter: Enter, sqlite_database: Database) -> None:
    stop_clock(sqlite_database)
    browser, person = enter()
    code = person.code(sqlite_database)
    old = browser.cookies["__Host-fernwart-login"]
    browser.get("/login/step-up")
    assert browser.post("/login/step-up", code=code).status_code == 303
    assert browser.cookies["__Host-fernwart-login"] != old
    browser.get("/login/step-up")
    assert browser.post("/login/step-up", code=code).status_code == 422


def test_the_second_factor_is_replaced_by_a_code_of_the_new_one(enter: Enter, sqlite_database: Database) -> None:
    browser, person = enter()
    browser.get("/account")
    path = browser.post("/account/second-factor").headers["location"]
    token = path.rsplit("/", 1)[1]
    assert browser.get(path).status_code == 200
    assert browser.get(f"{path}/qr.svg").headers["content-type"] == "image/svg+xml"
    stranger, _ = enter(email="bert@desk.example")
    assert stranger.get(path).status_code == 403 and stranger.get(f"{path}/qr.svg").status_code == 403
    with sqlite_database.read() as unit:
        secret = find_open_link(unit, token, SECOND_FACTOR).totp_secret
    browser.get(path)
    code = TOTP(secret).at(int(sqlite_database.clock.now().timestamp()))
    assert browser.post(path, code="000000" if code != "000000" else "000001").status_code == 422
    assert browser.post(path, code=code).status_code == 303
    with sqlite_database.read() as unit:
        assert read_totp_secret(unit, unit.db.get_one(User, person.user.id)) == secret
    assert browser.get(path).status_code == 410


def test_a_token_is_shown_once_and_works_as_bearer(enter: Enter, sqlite_database: Database) -> None:
    browser, _ = enter(Role.LEAD)
    browser.get("/account")
    made = browser.post("/account/tokens", name="Script", rights=["audit:read"], hours="24")
    assert made.status_code == 201
    found = re.search(r"<code[^>]*>(fwt_[\w-]+)</code>", made.text)
    assert found
    assert "fwt_" not in browser.get("/account").text
    program = Browser(browser.address)
    assert program.get("/audit", authorization=f"Bearer {found[1]}").status_code == 200
    for path in ("/account", "/settings", "/login/step-up"):
        assert program.get(path, authorization=f"Bearer {found[1]}").status_code == 403, path
    assert program.request("POST", "/account/tokens", data={"rights": "tickets:read"},
                           headers={"authorization": f"Bearer {found[1]}"}).status_code == 403
    program.close()


def test_a_wrong_bearer_is_not_helped_by_a_good_cookie(enter: Enter) -> None:
    browser, _ = enter(Role.LEAD)
    for header in ("Bearer fwt_wrong", "Bearer", "Basic YTpi", "", "fwa_agent-credential"):
        assert browser.get("/audit", authorization=header, accept="application/json").status_code == 401


def test_a_token_beyond_ones_rights_is_refused(enter: Enter, sqlite_database: Database) -> None:
    browser, _ = enter(Role.TECHNICIAN)
    browser.get("/account")
    form = browser.token()
    for fields in ({"rights": "audit:read"}, {"rights": "accounts:write"}, {}, {"rights": "all", "hours": "x"},
                   {"rights": "all", "address": "office"}, {"rights": "channels:open", "hours": "48"}):
        assert browser.request("POST", "/account/tokens", data={"csrf_token": form, **fields}).status_code in (403, 422), fields
    with sqlite_database.read() as unit:
        assert unit.db.scalars(select(APIToken)).all() == []


def test_a_person_is_added_and_his_link_shown_once(enter: Enter, sqlite_database: Database) -> None:
    browser, _ = enter(Role.ADMINISTRATOR)
    browser.get("/settings")
    made = browser.post("/settings/people", email="Bert@desk.example", name="Bert", roles=["technician", "auditor"])
    assert made.status_code == 201
    link = re.search(r"/set-up/([\w-]{40,})", made.text)
    assert link
    assert "/set-up/" not in browser.get("/settings").text
    assert browser.get(f"/set-up/{link[1]}").status_code == 200
    browser.get("/settings")
    assert browser.post("/settings/people", email="bert@desk.example", name="Bert", roles="technician").status_code == 422
    assert browser.page is not None and 'id="email-error"' in browser.page.text
    with sqlite_database.read() as unit:
        user = find_user_by_email(unit, "bert@desk.example")
        assert user is not None and user.roles == ["auditor", "technician"]


def test_roles_links_and_disabling_of_a_colleague(enter: Enter, sqlite_database: Database) -> None:
    browser, _ = enter(Role.ADMINISTRATOR)
    other = add_person(sqlite_database, email="bert@desk.example", name="Bert")
    browser.get("/settings")
    form = browser.token()

    def post(action: str, **fields: object) -> int:
        return browser.request("POST", f"/settings/people/{other.user.id}/{action}", data={"csrf_token": form, **fields}).status_code

    def state() -> User:
        with sqlite_database.read() as unit:
            return unit.db.get_one(User, other.user.id)

    assert post("roles", roles=["lead"]) == 303 and state().roles == ["lead"]
    assert post("roles") == 422 and post("roles", roles=["root"]) == 422 and state().roles == ["lead"]
    assert post("link") == 201
    assert post("disable") == 303 and state().disabled_at is not None
    assert post("link") == 409
    assert post("enable") == 303 and state().disabled_at is None
    assert browser.request("POST", "/settings/people/nothing/disable", data={"csrf_token": form}).status_code == 404


def test_the_last_administrator_cannot_disable_himself(enter: Enter) -> None:
    browser, person = enter(Role.ADMINISTRATOR)
    browser.get("/settings")
    form = browser.token()
    assert browser.request("POST", f"/settings/people/{person.user.id}/disable", data={"csrf_token": form}).status_code == 409
    assert browser.request("POST", f"/settings/people/{person.user.id}/roles", data={"csrf_token": form, "roles": "lead"}).status_code == 409


@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.AUDITOR, Role.LEAD])
def test_settings_of_accounts_are_for_administrators(enter: Enter, sqlite_database: Database, role: Role) -> None:
    browser, person = enter(role)
    seen = browser.get("/settings")
    assert seen.status_code == (200 if role is Role.LEAD else 403)
    assert "/settings/people" not in seen.text
    browser.get("/account")
    form = browser.token()
    for path in ("/settings/people", f"/settings/people/{person.user.id}/roles", f"/settings/people/{person.user.id}/link",
                 f"/settings/people/{person.user.id}/disable", f"/settings/people/{person.user.id}/enable", "/settings/desk"):
        fields = {"csrf_token": form, "roles": "administrator", "name": "X", "desk_name": "X", "email": "x@y.example"}
        answer = browser.request("POST", path, data=fields)
        assert answer.status_code == 403, path


def test_every_change_of_an_account_asks_for_a_fresh_second_factor(enter: Enter, sqlite_database: Database) -> None:
    browser, person = enter(Role.ADMINISTRATOR)
    browser.get("/settings")
    form = browser.token()
    let_proof_grow_old(sqlite_database)
    for path in ("/settings/people", f"/settings/people/{person.user.id}/roles", f"/settings/people/{person.user.id}/link",
                 f"/settings/people/{person.user.id}/disable", f"/settings/people/{person.user.id}/enable", "/account/tokens",
                 "/account/password", "/account/second-factor"):
        answer = browser.request("POST", path, data={"csrf_token": form}, headers={"referer": f"{browser.address}/settings"})
        assert (answer.status_code, answer.headers.get("location")) == (303, "/login/step-up?next=/settings"), path
        assert browser.request("POST", path, data={"csrf_token": form}, headers={"accept": "application/json"}).status_code == 403


def test_the_desk_and_its_queues_are_set(enter: Enter, sqlite_database: Database) -> None:
    browser, person = enter(Role.ADMINISTRATOR)
    browser.get("/settings")
    form = browser.token()

    def post(path: str, **fields: str) -> int:
        return browser.request("POST", path, data={"csrf_token": form, **fields}).status_code

    assert post("/settings/desk", desk_name="Muster IT", single_person="no") == 303
    assert post("/settings/desk", desk_name="", single_person="no") == 422
    assert post("/settings/desk", desk_name="X", single_person="yes") == 422
    assert post("/settings/queues", name="Server", address="server@desk.example") == 303
    assert post("/settings/queues", name="Server") == 409
    with sqlite_database.read() as unit:
        assert get_setting(unit, SINGLE_PERSON) == "no"
        queue = list_all_queues(unit)[0]
    assert post(f"/settings/queues/{queue.id}/members", user_id=person.user.id) == 303
    with sqlite_database.read() as unit:
        assert [user.id for user in list_members(unit, SYSTEM, queue.id)] == [person.user.id]
    assert "Muster IT" in browser.get("/settings").text
    assert post(f"/settings/queues/{queue.id}/members/{person.user.id}/remove") == 303
    assert post(f"/settings/queues/{queue.id}", name="Netz", address="") == 303


@pytest.mark.parametrize(("role", "status"), [(Role.TECHNICIAN, 403), (Role.LEAD, 200), (Role.ADMINISTRATOR, 200), (Role.AUDITOR, 200)])
def test_the_audit_page_is_for_those_who_may_read_it(enter: Enter, role: Role, status: int) -> None:
    browser, _ = enter(role)
    enter(Role.LEAD, email="other@desk.example")
    for path in ("/audit", "/audit/verdict"):
        assert browser.get(path).status_code == status


def test_the_audit_page_filters_pages_and_shows_one_entry(enter: Enter, sqlite_database: Database) -> None:
    browser, _ = enter(Role.ADMINISTRATOR)
    browser.get("/settings")
    form = browser.token()
    for number in range(55):
        browser.request("POST", "/settings/desk", data={"csrf_token": form, "desk_name": f"Desk {number}", "single_person": "auto"})
    first = browser.get("/audit?kind=settings")
    assert first.text.count("settings.changed</td>") == 50
    following = re.search(r'href="(/audit\?[^"]*before=\d+[^"]*)"', first.text)
    assert following
    assert browser.get(html.unescape(following[1])).text.count("settings.changed</td>") == 5
    assert browser.get("/audit?name=nobody+like+that").text.count("settings.changed</td>") == 0
    assert browser.get("/audit?since=2000-01-01&until=2000-01-02").text.count("settings.changed</td>") == 0
    for odd in ("since=yesterday", "until=9999-12-31"):
        assert browser.get(f"/audit?{odd}").status_code == 422
    for odd in ("before=x", "before=99999999999999999999", "kind=%00", "name=%00", "before="):
        assert browser.get(f"/audit?{odd}").status_code == 200
    with sqlite_database.read() as unit:
        seq = list_audit(unit, SYSTEM, kind="settings")[0].seq
    entry = html.unescape(browser.get(f"/audit/{seq}").text)
    assert "Desk 54" in entry and "Desk 53" in entry
    for missing in (0, 10_000, 2**40):
        assert browser.get(f"/audit/{missing}").status_code == 404


def test_the_verdict_names_the_first_touched_entry(enter: Enter, sqlite_database: Database) -> None:
    browser, _ = enter(Role.ADMINISTRATOR)
    browser.get("/settings")
    form = browser.token()
    for name in ("One", "Two", "Three"):
        browser.request("POST", "/settings/desk", data={"csrf_token": form, "desk_name": name, "single_person": "auto"})
    assert 'role="status"' in browser.get("/audit/verdict").text
    tamper(sqlite_database, "update chain_contents set payload = '{}' where id = (select content_id from chain_links where seq = 2)")
    verdict = html.unescape(browser.get("/audit/verdict").text)
    assert 'role="alert"' in verdict and re.search(r"\b2\b", verdict[verdict.index('role="alert"'):][:200])


def test_names_with_markup_are_shown_as_text(enter: Enter, sqlite_database: Database) -> None:
    evil = "<img src=x onerror=alert(1)>{{7*7}}"
    browser, _ = enter(Role.ADMINISTRATOR, name=evil)
    for path in ("/account", "/settings", "/audit"):
        text = browser.get(path).text
        assert "<img src=x" not in text and "{{7*7}}" in html.unescape(text), path
