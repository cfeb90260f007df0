"""Several windows on one channel: the keyboard, late watchers, slow watchers, silent controllers."""

from __future__ import annotations

import time

from websockets.sync.client import connect

from tests.web.sockets.program import Console, Program, until


def test_a_second_window_takes_the_keyboard_and_the_first_one_only_looks(program: Program) -> None:
    session, channel, first = program.shell()
    first.type("echo history\n")
    first.see("history\r\n")
    second = program.console(channel, client="page-2")
    second.see("history\r\n")
    assert not until(lambda: [one for one in first.told("keyboard") if not one["yours"]], "the loss of the keyboard")[0]["yours"]
    second.type("echo from-second\n")
    first.see("from-second\r\n")
    first.socket.send(b"echo from-first\n")
    second.type("echo still-$((6 + 1))\n")
    second.see("still-7")
    assert b"from-first" not in bytes(second.screen)
    first.say("take")
    until(lambda: len(first.told("input")) > 1, "the keyboard back")
    first.type("echo back-$((4 + 4))\n")
    second.see("back-8")
    program.end(session)


def test_a_page_that_reconnects_by_itself_does_not_take_the_keyboard_from_another_window(program: Program) -> None:
    session, channel, first = program.shell()
    second = program.console(channel, client="page-2")
    second.wait("keyboard")
    first.cut()
    again = program.console(channel, client="page-1", take=False, have=first.raw)
    assert again.wait("keyboard")["yours"] is False
    second.type("echo mine-$((7 + 7))\n")
    again.see("mine-14")
    program.end(session)


def test_a_late_watcher_gets_a_snapshot_from_a_line_start_and_cannot_type(program: Program) -> None:
    session, channel, console = program.shell()
    console.type("seq 1 300000\n")
    console.see("300000\r\n", seconds=30)
    watcher = program.console(channel, what="watch", client="watcher")
    watcher.wait("reset")
    watcher.see("300000\r\n")
    assert len(watcher.screen) <= 1024 * 1024
    assert bytes(watcher.screen).split(b"\r\n")[0].isdigit()
    assert int(bytes(watcher.screen).split(b"\r\n")[0]) > 100_000
    watcher.socket.send(b"echo from-watcher\n")
    watcher.say("take")
    watcher.say("resize", columns=10, rows=5)
    console.type("stty size; echo untouched\n")
    console.see("untouched")
    assert b"from-watcher" not in bytes(console.screen)
    assert b"5 10" not in bytes(console.screen)
    assert until(lambda: console.told("watchers")[-1]["names"], "the watcher's name") == [program.scene.technician.name]
    program.end(session)


def test_a_watcher_that_never_reads_slows_nobody_and_is_dropped(program: Program) -> None:
    session, channel, console = program.shell()
    headers = {"Authorization": f"Bearer {program.token}"}
    deaf = connect(program.path(channel, "watch"), additional_headers=headers, compression=None, max_queue=1, legacy=True)
    begun = time.monotonic()
    console.type("head -c 30000000 /dev/zero | tr '\\0' x | fold -w 99; echo done-$((8 + 8))\n")
    console.see("done-16", seconds=40)
    assert time.monotonic() - begun < 30
    relay = program.services.live.hub.find_relay(channel.id)
    assert relay is not None
    until(lambda: len(relay.viewers()) == 1, "the deaf watcher dropped", seconds=15)
    deaf.socket.close()
    program.end(session)


def test_a_silent_controller_is_detached_and_the_process_drains_on(program: Program) -> None:
    session, channel, console = program.shell()
    console.acknowledges = False
    console.type("seq 1 400000 > /dev/null; seq 1 400000; echo drained-$((9 + 9))\n")
    console.wait("detached", seconds=10)
    until(lambda: b"drained-18" in program.record(channel.id), "the flood on record", seconds=30)
    assert b"drained-18" not in bytes(console.screen)
    console.acknowledges = True
    console.say("ack", raw=console.raw)
    console.see("drained-18")
    assert len(console.screen) <= 1024 * 1024 + 4096
    program.end(session)


def test_a_client_whose_attach_comes_late_is_attached_all_the_same(program: Program) -> None:
    session, channel, console = program.shell()
    console.type("echo for-everybody\n")
    console.see("for-everybody\r\n")
    headers = {"Authorization": f"Bearer {program.token}"}
    late = Console(connect(program.path(channel), additional_headers=headers, compression=None, legacy=True))
    program.consoles.append(late)
    time.sleep(1)
    late.start(client="late")
    late.see("for-everybody\r\n")
    late.type("echo from-late-$((3 + 3))\n")
    late.see("from-late-6")
    program.end(session)


def test_a_client_without_control_messages_reads_and_writes_a_terminal(program: Program) -> None:
    session = program.approved()
    channel = program.open(session)
    headers = {"Authorization": f"Bearer {program.token}"}
    with connect(program.path(channel), additional_headers=headers, compression=None) as plain:
        plain.send(b"echo plain-$((20 + 2))\n")
        seen = b""
        deadline = time.monotonic() + 15
        while b"plain-22" not in seen:
            assert time.monotonic() < deadline, seen
            message = plain.recv(timeout=15)
            seen += message if isinstance(message, bytes) else b""
    program.end(session)
