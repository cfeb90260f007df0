"""Agents that go away, come back, come back as somebody else, or stop by themselves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from sqlalchemy import select

from orchestrator.audit.models import AuditEntry
from orchestrator.core.db import WriteUnit
from orchestrator.core.settings import Settings
from sessions.endpoints.service import disable_endpoint
from sessions.lifecycle.models import RemoteSession, SessionState
from sessions.lifecycle.queries import events_of
from tests import builders
from tests.running import clean_environment
from tests.web.sockets.program import AGENT, Console, Program, run_program, until


@pytest.fixture
def own(sqlite_settings: Settings, shell_user: str) -> Generator[tuple[Program, Path], None, None]:
    """A program of its own, whose agent the test may stop and start."""
    with run_program(sqlite_settings) as running:
        running.shell_user = shell_user
        yield running, running.enrol()


def kinds(program: Program, session_id: str) -> list[str]:
    return program.read(lambda unit: [event.kind for event in events_of(unit, program.session(session_id))])


def test_a_killed_agent_suspends_the_session_and_its_successor_starts_a_new_channel(own: tuple[Program, Path]) -> None:
    program, state = own
    agent = program.start_agent(state)
    session, channel, console = program.shell()
    console.type("echo before\n")
    console.see("before\r\n")
    os.killpg(agent.pid, signal.SIGKILL)
    console.wait("away")
    until(lambda: program.session(session.id).state == SessionState.SUSPENDED, "the suspension")
    program.start_agent(state)
    until(lambda: program.session(session.id).state == SessionState.LIVE, "the session back")
    # The shell died with its agent: its channel ends, with a gap on the ticket.
    console.wait("ended")
    row = until(lambda: (found := program.channel(channel.id)).closed_at and found, "the row closed")
    assert row.exit_status is None
    assert b"before" in program.record(channel.id)
    assert "recording.gap" in kinds(program, session.id)
    assert "gap" in program.steps(session.id)
    # A new channel opens under what is left of the consent.
    other = program.console(program.open(session), client="page-2")
    other.type("echo again-$((1 + 1))\n")
    other.see("again-2")
    assert "session.grant_renewed" in kinds(program, session.id)
    program.end(session)
    other.wait_closed()


def test_a_lost_link_alone_interrupts_nothing(own: tuple[Program, Path]) -> None:
    program, state = own
    program.start_agent(state)
    session, _, console = program.shell()
    link = program.services.live.hub.link_of(program.endpoint_id)
    program.abort("/agent/v1/link")
    console.type("echo meanwhile\n")
    console.see("meanwhile\r\n")
    until(lambda: program.services.live.hub._links.get(program.endpoint_id) not in (None, link), "another link")
    console.type("echo after\n")
    console.see("after\r\n")
    assert "agent_lost" not in program.steps(session.id)
    program.end(session)
    console.wait_closed()


def test_the_person_at_the_machine_stops_the_session(own: tuple[Program, Path]) -> None:
    program, state = own
    program.start_agent(state)
    session, _, console = program.shell()
    stopped = subprocess.run([*AGENT, "stop", "--state", str(state)], capture_output=True, timeout=20, check=False, env=clean_environment())
    assert stopped.returncode == 0, stopped.stderr
    until(lambda: program.session(session.id).state == SessionState.ENDED, "the end")
    assert program.session(session.id).end_reason == "agent_stopped"
    console.wait_closed()


def test_a_session_whose_agent_never_returns_ends_with_a_gap(own: tuple[Program, Path]) -> None:
    program, state = own
    agent = program.start_agent(state)
    session, channel, console = program.shell()
    os.killpg(agent.pid, signal.SIGKILL)
    until(lambda: program.session(session.id).state == SessionState.SUSPENDED, "the suspension")

    def let_grace_pass(unit: WriteUnit) -> None:
        row = unit.db.get_one(RemoteSession, session.id)
        row.grace_seconds, row.due_at = -60, unit.now

    program.write(let_grace_pass)
    program.services.signals.publish("jobs")
    until(lambda: program.session(session.id).state == SessionState.ENDED, "the end")
    assert program.session(session.id).end_reason == "agent_lost"
    console.wait_closed()
    until(lambda: program.channel(channel.id).closed_at, "the row closed")
    assert "recording.gap" in kinds(program, session.id)


def test_two_agents_with_one_key_the_newer_wins_and_somebody_is_told(own: tuple[Program, Path], tmp_path: Path) -> None:
    program, state = own
    program.start_agent(state)
    first = program.services.live.hub.link_of(program.endpoint_id)
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(state), str(copy)], check=True)
    for socket in copy.glob("*.sock"):
        socket.unlink()
    program.start_agent(copy)
    until(lambda: program.services.live.hub._links.get(program.endpoint_id) not in (None, first), "the newer link")
    entry = until(lambda: program.read(lambda unit: unit.db.scalars(
        select(AuditEntry).where(AuditEntry.kind == "endpoint.key-used-twice")).first()), "the alarm")
    assert "newer connection" in entry.summary


def test_a_disabled_endpoint_loses_its_link_and_its_session_at_once(own: tuple[Program, Path]) -> None:
    program, state = own
    program.start_agent(state)
    session, _, console = program.shell()
    lead = builders.actor_of(program.scene.lead)
    program.write(lambda unit: disable_endpoint(unit, lead, program.endpoint_id))
    console.wait("ended", seconds=2)
    until(lambda: program.endpoint_id not in program.services.live.hub._links, "the link gone")
    assert program.session(session.id).end_reason == "endpoint_disabled"


def test_a_stopped_server_leaves_the_channel_to_the_agent_and_the_next_one_takes_it_up(own: tuple[Program, Path]) -> None:
    program, state = own
    program.start_agent(state)
    session, channel, console = program.shell()
    console.type("for n in $(seq 1 200); do echo tick-$n; sleep 0.02; done\n")
    console.see("tick-20\r\n")
    program.restart()
    console.wait_closed()
    assert console.closed is not None and console.closed[0] in (1001, 1006, 1012)
    again = program.console(channel, have=console.raw, generation=console.generation, take=False)
    again.wait_live(seconds=30)
    again.see("tick-200\r\n", seconds=30)
    whole = bytes(console.screen + again.screen)
    assert [line for line in whole.split(b"\r\n") if line.startswith(b"tick-")] == [b"tick-%d" % number for number in range(1, 201)]
    again.type("echo typed-$((2 + 2))\n")
    again.see("typed-4")
    assert program.session(session.id).state == SessionState.LIVE
    assert program.steps(session.id)[-2:] == ["agent_lost", "agent_back"]
    program.end(session)
    again.wait_closed()
    row = until(lambda: (found := program.channel(channel.id)).word and found, "the agent's word")
    assert not row.word_differs
    assert len(re.findall(rb"tick-\d+\r\n", program.record(channel.id))) == 200


def test_a_record_that_cannot_be_written_stalls_both_directions_and_then_goes_on(own: tuple[Program, Path]) -> None:
    program, state = own
    program.start_agent(state)
    session, channel, console = program.shell()
    with program.locked_records():
        console.type("echo into-the-stall\n")
        console.wait("stalled", seconds=8)
        console.type("echo held-back\n")
    console.wait("unstalled", seconds=8)
    console.see("held-back\r\n", seconds=10)
    until(lambda: b"held-back\r\n" in program.record(channel.id), "the record")
    assert program.record(channel.id).count(b"into-the-stall\r\n") == 1
    program.end(session)
    console.wait_closed()


def test_no_terminal_opens_while_the_record_cannot_be_written(own: tuple[Program, Path]) -> None:
    program, state = own
    program.start_agent(state)
    session = program.approved()
    with program.locked_records():
        channel = program.open(session)
        console = program.console(channel)
        news = console.wait("ended", seconds=15)
    assert news["failed"]
    console.wait_closed()
    row = until(lambda: (found := program.channel(channel.id)).closed_at and found, "the row closed")
    assert row.state == "failed"
    assert program.session(session.id).state == SessionState.APPROVED


def test_a_follow_up_is_taken_over_while_the_terminal_goes_on(own: tuple[Program, Path]) -> None:
    program, state = own
    program.start_agent(state)
    session, _, console = program.shell(minutes=5)
    before = program.session(session.id)
    program.approve_more(session, minutes=45)
    until(lambda: program.session(session.id).grant_id != before.grant_id, "the new grant")
    renewed = program.session(session.id)
    assert renewed.ends_at is not None and before.ends_at is not None and renewed.ends_at > before.ends_at
    console.type("echo still-here\n")
    console.see("still-here\r\n")
    program.end(session)
    console.wait_closed()


def test_a_console_of_a_channel_that_is_over_is_told_how_it_ended(own: tuple[Program, Path]) -> None:
    program, state = own
    program.start_agent(state)
    session, channel, console = program.shell()
    console.type("exit 7\n")
    console.wait_closed()
    late = Console(program.browse(program.path(channel))).start(client="late")
    assert late.wait("exit")["status"] == 7
    late.wait_closed(seconds=20)
    program.end(session)

