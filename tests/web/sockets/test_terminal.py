"""A terminal from end to end: a page's socket, the server, a real agent with a real shell."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time

from sqlalchemy import update
from websockets.exceptions import ConnectionClosed

from orchestrator.customers.models import ApproverRight
from tests.web.sockets.program import Console, Program, until


def test_a_terminal_opens_types_and_exits(program: Program) -> None:
    session, channel, console = program.shell()
    console.type("echo hello-$((40 + 2))\n")
    console.see("hello-42\r\n")
    assert program.session(session.id).state == "live"
    console.type("exit 3\n")
    assert console.wait("exit")["status"] == 3
    console.wait_closed()
    row = until(lambda: (found := program.channel(channel.id)).closed_at and found, "the row closed")
    assert (row.state, row.exit_status) == ("closed", 3)
    record = program.record(channel.id)
    assert len(record) == row.output_bytes
    assert b"hello-42" in record
    word = until(lambda: (found := program.channel(channel.id)).word and found, "the agent's word")
    assert not word.word_differs
    assert program.session(session.id).state == "live"


def test_the_console_may_be_connected_before_the_agent_has_dialled_and_early_keys_arrive(program: Program) -> None:
    session = program.approved()
    channel = program.open(session)
    console = program.console(channel)
    assert console.wait("attached")["state"] in ("opening", "live")
    console.type("echo early-$((1 + 1))\n")
    console.see("early-2")
    console.close()
    program.end(session)


def test_a_second_terminal_of_a_session_opens_under_the_same_grant(program: Program) -> None:
    session, _, console = program.shell()
    grant = program.session(session.id).grant_id
    other = program.console(program.open(session), client="page-2")
    other.type("echo other-$((2 + 3))\n")
    other.see("other-5")
    assert program.session(session.id).grant_id == grant
    program.end(session)
    console.wait_closed()
    other.wait_closed()


def test_a_new_size_reaches_the_shell(program: Program) -> None:
    session, _, console = program.shell()
    console.say("resize", columns=101, rows=33)
    console.type("stty size\n")
    console.see("33 101")
    program.end(session)


def test_ctrl_c_stops_a_flood_at_once(program: Program) -> None:
    session, _, console = program.shell()
    console.type("yes flooding\n")
    until(lambda: len(console.screen) > 3_000_000, "a flood")
    console.type(b"\x03")
    console.type("echo after-$((3 * 3))\n")
    console.see("after-9", seconds=5)
    program.end(session)


def test_commands_are_told_as_they_happen(program: Program) -> None:
    session, channel, console = program.shell()
    console.type("cd /tmp && false\n")
    row = until(lambda: [one for one in console.told("command") if one["line"] == "cd /tmp && false" and one["seconds"] is not None], "the command")
    assert row[0]["exit_status"] == 1
    assert row[0]["channel"] == channel.id
    assert b"633;fw1" not in bytes(console.screen)
    program.end(session)


def test_ending_the_session_ends_everything_in_under_a_second(program: Program) -> None:
    session, channel, console = program.shell()
    console.type("sleep 98765 & (setsid sleep 98766 &) ; echo started\n")
    console.see("started")
    begun = time.monotonic()
    program.end(session)
    console.wait("ended", seconds=1)
    until(lambda: not subprocess.run(["pgrep", "-f", "sleep 9876[56]"], capture_output=True, check=False).stdout, "no process left", seconds=2)
    assert time.monotonic() - begun < 1.5
    console.wait_closed(seconds=3)
    row = until(lambda: (found := program.channel(channel.id)).closed_at and found, "the row closed")
    assert row.state == "closed"
    assert program.session(session.id).state == "ended"


def test_input_after_the_end_reaches_nobody(program: Program) -> None:
    session, channel, console = program.shell()
    console.type("trap '' HUP TERM INT\n")
    program.end(session)
    with contextlib.suppress(OSError, ConnectionClosed):
        console.socket.send(b"echo too-late\n")
    console.wait_closed()
    until(lambda: program.channel(channel.id).closed_at, "the row closed")
    assert b"too-late" not in program.record(channel.id)


def test_input_that_the_terminal_does_not_take_is_dropped_after_five_seconds_and_typing_goes_on(program: Program) -> None:
    session, _, console = program.shell()
    console.type("stty raw; sleep 7; timeout 1 cat > /dev/null; stty sane -echo; echo awake\n")
    time.sleep(0.5)
    console.type(b"x" * 30_000)
    dropped = until(lambda: [one for one in console.told("input") if one["dropped"]], "the drop", seconds=9)[-1]
    assert 0 < dropped["dropped"] < 30_000
    console.see("awake")
    console.type("echo alive-$((5 + 5))\n")
    console.see("alive-10")
    program.end(session)


def wait_for_applied(console: Console, offset: int) -> None:
    until(lambda: (console.told("input_ack") or [{"applied": 0}])[-1]["applied"] >= offset, "acknowledgements")


def test_many_lines_at_once_arrive_whole(program: Program) -> None:
    session, _, console = program.shell()
    console.type("cat > /dev/null\n")
    text = b"".join(b"line %05d of a long paste\n" % number for number in range(2000))
    for start in range(0, len(text), 8192):
        console.type(text[start : start + 8192])
        wait_for_applied(console, start // 2)
    console.type(b"\x04")
    console.type("echo pasted\n")
    console.see("pasted")
    program.end(session)


def test_a_session_that_ended_leaves_its_commands_and_its_chain(program: Program) -> None:
    session, channel, console = program.shell()
    console.type("echo kept\n")
    console.see("kept\r\n")
    program.end(session)
    until(lambda: program.channel(channel.id).closed_at, "the row closed")
    row = program.channel(channel.id)
    assert re.fullmatch(r"[0-9a-f]{64}", row.record_head)
    assert row.record_count > 0
    until(lambda: "summary" in program.steps(session.id), "the summary on the ticket")


def test_a_yes_whose_right_ran_out_opens_nothing_and_the_session_is_over(program: Program) -> None:
    session = program.approved()
    program.write(lambda unit: unit.db.execute(update(ApproverRight).values(until=unit.now)))
    channel = program.open(session)
    over = until(lambda: (found := program.session(session.id)).state == "cancelled" and found, "the session cancelled")
    assert (over.end_reason, over.grant_id) == ("contact_changed", None)
    row = until(lambda: (found := program.channel(channel.id)).closed_at and found, "the row closed")
    assert row.output_bytes == 0
