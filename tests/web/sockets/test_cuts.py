"""Connections that are cut: every byte once on the screen and once on record."""

from __future__ import annotations

import time
from pathlib import Path

from tests.web.sockets.program import Console, Program, until

EXPECTED = b"".join(b"%d\r\n" % number for number in range(1, 200_001))


def cut_out(screen: bytes) -> bytes:
    start = screen.index(b"begin\r\n") + len(b"begin\r\n")
    return screen[start : screen.index(b"end\r\n", start)]


def start_counting(console: Console) -> None:
    console.type("echo beg''in; seq 1 200000; echo e''nd\n")


def wait_for_output(console: Console, raw: int) -> None:
    until(lambda: console.raw > raw or b"end\r\n" in bytes(console.screen), "output")


def test_the_browser_is_cut_again_and_again_and_misses_nothing(program: Program) -> None:
    session, channel, console = program.shell()
    start_counting(console)
    screen = bytearray()
    for wanted in (50_000, 300_000, 600_000, 900_000):
        wait_for_output(console, wanted)
        console.cut()
        screen += console.screen
        console = program.console(channel, have=console.raw, generation=console.generation, take=False)
        assert not console.told("reset")
    # What was in flight at a cut may have been all there was left.
    until(lambda: b"end\r\n" in screen[-10:] + console.screen, "the end of the output", seconds=30)
    screen += console.screen
    assert cut_out(bytes(screen)) == EXPECTED
    until(lambda: b"end\r\n" in program.record(channel.id), "the record")
    assert cut_out(program.record(channel.id)) == EXPECTED
    program.end(session)


def test_the_agents_channel_is_cut_again_and_again_and_nothing_is_lost_or_doubled(program: Program) -> None:
    session, channel, console = program.shell()
    relay = program.services.live.hub.find_relay(channel.id)
    assert relay is not None
    start_counting(console)
    for wanted in (50_000, 300_000, 600_000):
        wait_for_output(console, wanted)
        program.abort(f"/agent/v1/channels/{channel.id}")
        until(lambda: relay.is_attached, "the agent back")
    console.see("end\r\n", seconds=30)
    assert cut_out(bytes(console.screen)) == EXPECTED
    until(lambda: b"end\r\n" in program.record(channel.id), "the record")
    assert cut_out(program.record(channel.id)) == EXPECTED
    assert program.session(session.id).state == "live"
    program.end(session)


def test_keys_typed_into_a_cut_are_applied_exactly_once(program: Program) -> None:
    session, channel, console = program.shell()
    relay = program.services.live.hub.find_relay(channel.id)
    assert relay is not None
    console.type(f"stty raw -echo; cat > /tmp/fw-keys-{channel.id}; stty sane\n")
    time.sleep(0.3)
    keys = b"".join(b"%04d," % number for number in range(2000))
    for start in range(0, len(keys), 50):
        console.type(keys[start : start + 50])
        if start in (2000, 5000, 8000):
            program.abort(f"/agent/v1/channels/{channel.id}")
    until(lambda: relay.is_attached, "the agent back")
    until(lambda: (console.told("input_ack") or [{"applied": 0}])[-1]["applied"] >= len(keys), "all keys applied")
    kept = Path(f"/tmp/fw-keys-{channel.id}")
    until(lambda: kept.exists() and kept.stat().st_size >= len(keys), "all keys read")
    assert kept.read_bytes() == keys
    kept.unlink()
    program.end(session)
