"""The customer's page over real HTTP: forms without JavaScript, odd origins, blocked cookies, codes, receipts, headers."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from html import unescape

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from agents.protocol.signatures import DocumentType, read_jws
from orchestrator.audit.models import AuditEntry
from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from orchestrator.customers.models import Contact
from orchestrator.notifications.models import OutgoingMail
from orchestrator.tickets.models import Ticket
from sessions.consent.grants import sign_grant
from sessions.consent.links import burn_link, hash_token
from sessions.consent.models import Consent, ConsentRequest
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import ChannelRow
from sessions.lifecycle.service import begin_session
from tests.sessions.scene import Scene, build_scene
from tests.web.desk import Browser, build_app, serve_app
from web.pages import consent


@pytest.fixture
def scene(sqlite_settings: Settings, sqlite_database: Database) -> Generator[Scene, None, None]:
    records = Database(sqlite_settings.recordings_url)
    yield build_scene(sqlite_settings, sqlite_database, records)
    records.dispose()


@pytest.fixture
def app(scene: Scene) -> FastAPI:
    app = build_app(scene.parts.settings, scene.database, scene.parts.record_database, modules=(consent,))
    app.state.services.keys = scene.parts.keys

    async def nowhere() -> None:
        return None

    app.add_api_route("/p/{label}/sessions/{session_id}/channels/{channel_id}/watch", nowhere, name="sockets:watch")
    return app


@pytest.fixture
def browser(app: FastAPI) -> Generator[Browser, None, None]:
    with serve_app(app) as address:
        found = Browser(address)
        yield found
        found.close()


def words_of(page: httpx.Response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def form_token(page: httpx.Response) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found[1]


def answer(browser: Browser, token: str, decision: str, headers: dict[str, str] | None = None, **fields: object) -> httpx.Response:
    """Load the page and send its form as a browser without JavaScript does."""
    page = browser.get(f"/consent/{token}")
    data = {"form_token": form_token(page), "decision": decision, **fields}
    return browser.request("POST", f"/consent/{token}", data=data, headers=headers)


def test_the_page_says_everything_and_works_without_a_script_or_a_cookie(browser: Browser, scene: Scene) -> None:
    session, token = scene.asked(scopes=["terminal", "files.read:/var/log"])
    page = browser.get(f"/consent/{token}")
    said = words_of(page)
    for words in ("Jana Roth asks for access to your machine", "srv-print-01", "Restart the print service", "type commands as user support",
                  "read files under /var/log", "30 minutes from the start", "Yes, everything shown", "unprotected", "no screen",
                  "no administrator rights", scene.ticket.number, scene.ticket.subject, "Without your answer nothing happens"):
        assert words in said, words
    assert "<script" not in page.text and browser.set_cookies == []
    assert page.headers["referrer-policy"] == "same-origin" and page.headers["cache-control"] == "no-store"
    assert 'name="viewport"' in page.text and "noindex" in page.headers["x-robots-tag"]
    assert 'action="/consent/' + token in page.text
    assert scene.session(session.id).state == "requested"


def test_enter_in_a_field_presses_an_inert_button(browser: Browser, scene: Scene) -> None:
    page = browser.get(f"/consent/{scene.asked()[1]}")
    form = page.text[page.text.index('<form class="fw-form"'):]
    buttons = re.findall(r"<button[^>]*>", form[:form.index("</form>")])
    assert "disabled" in buttons[0] and "value=" not in buttons[0]
    assert [re.search(r'value="(\w+)"', button)[1] for button in buttons[1:]] == ["approve", "deny", "ask"]  # type: ignore[index]  # every one has a value


def test_german_contacts_read_german(browser: Browser, scene: Scene) -> None:
    with scene.database.write() as unit:
        unit.db.get_one(Contact, scene.contact.id).language = "de"
    page = browser.get(f"/consent/{scene.asked()[1]}", accept_language="en")
    assert '<html lang="de"' in page.text
    for words in ("Jana Roth bittet um Zugriff", "Zugriff erlauben", "Ablehnen", "Erst etwas fragen", "Weniger erlauben"):
        assert words in words_of(page), words


def test_a_scanners_get_notes_the_fetch_and_nothing_else(browser: Browser, scene: Scene) -> None:
    session, token = scene.asked()
    for _ in range(3):
        assert browser.get(f"/consent/{token}", user_agent="scanner").status_code == 200
    for path in ("receipt", "watch", "replay", "receipt.jws", "receipt.json"):
        assert browser.get(f"/consent/{token}/{path}").status_code == 404
    with scene.database.read() as unit:
        request = unit.db.scalars(select(ConsentRequest)).one()
        assert request.fetched_at is not None and request.state == "open"
    assert scene.session(session.id).state == "requested"


@pytest.mark.parametrize("given", [{}, {"form_token": ""}, {"form_token": "0" * 64}])
def test_a_post_without_the_pages_token_decides_nothing(browser: Browser, scene: Scene, given: dict[str, str]) -> None:
    session, token = scene.asked()
    assert browser.request("POST", f"/consent/{token}", data={"decision": "approve", **given}).status_code == 403
    assert scene.session(session.id).state == "requested"


def test_the_token_of_one_link_does_not_open_another(browser: Browser, scene: Scene) -> None:
    first, token = scene.asked()
    _, other = scene.asked()
    stolen = form_token(browser.get(f"/consent/{other}"))
    response = browser.request("POST", f"/consent/{token}", data={"form_token": stolen, "decision": "approve"})
    assert response.status_code == 403 and scene.session(first.id).state == "requested"


def test_a_foreign_origin_is_refused_and_a_missing_one_or_null_is_not(browser: Browser, scene: Scene) -> None:
    for origin, allowed in (("https://evil.example", False), ("https://desk.example.evil.example", False), ("null", True), (None, True),
                            (browser.address, False), (scene.parts.settings.public_url, True)):
        scene.now_later(hours=1)
        session, token = scene.asked()
        response = answer(browser, token, "approve", headers={"origin": origin} if origin else None)
        assert response.status_code == (303 if allowed else 403), origin
        assert scene.session(session.id).state == ("approved" if allowed else "requested")


def test_allowing_gives_a_host_cookie_and_leads_to_the_state(browser: Browser, scene: Scene) -> None:
    session, token = scene.asked()
    response = answer(browser, token, "approve")
    assert (response.status_code, response.headers["location"]) == (303, f"/consent/{token}")
    cookie = browser.set_cookies[0].lower()
    assert cookie.startswith("__host-fernwart-view-") and all(
        part in cookie for part in ("secure", "httponly", "samesite=lax", "path=/")) and "max-age" not in cookie and "domain" not in cookie
    page = browser.get(f"/consent/{token}")
    assert "Allowed, not started yet" in words_of(page) and "Take the permission back" in words_of(page)
    assert scene.session(session.id).state == "approved"


def test_with_cookies_blocked_deciding_and_stopping_work_all_the_same(browser: Browser, scene: Scene) -> None:
    session, token = scene.asked()
    answer(browser, token, "approve")
    browser.cookies.clear()
    assert browser.get(f"/consent/{token}/receipt").status_code == 403
    answer(browser, token, "stop")
    assert scene.session(session.id).state == "cancelled"
    assert "Taken back" in words_of(browser.get(f"/consent/{token}"))


def test_less_can_be_allowed_and_nothing_ticked_is_not_everything(browser: Browser, scene: Scene) -> None:
    session, token = scene.asked(scopes=["terminal", "files.read:/var/log"])
    assert answer(browser, token, "approve", narrowing="yes", minutes="30").status_code == 422
    assert answer(browser, token, "approve", narrowing="yes", scope=["terminal", "terminal.admin"]).status_code == 422
    for minutes in ("31", "0", "-5", "soon", "9" * 9):
        assert answer(browser, token, "approve", narrowing="yes", scope="terminal", minutes=minutes).status_code == 422
    assert scene.session(session.id).state == "requested"
    assert answer(browser, token, "approve", narrowing="yes", scope="terminal", minutes="10").status_code == 303
    row = scene.session(session.id)
    assert (row.granted_scopes, row.granted_seconds) == (["terminal"], 600)


def test_denying_and_asking(browser: Browser, scene: Scene) -> None:
    session, token = scene.asked()
    assert answer(browser, token, "ask", question="").status_code == 422
    response = answer(browser, token, "ask", question="Why today?")
    assert response.headers["location"] == f"/consent/{token}?asked=1"
    assert "Your question is with the technician" in words_of(browser.get(response.headers["location"]))
    assert scene.session(session.id).state == "requested"
    assert answer(browser, token, "deny", reason="<b>No</b>").status_code == 303
    assert "Denied" in words_of(browser.get(f"/consent/{token}"))
    page = browser.get(f"/consent/{token}/receipt")
    assert "&lt;b&gt;No" in page.text and "Receipt of a refusal" in words_of(page)


def test_a_second_answer_sees_the_state_and_changes_nothing(browser: Browser, scene: Scene) -> None:
    session, token = scene.asked()
    other = Browser(browser.address)
    stale = form_token(other.get(f"/consent/{token}"))
    answer(browser, token, "approve")
    response = other.request("POST", f"/consent/{token}", data={"form_token": stale, "decision": "deny"})
    assert response.status_code == 409 and "has been answered already" in words_of(response)
    assert scene.session(session.id).state == "approved" and other.set_cookies == []
    other.close()


def test_an_expired_or_burned_link_shows_no_buttons_and_decides_nothing(browser: Browser, scene: Scene) -> None:
    for spoil in ("late", "burned"):
        session, token = scene.asked()
        page = browser.get(f"/consent/{token}")
        given = form_token(page)
        if spoil == "late":
            scene.now_later(minutes=60)
        else:
            with scene.database.write() as unit:
                burn_link(unit, hash_token(token))
        assert "Allow access" not in words_of(browser.get(f"/consent/{token}"))
        response = browser.request("POST", f"/consent/{token}", data={"form_token": given, "decision": "approve"})
        assert response.status_code == 409 and scene.session(session.id).state == "requested"


def test_unknown_links_and_decisions_are_not_found(browser: Browser, scene: Scene) -> None:
    _, token = scene.asked()
    for path in ("/consent/nothing", "/consent/" + "A" * 43, f"/consent/{token}x", f"/consent/{token}/unknown"):
        assert browser.get(path).status_code == 404
    assert answer(browser, token, "maybe").status_code == 404
    assert browser.request("PUT", f"/consent/{token}").status_code == 405


def test_the_receipt_is_shown_printed_and_downloaded_and_verifies(browser: Browser, scene: Scene) -> None:
    _, token = scene.asked()
    answer(browser, token, "approve")
    page = browser.get(f"/consent/{token}/receipt")
    said = words_of(page)
    for words in (scene.parts.keys.fingerprint, scene.contact.email or "", "given", "ISO/IEC TS 27560", "Jana Roth"):
        assert words in said
    signed = browser.get(f"/consent/{token}/receipt.jws")
    fields = browser.get(f"/consent/{token}/receipt.json")
    assert "attachment" in signed.headers["content-disposition"]
    assert read_jws(signed.text.strip(), scene.parts.keys.public, DocumentType.RECEIPT) == json.loads(fields.text)


def test_another_browser_needs_the_mailed_code(browser: Browser, scene: Scene) -> None:
    _, token = scene.asked()
    answer(browser, token, "approve")
    other = Browser(browser.address)
    page = other.get(f"/consent/{token}/receipt")
    assert page.status_code == 403 and "six digits" in words_of(page)
    assert other.request("POST", f"/consent/{token}/code", data={"goal": "receipt"}).status_code == 200
    with scene.database.read() as unit:
        mail = unit.db.scalars(select(OutgoingMail).where(OutgoingMail.purpose == "consent.code")).one()
    code = scene.secret_of(mail, "code")
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    assert other.request("POST", f"/consent/{token}/receipt", data={"code": wrong}).status_code == 422
    shown = other.request("POST", f"/consent/{token}/receipt", data={"code": code})
    assert shown.status_code == 200 and "Receipt of a permission" in words_of(shown)
    assert other.get(f"/consent/{token}/receipt").status_code == 200
    third = Browser(browser.address)
    assert third.request("POST", f"/consent/{token}/receipt", data={"code": code}).status_code == 422
    third.close()
    other.close()


def test_watch_and_replay_name_each_channel_and_reading_a_cast_is_audited(browser: Browser, scene: Scene) -> None:
    session, token = scene.asked()
    answer(browser, token, "approve")
    with scene.database.write() as unit:
        sign_grant(unit, scene.actor(), session, nonce="n" * 43, keys=scene.parts.keys)
        begin_session(unit, scene.actor(), session)
        channel = ChannelRow(session_id=session.id, kind="shell", state="live", os_user="support", columns=100, rows=30, opened_at=unit.now)
        unit.db.add(channel)
    state = browser.get(f"/consent/{token}")
    assert "The session is running" in words_of(state) and "Stop the session" in words_of(state)
    watch = browser.get(f"/consent/{token}/watch")
    assert f'data-watch-url="/p/0/sessions/{session.id}/channels/{channel.id}/watch"' in watch.text and 'data-columns="100"' in watch.text
    replay = browser.get(f"/consent/{token}/replay")
    assert f'data-cast-url="/consent/{token}/replay/{channel.id}.cast"' in replay.text
    cast = browser.get(f"/consent/{token}/replay/{channel.id}.cast")
    assert cast.status_code == 200 and json.loads(cast.text.splitlines()[0])["width"] == 100
    with scene.database.read() as unit:
        entry = unit.db.scalars(select(AuditEntry).where(AuditEntry.kind == "recording.read")).one()
        assert (entry.actor_kind, entry.actor_id) == ("contact", scene.contact.id)
    assert answer(browser, token, "stop").status_code == 303
    assert "The session is over" in words_of(browser.get(f"/consent/{token}")) and scene.session(session.id).end_reason == "link"


def test_a_cast_of_another_session_is_not_found(browser: Browser, scene: Scene) -> None:
    _, token = scene.asked()
    answer(browser, token, "approve")
    assert browser.get(f"/consent/{token}/replay/{scene.ticket.id}.cast").status_code == 404
    browser.cookies.clear()
    assert browser.get(f"/consent/{token}/replay/{scene.ticket.id}.cast").status_code == 404


def test_a_shared_mailbox_asks_for_the_name_and_says_what_needs_a_call(browser: Browser, scene: Scene) -> None:
    with scene.database.write() as unit:
        unit.db.get_one(Contact, scene.contact.id).shared_mailbox = True
        unit.db.get_one(Endpoint, scene.endpoint.id).accounts = {"support": {"login_allowed": True, "may_become_root": True}}
    session, token = scene.asked(scopes=["terminal.admin", "files.read:/var/log"])
    page = browser.get(f"/consent/{token}")
    assert 'name="name"' in page.text and "called you back" in words_of(page) and "may become administrator" in words_of(page)
    assert answer(browser, token, "approve").status_code == 422
    assert answer(browser, token, "approve", name="Erika").status_code == 409
    assert answer(browser, token, "approve", name="Erika", narrowing="yes", scope="files.read:/var/log").status_code == 303
    assert scene.session(session.id).granted_scopes == ["files.read:/var/log"]


def test_text_of_strangers_stays_text(browser: Browser, scene: Scene) -> None:
    evil = '<script>alert(1)</script>{{7*7}}"\'><img src=x>'
    with scene.database.write() as unit:
        unit.db.get_one(Ticket, scene.ticket.id).subject = evil
        unit.db.get_one(Endpoint, scene.endpoint.id).name = evil
    _, token = scene.asked(purpose=evil)
    for path in ("", "/receipt"):
        page = browser.get(f"/consent/{token}{path}")
        assert "<script>" not in page.text and "<img src=x" not in page.text and "49" not in words_of(page).split()
        answer(browser, token, "approve") if not path else None
    with scene.database.read() as unit:
        assert unit.db.scalars(select(Consent)).one().decision == "approve"


def test_the_clock_box_is_there_only_when_the_clock_is_wrong(browser: Browser, scene: Scene) -> None:
    assert "clock_is_wrong" not in browser.get(f"/consent/{scene.asked()[1]}").text
    with scene.database.write() as unit:
        unit.db.get_one(Endpoint, scene.endpoint.id).clock_offset_seconds = 900.0
    _, token = scene.asked()
    assert "clock_is_wrong" in browser.get(f"/consent/{token}").text
    answer(browser, token, "approve", clock_is_wrong="yes")
    with scene.database.read() as unit:
        assert unit.db.scalars(select(Consent)).one().clock_is_wrong is True
