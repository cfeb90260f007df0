"""The main job against the real program as processes: mail in by SMTP, the desk by its API, consent by the mailed link, a real
agent's shell over WebSockets, everything on the ticket. TLS on every leg."""

from __future__ import annotations

import getpass
import json
import os
import re
import time
from collections.abc import Generator
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path
from typing import Any

import httpx
import pytest

from agents.protocol.signatures import DocumentType, PublicKey, read_jws
from orchestrator.accounts.logins import begin_login, prove_login
from orchestrator.accounts.models import User
from orchestrator.core.settings import Settings
from sessions.keys import open_keys
from tests.desk import Desk, make_desk, text_of
from tests.running import free_port
from tests.web.sockets.program import Console, until
from web.commands.opening import open_databases
from web.security import LOGIN_COOKIE

pytestmark = pytest.mark.timeout(180)

LINK = re.compile(r"https?://\S+/consent/[\w-]+")
CUSTOMER = "erika@muster.example"


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Desk, None, None]:
    """The program with its SMTP door, and one enrolled agent that is online."""
    made = make_desk(tmp_path_factory.mktemp("story"), extra={"FERNWART_SMTP_LISTEN": f"127.0.0.1:{free_port()}"})
    try:
        made.start()
        made.start_agent()
        made.wait_online()
        yield made
    finally:
        made.stop()


@pytest.fixture
def api(desk: Desk) -> Generator[httpx.Client, None, None]:
    with desk.api() as client:
        yield client


def write_mail(subject: str, text: str, *, answers: EmailMessage | None = None) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = f"Erika Beispiel <{CUSTOMER}>", "support@desk.example", subject, make_msgid()
    if answers is not None:
        mail["In-Reply-To"] = answers["Message-ID"]
    mail.set_content(text)
    return mail


def get(api: httpx.Client, path: str, **params: Any) -> Any:
    answer = api.get(path, params=params)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
    return answer.json()


def post(api: httpx.Client, path: str, body: Any = None, *, status: int = 201) -> Any:
    answer = api.post(path, json=body)
    assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text}"
    return answer.json()


def ask(api: httpx.Client, desk: Desk, number: str, *, purpose: str = "Look at the print queue") -> tuple[dict[str, Any], EmailMessage, str]:
    """Ask for a terminal; return the session, the approver's mail and the link in it."""
    (endpoint,) = desk.wait_online()
    session = post(api, f"/tickets/{number}/sessions", {
        "endpoint_id": endpoint["id"], "purpose": purpose, "scopes": ["terminal", "terminal.admin"], "user": getpass.getuser(), "minutes": 30})
    mail = desk.sink.wait_for_mail(CUSTOMER, number)
    while not LINK.search(text_of(mail)):
        mail = desk.sink.wait_for_mail(CUSTOMER, number)
    found = LINK.search(text_of(mail))
    assert found
    return session, mail, found.group()


def open_console(api: httpx.Client, desk: Desk, session_id: str) -> tuple[dict[str, Any], Console]:
    channel = post(api, f"/sessions/{session_id}/channels", {"kind": "shell", "columns": 100, "rows": 30})
    assert channel["kind"] == "shell" and channel["console"].startswith("/p/0/sessions/")
    return channel, Console(desk.console(channel)).start()


def run(console: Console, line: str, shows: str) -> None:
    console.type(f"{line}\n")
    console.see(shows)


def cookies_of(browser: httpx.Client) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]


