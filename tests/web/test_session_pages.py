"""The pages of remote sessions, served by the whole program with a real agent behind them."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.desk import Desk, make_desk
from tests.web.sockets.conftest import shell_user
from tests.web.sockets.program import until

__all__ = ["shell_user"]


@dataclass
class Worked:
    """A desk with one live session in whose terminal some commands have run."""

    desk: Desk
    session: dict[str, Any]
    channel: dict[str, Any]
    console: ClientConnection
    seen: bytearray = field(default_factory=bytearray)

    @property
    def path(self) -> str:
        return f"/sessions/{self.session['id']}"

    def pages(self, who: str = "technician") -> httpx.Client:
        return httpx.Client(base_url=self.desk.url, headers={"Authorization": f"Bearer {self.desk.tokens[who]}", "Accept-Language": "en"}, timeout=20)

    def run(self, line: str, expected: str) -> None:
        self.console.send(line.encode() + b"\n")
        deadline = time.monotonic() + 20
        while expected.encode() not in self.seen:
            assert time.monotonic() < deadline, bytes(self.seen[-500:])
            message = self.console.recv(timeout=20)
            self.seen += message if isinstance(message, bytes) else b""

    def commands(self) -> list[dict[str, Any]]:
        with self.desk.api() as api:
            return list(api.get(f"/sessions/{self.session['id']}/commands").json()["items"])


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory, shell_user: str) -> Generator[Worked, None, None]:
    desk = make_desk(tmp_path_factory.mktemp("desk"), tls=False)
    try:
        desk.start()
        desk.start_agent()
        endpoint = desk.wait_online()[0]
        session = until(lambda: ask_when_known(desk, endpoint["id"], shell_user), "a session")
        channel = desk.open_channel(session["id"])
        made = Worked(desk, session, channel, desk.console(channel))
        made.run("stty -echo; echo on $(hostname) as $(id -un)", f"as {shell_user}\r\n")
        made.run("cd /tmp && false; echo status-$?", "status-1")
        made.run("printf 'evil \\033]0;title\\007<b>markup</b>\\n'", "<b>markup</b>")
        until(lambda: len([row for row in made.commands() if row["seconds"] is not None]) >= 3, "the commands on record")
        yield made
    finally:
        desk.stop()


def ask_when_known(desk: Desk, endpoint_id: str, user: str) -> dict[str, Any] | None:
    """Ask for a session and approve it; None while the machine has not told its accounts yet."""
    try:
        return desk.approved_session(endpoint_id, user=user)
    except AssertionError as exc:
        if "has not reported the account" not in str(exc):
            raise
        return None


def test_the_page_shows_consent_time_and_commands(worked: Worked) -> None:
    with worked.pages() as pages:
        answer = pages.get(worked.path)
    assert answer.status_code == 200
    text = answer.text
    assert 'data-session-state="live"' in text
    assert "Consent by Erika Beispiel" in text
    assert "data-ends-at" in text
    assert "Look at the print queue" in text
    assert "cd /tmp &amp;&amp; false; echo status-$?" in text
    assert 'id="terminals"' in text and 'data-mode="console"' in text
    assert "<b>markup</b>" not in text


def test_only_pages_with_a_terminal_may_style_inline(worked: Worked) -> None:
    with worked.pages() as pages:
        for path, may in ((worked.path, True), (f"{worked.path}/replay", True), (f"{worked.path}/draft", False), ("/sessions", False)):
            policy = pages.get(path).headers["content-security-policy"]
            assert ("'unsafe-inline'" in policy) is may, path
            assert re.search(r"script-src 'self';", policy)


def test_a_live_region_answers_alone(worked: Worked) -> None:
    with worked.pages() as pages:
        answer = pages.get(f"{worked.path}?part=bar", headers={"HX-Request": "true"})
    assert answer.text.lstrip().startswith('<div class="fw-consent-bar"')
    assert "<html" not in answer.text


def test_a_note_lands_on_the_ticket_and_the_terminal_stays(worked: Worked) -> None:
    with worked.pages() as pages:
        text = "The spool folder belonged to the wrong group"
        answer = pages.post(f"{worked.path}/note", data={"text": text}, headers={"X-Requested-With": "fetch"})
        assert answer.status_code == 204
        empty = pages.post(f"{worked.path}/note", data={"text": " "})
        assert empty.status_code == 422
    with worked.desk.api() as api:
        assert "wrong group" in api.get(f"/tickets/{worked.session['ticket_number']}/entries").text


def test_asking_for_more_goes_to_the_customer_once(worked: Worked) -> None:
    fields = {"minutes": "90", "purpose": "It takes longer", "scopes": "terminal"}
    with worked.pages() as pages:
        wrong = pages.post(f"{worked.path}/more", data={**fields, "minutes": "many"})
        assert wrong.status_code == 422
        assert "Write a whole number." in wrong.text
        assert pages.post(f"{worked.path}/more", data=fields).status_code == 303
        again = pages.post(f"{worked.path}/more", data=fields)
        assert again.status_code == 409
        assert "has not answered the last question yet" in again.text
        assert "asked for more" in pages.get(worked.path).text
        worked.desk.decide(worked.desk.sink.wait_for(re.compile(r"https?://\S+/consent/\S+")).group(), decision="deny")
        assert "asked for more" not in pages.get(worked.path).text


def test_a_lead_sees_the_session_in_the_list_and_watches_it(worked: Worked) -> None:
    with worked.pages("lead") as pages:
        listed = pages.get("/sessions").text
        assert worked.session["id"] in listed
        assert "Jana Roth" in listed
        shown = pages.get(worked.path).text
    assert 'data-mode="watch"' in shown
    assert 'id="open-terminal"' not in shown


def test_the_replay_lists_channels_and_commands_and_is_audited(worked: Worked) -> None:
    with worked.pages() as pages:
        answer = pages.get(f"{worked.path}/replay")
        assert answer.status_code == 200
        cast_path = re.search(r'data-cast-url="([^"]+)"', answer.text)
        assert cast_path is not None
        seconds = [float(found) for found in re.findall(r'data-seconds="([\d.]+)"', answer.text)]
        assert seconds == sorted(seconds) and len(seconds) >= 3
        cast = pages.get(cast_path[1])
        assert cast.status_code == 200
        assert "status-1" in cast.text
        assert "633;fw1" not in cast.text
        assert pages.get(f"{worked.path}/replay?channel=nonsense").status_code == 404
    with worked.desk.api("lead") as api:
        kinds = [entry["kind"] for entry in api.get("/audit").json()["items"]]
    assert "session.replayed" in kinds
    assert "recording.read" in kinds


def test_a_draft_holds_the_chosen_commands_and_no_names(worked: Worked, shell_user: str) -> None:
    with worked.pages() as pages:
        form = pages.get(f"{worked.path}/draft").text
        keys = re.findall(r'name="command" value="([^"]+)"', form)
        assert len(keys) >= 3
        none = pages.post(f"{worked.path}/draft", data={"title": "Print queue"})
        assert none.status_code == 422
        assert "Choose at least one command." in none.text
        written = pages.post(f"{worked.path}/draft", data={"title": "Print queue", "command": keys[:2], "output": "yes"})
        assert written.status_code == 303
        article = pages.get(written.headers["location"]).text
    assert "hostname" in article
    assert "as USER" in article
    assert shell_user not in article


def test_nobody_else_reaches_the_pages(worked: Worked) -> None:
    with httpx.Client(base_url=worked.desk.url, timeout=20) as nobody:
        for path in (worked.path, f"{worked.path}/replay", f"{worked.path}/draft", "/sessions"):
            answer = nobody.get(path)
            assert answer.status_code == 303 and "/login" in answer.headers["location"], path
    with worked.pages() as pages:
        assert pages.get("/sessions/nonsense").status_code == 404
        assert pages.get(worked.path.replace(worked.session["id"], "00000000-0000-7000-8000-000000000000")).status_code == 404


def test_ending_a_session_from_its_page_ends_it_everywhere(worked: Worked, shell_user: str) -> None:
    session = worked.desk.approved_session(worked.session["endpoint_id"], user=shell_user)
    console = worked.desk.console(worked.desk.open_channel(session["id"]))
    path = f"/sessions/{session['id']}"
    with worked.pages() as pages:
        until(lambda: 'data-session-state="live"' in pages.get(path).text, "the session live")
        answer = pages.post(f"{path}/end", data={"summary": "Rights set"})
        assert answer.status_code == 303
        with pytest.raises(ConnectionClosed):
            while True:
                console.recv(timeout=5)
        over = pages.get(path).text
        assert 'data-session-state="ended"' in over
        assert "This session is over" in over
        assert 'id="terminals"' not in over
        assert pages.post(f"{path}/end", data={}).status_code == 409
        assert session["id"] not in pages.get("/sessions").text
    with worked.desk.api() as api:
        until(lambda: "Rights set" in api.get(f"/tickets/{session['ticket_number']}/entries").text, "the summary on the ticket")


def test_a_lead_ends_a_session_from_the_list(worked: Worked, shell_user: str) -> None:
    session = worked.desk.approved_session(worked.session["endpoint_id"], user=shell_user)
    with worked.pages("lead") as pages:
        answer = pages.post(f"/sessions/{session['id']}/end", data={"back": "list"})
        assert answer.status_code == 303
        assert answer.headers["location"].endswith("/sessions")
    with worked.desk.api() as api:
        assert api.get(f"/sessions/{session['id']}").json()["state"] == "cancelled"
