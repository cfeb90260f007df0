"""The life of accounts from the first link to a disabled colleague, over HTTP, on both databases."""

from __future__ import annotations

import re

from pyotp.totp import TOTP

from orchestrator.accounts.links import FIRST, SET_UP, find_open_link, make_first_link
from orchestrator.accounts.queries import find_user_by_email
from orchestrator.audit.queries import verify_audit
from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from tests.orchestrator.accounts.builders import pass_time, stop_clock
from tests.web.desk import Browser, build_app, serve_app

PASSWORD = "wandern im wald bei regen"


def test_from_the_first_link_to_a_disabled_colleague(settings: Settings, database: Database) -> None:
    clock = stop_clock(database)

    def secret_of(token: str) -> str:
        with database.read() as unit:
            return find_open_link(unit, token, FIRST, SET_UP).totp_secret

    def code(secret: str) -> str:
        return TOTP(secret).at(int(clock.moment.timestamp()))

    with database.write() as unit:
        first = make_first_link(unit)
    assert first is not None
    with serve_app(build_app(settings, database, database)) as address:
        chief, bert = Browser(address), Browser(address)
        chief_secret = secret_of(first)
        chief.get(f"/set-up/{first}")
        done = chief.post(f"/set-up/{first}", name="Chief", email="chief@desk.example", password=PASSWORD, again=PASSWORD,
                          code=code(chief_secret))
        assert (done.status_code, done.headers["location"]) == (303, "/settings")

        chief.get("/settings")
        page = chief.post("/settings/people", email="bert@desk.example", name="Bert", roles="technician")
        found = re.search(r"/set-up/([\w-]{40,})", page.text)
        assert found
        bert_secret = secret_of(found[1])
        bert.get(f"/set-up/{found[1]}")
        assert bert.post(f"/set-up/{found[1]}", password=PASSWORD, again=PASSWORD, code=code(bert_secret)).status_code == 303
        bert.get("/account")
        assert bert.post("/logout").status_code == 303

        pass_time(clock, seconds=60)
        bert.get("/login")
        assert bert.post("/login", email="bert@desk.example", password=PASSWORD).status_code == 303
        bert.get("/login/code")
        assert bert.post("/login/code", code=code(bert_secret)).status_code == 303
        assert bert.get("/account").status_code == 200
        token_page = bert.post("/account/tokens", rights="all") if bert.token() else None
        assert token_page is not None and token_page.status_code == 201

        with database.read() as unit:
            user = find_user_by_email(unit, "bert@desk.example")
        assert user is not None
        chief.get("/settings")
        assert chief.post(f"/settings/people/{user.id}/disable").status_code == 303
        assert bert.get("/account").status_code == 303
        bert.get("/login")
        assert bert.post("/login", email="bert@desk.example", password=PASSWORD).status_code == 422

        shown = chief.get("/audit").text
        for kind in ("user.disabled", "login.failed", "token.created", "login.succeeded", "login.ended", "user.set-up", "user.added", "link.made"):
            assert kind in shown, kind
        assert 'role="status"' in chief.get("/audit/verdict").text
        for browser in (chief, bert):
            browser.close()
    with database.read() as unit:
        assert verify_audit(unit).is_whole