def test_the_main_job_from_the_mail_to_the_article(desk: Desk, api: httpx.Client, tmp_path: Path) -> None:
    # A mail becomes a ticket with a number, confirmed in the contact's language; the same mail again changes nothing.
    first = write_mail("Print queue stuck after the update", "Hello,\n\nnothing prints since this morning.\n\nErika")
    desk.send_mail(first)
    confirmation = desk.sink.wait_for_mail(CUSTOMER, "Print queue stuck")
    assert "Your request" in confirmation["Subject"] and confirmation["In-Reply-To"] == first["Message-ID"]
    (ticket,) = [item for item in get(api, "/tickets")["items"] if item["subject"] == first["Subject"]]
    number = ticket["number"]
    assert f"[#{number}]" in confirmation["Subject"] and number in text_of(confirmation)
    assert ticket["contact_id"] == desk.contact_id and ticket["organisation_id"] == desk.organisation_id and ticket["language"] == "en"
    desk.send_mail(first)
    assert [item["number"] for item in get(api, "/tickets")["items"] if item["subject"] == first["Subject"]] == [number]
    assert sum(entry["kind"] == "message" for entry in get(api, f"/tickets/{number}/entries")["items"]) == 1

    # The technician takes it and answers; the answer arrives threaded, and what the customer writes back lands in the ticket.
    taken = post(api, "/tickets/take-next", status=200)
    assert taken["ticket"]["number"] == number and taken["ticket"]["assignee_id"] == desk.technician_id and "P3" in taken["why"]
    post(api, f"/tickets/{number}/entries", {"kind": "reply", "text": "Is it the printer on the first floor?"})
    post(api, f"/tickets/{number}/entries", {"kind": "note", "text": "Sounds like the spooler again."})
    reply = desk.sink.wait_for_mail(CUSTOMER, number)
    assert "first floor" in text_of(reply) and reply["In-Reply-To"] == first["Message-ID"] and "spooler again" not in text_of(reply)
    desk.send_mail(write_mail("Re: your question", "Yes, exactly that one.", answers=reply))
    until(lambda: any(entry["text"].startswith("Yes, exactly") for entry in get(api, f"/tickets/{number}/entries")["items"]), "the customer's answer")

    # The approver is asked; opening the link decides nothing; the yes does.
    session, mail, link = ask(api, desk, number, purpose="Restart the spooler, look at the queue")
    path = f"/sessions/{session['id']}"
    assert session["state"] == "requested" and "Jana Roth" in text_of(mail)
    with desk.browser() as customer:
        page = customer.get(link).text
        for word in ("Jana Roth", "Restart the spooler", number, getpass.getuser()):
            assert word in page, word
        assert get(api, path)["state"] == "requested"
        desk.decide(link, browser=customer)
        approved = get(api, path)
        assert approved["state"] == "approved" and approved["granted_scopes"] == ["terminal", "terminal.admin"]
        assert approved["granted_seconds"] == 1800
        (consent,) = get(api, f"{path}/consents")["items"]
        assert (consent["state"], consent["decision"]) == ("approved", "approve")
        assert (consent["approver_name"], consent["sent_to"]) == ("Erika Beispiel", CUSTOMER)

        # A real shell of the agent's user; the customer watches it from the browser that decided.
        channel, console = open_console(api, desk, session["id"])
        run(console, "cd /tmp; echo Gr\u00fc\u00dfe-$((6*7))", "Gr\u00fc\u00dfe-42")
        watching = Console(desk.connect(channel["watch"], {"Cookie": cookies_of(customer), "Origin": desk.url})).start()
        watching.see("Gr\u00fc\u00dfe-42")
        run(console, "false; (exit 3)", "(exit 3)")
        run(console, "whoami; echo end-of-work", f"{getpass.getuser()}\r\nend-of-work")
        watching.see("end-of-work")
        assert get(api, path)["state"] == "live"

        # Every line is recorded with directory and exit status, while the shell runs.
        def commands() -> dict[str, Any]:
            return {item["line"]: item for item in get(api, f"{path}/commands")["items"]}

        until(lambda: (commands().get("whoami; echo end-of-work") or {}).get("exit_status") == 0, lambda: f"the commands: {commands()}")
        rows = commands()
        assert rows["false; (exit 3)"]["exit_status"] == 3 and rows["false; (exit 3)"]["directory"] == "/tmp"
        assert rows["cd /tmp; echo Gr\u00fc\u00dfe-$((6*7))"]["directory_after"] == "/tmp"
        assert all(row["channel_id"] == channel["id"] and row["source"] == "marks" and row["seconds"] >= 0 for row in rows.values())

        # The technician ends it with a summary; the channel is over, the record whole and downloadable.
        ended = post(api, f"{path}/end", {"summary": "The spooler was restarted."}, status=200)
        assert (ended["state"], ended["end_reason"], ended["summary"]) == ("ended", "technician", "The spooler was restarted.")
        console.wait_closed()
        watching.wait_closed()
        shown = until(lambda: next((one for one in get(api, f"{path}/channels")["items"] if one["closed_at"]), None), "the channel's end")
        assert shown["output_bytes"] > 0 and len(shown["output_sha256"]) == 64
        cast = api.get(f"{path}/recordings/{channel['id']}.cast")
        assert cast.status_code == 200, cast.text
        header, *events = (json.loads(line) for line in cast.text.splitlines())
        assert header["version"] == 2 and (header["width"], header["height"]) == (100, 30)
        assert "Gr\u00fc\u00dfe-42" in "".join(event[2] for event in events if event[1] == "o")

        # The customer holds a signed receipt and can replay.
        receipt = customer.get(f"{link}/receipt.jws")
        assert receipt.status_code == 200, receipt.text
        settings = Settings(**{name.removeprefix("FERNWART_").lower(): value for name, value in desk.settings.items()})  # type: ignore[arg-type]
        with open_databases(settings) as (database, _records), database.write() as unit:
            server_key = open_keys(unit, settings.data_dir).keys.public
        signed = read_jws(receipt.text.strip(), PublicKey.from_text(server_key.text), DocumentType.RECEIPT)
        assert signed["session"]["id"] == session["id"] and signed["session"]["ticket"] == number
        assert signed["answer"]["link_went_to"] == CUSTOMER and signed["answer"]["scopes"] == ["terminal", "terminal.admin"]
        assert customer.get(f"{link}/receipt.json").json() == signed
        assert customer.get(f"{link}/replay").status_code == 200
    assert httpx.get(f"{link}/receipt.jws", verify=desk.verify()).headers["content-type"].startswith("text/html"), "another browser needs the code"

    # The ticket tells all of it, in order.
    steps = [entry["data"].get("step") for entry in get(api, f"/tickets/{number}/entries", limit=200)["items"] if entry["kind"] == "session"]
    expected = ["requested", "approved", "began", "ended"]
    assert [step for step in steps if step in expected] == expected, steps
    kinds = [event["kind"] for event in get(api, f"{path}/events", limit=200)["items"]]
    expected = ["session.requested", "session.approved", "grant.signed", "session.began", "channel.opened", "session.ended"]
    assert kinds[:len(expected)] == expected and {"channel.closed", "channel.word"} <= set(kinds), kinds

    # The commands become an article; published, the search finds it. The ticket is resolved and the customer told.
    article = draft_article(desk, session["id"])
    written = get(api, f"/articles/{article}")
    assert "echo" in written["body"] and written["state"] == "draft" and written["from_session_id"] == session["id"]
    assert post(api, f"/articles/{article}/publish", status=200)["state"] == "published"
    until(lambda: article in {hit["id"] for hit in get(api, "/search", q="print queue")["items"]}, "the article in the search")
    until(lambda: [hit for hit in get(api, "/search", q="end-of-work")["items"] if hit["ticket"] == number], "the command in the search")
    assert api.patch(f"/tickets/{number}", json={"status": "resolved"}).json()["status"] == "resolved"
    assert desk.sink.wait_for_mail(CUSTOMER, "Resolved")

    # Who did what is in the audit, and its chain holds.
    with desk.api("lead") as lead:
        audited = {entry["kind"] for entry in get(lead, "/audit", limit=200)["items"]}
    assert {"session.requested", "consent.granted", "session.ended", "recording.read", "session.watched", "article.published"} <= audited, audited
    verdict = desk.run_command("audit", "verify")
    assert verdict.returncode == 0, verdict.stderr + verdict.stdout


