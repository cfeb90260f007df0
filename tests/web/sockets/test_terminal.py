"""A terminal from end to end: a page's socket, the server, a real agent with a real shell."""

from __future__ import annotations

from tests.web.sockets.program import Program, until


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
