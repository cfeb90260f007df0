"""The server is killed in the middle of output: every byte once on the screen and on record, the shell lives on (faults.md F1)."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.db import Database
from sessions.recording.replay import iterate_raw
from sessions.recording.verify import verify_recording
from tests.desk import Desk, make_desk
from tests.web.sockets.program import Console, until
from tests.web.sockets.test_cuts import EXPECTED, cut_out


@pytest.fixture
def desk(tmp_path: Path) -> Generator[Desk, None, None]:
    made = make_desk(tmp_path / "desk", tls=False)
    try:
        yield made
    finally:
        made.stop()


def ask(desk: Desk, endpoint_id: str, user: str) -> dict[str, Any] | None:
    try:
        return desk.approved_session(endpoint_id, user=user)
    except AssertionError as exc:
        if "has not reported the account" not in str(exc):
            raise
        return None


def connect_page(desk: Desk, channel: dict[str, Any], **attach: Any) -> Console:
    return Console(desk.console(channel)).start(**attach)


def test_a_server_killed_in_the_middle_loses_and_doubles_nothing(desk: Desk, shell_user: str) -> None:
    desk.start()
    desk.start_agent()
    endpoint = desk.wait_online()[0]
    session = until(lambda: ask(desk, endpoint["id"], shell_user), "a session")
    channel = desk.open_channel(session["id"])
    console = connect_page(desk, channel)
    console.wait_live()
    console.type("PS1='$ '; stty -echo; echo beg''in; seq 1 200000; echo e''nd\n")
    screen = bytearray()
    for wanted in (60_000, 600_000):
        until(lambda: console.raw > wanted or b"end\r\n" in bytes(console.screen), "output")  # noqa: B023 (called at once)
        assert desk.running is not None
        desk.running.kill()
        console.wait_closed()
        screen += console.screen
        desk.start()
        console = connect_page(desk, channel, have=console.raw, generation=console.generation, take=False)
        console.wait_live(seconds=30)
        assert not console.told("reset")
    console.see("end\r\n", seconds=40)
    screen += console.screen
    assert cut_out(bytes(screen)) == EXPECTED
    console.type("echo typed-$((40 + 2))\n")
    console.see("typed-42\r\n")
    with desk.api() as api:
        assert api.get(f"/sessions/{session['id']}").json()["state"] == "live"
        api.post(f"/sessions/{session['id']}/end", json={"summary": ""})
        until(lambda: all(one["state"] == "closed" for one in api.get(f"/sessions/{session['id']}/channels").json()["items"]), "the channel closed")
    records = Database(f"sqlite:///{desk.folder / 'data' / 'recordings.sqlite'}")
    with records.read() as unit:
        raw = b"".join(iterate_raw(unit, channel["id"]))
        report = verify_recording(unit, channel["id"])
    records.dispose()
    assert cut_out(raw) == EXPECTED
    assert report.problem is None