def draft_article(desk: Desk, session_id: str) -> str:
    """Draft an article from a session as the page does it; return the article's id."""
    settings = Settings(**{name.removeprefix("FERNWART_").lower(): value for name, value in desk.settings.items()})  # type: ignore[arg-type]
    with open_databases(settings) as (database, _records), database.write() as unit:
        login, _secret = begin_login(unit, unit.db.get_one(User, desk.technician_id), address="127.0.0.1", agent_name="test")
        secret = prove_login(unit, login, hours=1)
    with httpx.Client(verify=desk.verify(), base_url=desk.url, headers={"Cookie": f"{LOGIN_COOKIE}={secret}"}, timeout=20) as page:
        form = page.get(f"/sessions/{session_id}/draft")
        assert form.status_code == 200, form.text
        token = re.search(r'name="csrf_token" value="([^"]+)"', form.text)
        chosen = re.findall(r'name="(\w+)"[^>]*value="([^"]*)"[^>]*checked', form.text)
        assert token
        answer = page.post(f"/sessions/{session_id}/draft", data={
            "csrf_token": token.group(1), "title": "Print queue stuck", **_grouped(chosen)})
        assert answer.status_code == 303, answer.text
        found = re.search(r"/knowledge/([0-9a-f-]{36})", answer.headers["location"])
        assert found, answer.headers["location"]
        return found.group(1)


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def test_the_customer_stops_and_everything_is_gone_within_a_second(desk: Desk, api: httpx.Client) -> None:
    number = desk.open_ticket("Please look at the server")
    session, _mail, link = ask(api, desk, number)
    with desk.browser() as customer:
        desk.decide(link, browser=customer)
        _channel, console = open_console(api, desk, session["id"])
        run(console, "sleep 1000 & (setsid sleep 1001 &) ; echo pid-$!-$$-done$((1))", "-done1")
        found = re.search(rb"pid-(\d+)-(\d+)-done1", bytes(console.screen))
        assert found, bytes(console.screen)
        job, shell = int(found.group(1)), int(found.group(2))
        assert is_alive(job) and is_alive(shell)
        form = re.search(r'name="form_token" value="([^"]+)"', customer.get(link).text)
        assert form
        begun = time.monotonic()
        stopped = customer.post(link, data={"form_token": form.group(1), "decision": "stop"})
        console.wait_closed(seconds=1)
        until(lambda: not is_alive(job) and not is_alive(shell), "the end of the processes", seconds=max(0.01, begun + 1 - time.monotonic()))
        took = time.monotonic() - begun
    assert stopped.status_code == 200 and took < 1, took
    over = get(api, f"/sessions/{session['id']}")
    assert (over["state"], over["end_reason"]) == ("ended", "link")
    assert api.post(f"/sessions/{session['id']}/channels", json={"kind": "shell"}).status_code == 409


def test_a_denied_request_opens_nothing(desk: Desk, api: httpx.Client) -> None:
    number = desk.open_ticket("May you?")
    session, _mail, link = ask(api, desk, number)
    desk.decide(link, decision="deny")
    assert get(api, f"/sessions/{session['id']}")["state"] == "denied"
    assert api.post(f"/sessions/{session['id']}/channels", json={"kind": "shell"}).status_code in (403, 409)
    again = httpx.post(link, data={"decision": "approve"}, verify=desk.verify())
    assert again.status_code in (403, 409) and get(api, f"/sessions/{session['id']}")["state"] == "denied"


def test_a_narrowed_yes_grants_less(desk: Desk, api: httpx.Client) -> None:
    session, _mail, link = ask(api, desk, desk.open_ticket("Only a little"))
    with desk.browser() as customer:
        form = re.search(r'name="form_token" value="([^"]+)"', customer.get(link).text)
        assert form
        wider = customer.post(link, data={"form_token": form.group(1), "scope": ["terminal", "files.write:/"], "decision": "approve"})
        assert wider.status_code == 422 and get(api, f"/sessions/{session['id']}")["state"] == "requested"
        answer = customer.post(link, data={"form_token": form.group(1), "scope": ["diagnostics"], "minutes": "5", "decision": "approve"})
        assert answer.status_code == 422, "nothing that was not asked for"
        answer = customer.post(link, data={"form_token": form.group(1), "scope": ["terminal"], "minutes": "5", "decision": "approve"})
        assert answer.status_code == 200, answer.text
    approved = get(api, f"/sessions/{session['id']}")
    assert (approved["granted_scopes"], approved["granted_seconds"]) == (["terminal"], 300)
    opened = api.post(f"/sessions/{session['id']}/channels", json={"kind": "shell"})
    assert opened.status_code == (403 if os.geteuid() == 0 else 201), opened.text
    post(api, f"/sessions/{session['id']}/end", {"summary": ""}, status=200)
