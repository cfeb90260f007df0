"""Terminals: keystroke echo, bulk output, click to prompt; Fernwart and the references in turn, in the same run.

The server is ``fernwart serve`` with production defaults and TLS, the agent the real program; the client is a plain
WebSocket client with a bearer token. Afterwards the record is verified and compared with what was shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import pwd
import select
import ssl
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.benchmarks.account import login_environment
from tests.benchmarks.figures import Figure, median, percentile
from tests.benchmarks.references import start_echo, start_relay, start_relay_agent
from tests.desk import Desk

KEYS = 1000
KEYS_A_TURN = 50
"""Small turns, so that what else the machine does meets all three alike."""
BULK_BYTES = 50_000_000
READY = b"ready-%d-mark"


@dataclass(slots=True)
class Terminal:
    """A WebSocket on which a shell answers; text frames are control and passed over, output is hashed as it comes."""

    socket: ClientConnection
    received: int = 0
    hash: hashlib._Hash = field(default_factory=hashlib.sha256)
    tail: bytes = b""

    def attach(self) -> None:
        """Say first what a page says; a client that says nothing is served only after a moment."""
        self.socket.send(json.dumps({"type": "attach", "client": "bench"}))

    def read(self, *, seconds: float = 30) -> bytes:
        while True:
            message = self.socket.recv(timeout=seconds)
            if isinstance(message, str) and '"type":"input"' in message:
                self.socket.send(json.dumps({"type": "rebase", "generation": json.loads(message)["generation"]}))
            if isinstance(message, bytes):
                self.received += len(message)
                self.hash.update(message)
                return message

    def read_until(self, wanted: bytes, *, seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while wanted not in self.tail:
            self.tail = (self.tail + self.read(seconds=max(0.1, until - time.monotonic())))[-4096 - len(wanted):]
        self.tail = self.tail.split(wanted, 1)[1]

    def run(self, line: bytes, *, mark: int) -> None:
        """Type a line and wait until a mark printed by it comes back (the typed text holds it in two pieces)."""
        word = READY % mark
        self.socket.send(line + b"; printf '%s%s\\n' " + word[:6] + b" " + word[6:] + b"\r")
        self.read_until(word)


def echo_times(terminal: Terminal, keys: int) -> list[float]:
    """Milliseconds from a key sent to the same byte back; closed loop."""
    times: list[float] = []
    for number in range(keys):
        key = bytes([97 + number % 26])
        begun = time.perf_counter()
        terminal.socket.send(key)
        while terminal.read() != key:
            pass
        times.append((time.perf_counter() - begun) * 1000)
    return times


def plain_echo_times(socket: ClientConnection, keys: int) -> list[float]:
    times: list[float] = []
    for _number in range(keys):
        begun = time.perf_counter()
        socket.send(b"k")
        socket.recv(timeout=10)
        times.append((time.perf_counter() - begun) * 1000)
    return times


@contextmanager
def relay_terminal(desk: Desk) -> Generator[Terminal, None, None]:
    """A shell behind the minimal relay."""
    assert desk.certificates is not None
    relay, port = start_relay(desk.certificates)
    context = ssl.create_default_context(cafile=str(desk.certificates.ca))
    socket = _dial(lambda: connect(f"wss://127.0.0.1:{port}/browser", ssl=context, compression=None, max_size=None))
    agent = start_relay_agent(port, desk.certificates.ca)
    try:
        terminal = Terminal(socket)
        terminal.run(b"PS1=; unset PROMPT_COMMAND", mark=1)
        yield terminal
    finally:
        socket.close()
        agent.stop()
        relay.stop()


def _dial(open_socket: Callable[[], ClientConnection]) -> ClientConnection:
    until = time.monotonic() + 10
    while True:
        try:
            return open_socket()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


@contextmanager
def fernwart_terminal(desk: Desk, session_id: str) -> Generator[Terminal, None, None]:
    channel = desk.open_channel(session_id)
    with desk.console(channel) as socket:
        terminal = Terminal(socket)
        terminal.run(b"true", mark=1)
        yield terminal


def measure_echo(desk: Desk, session_id: str, *, runs: int, samples: dict[str, list[float]]) -> list[Figure]:
    """Keystroke echo through ``cat`` on a raw terminal."""
    assert desk.certificates is not None
    bare, port = start_echo(desk.certificates)
    context = ssl.create_default_context(cafile=str(desk.certificates.ca))
    ratios50: list[float] = []
    ratios99: list[float] = []
    beside: dict[str, list[float]] = {"bare p50 ms": [], "bare p99 ms": [], "relay p50 ms": [], "relay p99 ms": [], "fernwart p50 ms": [], "fernwart p99 ms": []}
    with contextlib.ExitStack() as stack:
        stack.callback(bare.stop)
        plain = stack.enter_context(_dial(lambda: connect(f"wss://127.0.0.1:{port}/", ssl=context, compression=None)))
        relay = stack.enter_context(relay_terminal(desk))
        ours = stack.enter_context(fernwart_terminal(desk, session_id))
        for terminal in (relay, ours):
            terminal.run(b"stty raw -echo", mark=2)
            terminal.socket.send(b"cat\n")
            echo_probe(terminal)
            echo_times(terminal, 100)
        for _run in range(runs):
            of_bare, of_relay, of_ours = [], [], []
            for _turn in range(KEYS // KEYS_A_TURN):
                of_bare += plain_echo_times(plain, KEYS_A_TURN)
                of_relay += echo_times(relay, KEYS_A_TURN)
                of_ours += echo_times(ours, KEYS_A_TURN)
            for name, times in (("bare", of_bare), ("relay", of_relay), ("fernwart", of_ours)):
                samples.setdefault(f"echo {name} ms", []).extend(times)
                beside[f"{name} p50 ms"].append(percentile(times, 0.5))
                beside[f"{name} p99 ms"].append(percentile(times, 0.99))
            ratios50.append(percentile(of_ours, 0.5) / percentile(of_relay, 0.5))
            ratios99.append(percentile(of_ours, 0.99) / percentile(of_relay, 0.99))
    shown = {name: median(values) for name, values in beside.items()}
    return [
        Figure("keystroke echo, recorded, TLS, p50 against the relay", median(ratios50), 1.2, "x", "MeshCentral recorded 1.1, a prototype 1.0",
               runs=tuple(ratios50), beside=shown),
        Figure("keystroke echo, recorded, TLS, p99 against the relay", median(ratios99), 1.75, "x", "MeshCentral recorded 2, a prototype 1.3",
               runs=tuple(ratios99)),
    ]


def echo_probe(terminal: Terminal) -> None:
    """Wait until ``cat`` is there: send a byte of its own until it comes back alone."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        terminal.socket.send(b"~")
        try:
            while True:
                if terminal.read(seconds=0.3).endswith(b"~"):
                    time.sleep(0.2)
                    with contextlib.suppress(TimeoutError):
                        while True:
                            terminal.read(seconds=0.2)
                    return
        except TimeoutError:
            continue
    raise AssertionError("cat did not answer")


def measure_bulk(desk: Desk, session_id: str, account: pwd.struct_passwd, *, runs: int, samples: dict[str, list[float]]) -> list[Figure]:
    """Megabytes a second of base64 text, from ``cat FILE`` to the client."""
    source = Path(account.pw_dir, f"fernwart-bench-{os.getpid()}.txt")
    with source.open("wb") as file:
        subprocess.run(["base64"], stdin=subprocess.Popen(["head", "-c", str(BULK_BYTES * 3 // 4), "/dev/urandom"], stdout=subprocess.PIPE).stdout,
                       stdout=file, check=True)
    source.chmod(0o644)
    size = source.stat().st_size
    rates: dict[str, list[float]] = {"relay": [], "fernwart": []}
    ratios: list[float] = []
    with contextlib.ExitStack() as stack:
        stack.callback(source.unlink)
        relay = stack.enter_context(relay_terminal(desk))
        ours = stack.enter_context(fernwart_terminal(desk, session_id))
        for run in range(runs):
            for name, terminal in (("relay", relay), ("fernwart", ours)):
                before = terminal.received
                begun = time.perf_counter()
                terminal.run(b"cat " + os.fsencode(source), mark=100 + run)
                seconds = time.perf_counter() - begun
                assert terminal.received - before >= size, "output was lost"
                rates[name].append(size / seconds / 1e6)
            ratios.append(rates["fernwart"][-1] / rates["relay"][-1])
    samples["bulk relay MB/s"], samples["bulk fernwart MB/s"] = rates["relay"], rates["fernwart"]
    return [Figure("bulk terminal output, recorded, TLS, against the relay", median(ratios), 0.6, "x", "MeshCentral recorded 0.6", upper=False,
                   runs=tuple(ratios), beside={"relay MB/s": median(rates["relay"]), "fernwart MB/s": median(rates["fernwart"])})]


def shell_start_ms(account: pwd.struct_passwd) -> float:
    """Milliseconds until a login shell of this account has printed its first prompt."""
    master, slave = pty.openpty()
    begun = time.perf_counter()
    shell = subprocess.Popen(["/bin/bash", "-l"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=login_environment(account),
                             cwd=account.pw_dir, **_as_account(account))
    os.close(slave)
    seen = b""
    while not _is_prompt(seen):
        assert select.select([master], [], [], 10)[0], "no prompt"
        seen += os.read(master, 65536)
    took = (time.perf_counter() - begun) * 1000
    shell.kill()
    shell.wait(5)
    os.close(master)
    return took


def _as_account(account: pwd.struct_passwd) -> dict[str, Any]:
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}


def _is_prompt(seen: bytes) -> bool:
    return seen.rstrip().endswith((b"#", b"$")) or b"# " in seen[-12:] or b"$ " in seen[-12:]


def measure_prompt(desk: Desk, session_id: str, account: pwd.struct_passwd, *, runs: int, samples: dict[str, list[float]]) -> list[Figure]:
    """From the click (POST channels) to the first prompt at the client, less the shell's own start."""
    ours: list[float] = []
    own: list[float] = []
    with desk.api() as api:
        api.get(f"/sessions/{session_id}")
        for _run in range(max(runs, 10)):
            own.append(shell_start_ms(account))
            begun = time.perf_counter()
            answer = api.post(f"/sessions/{session_id}/channels", json={"kind": "shell", "columns": 120, "rows": 40})
            assert answer.status_code == 201, answer.text
            with desk.console(answer.json()) as socket:
                terminal = Terminal(socket)
                terminal.attach()
                seen = b""
                while not _is_prompt(seen):
                    seen += terminal.read()
                ours.append((time.perf_counter() - begun) * 1000)
                socket.send(b"exit\r")
    samples["click to prompt ms"], samples["shell's own start ms"] = ours, own
    return [Figure("click to first prompt, less the shell's own start", median(ours) - median(own), 50, "ms", "MeshCentral + 21 ms",
                   runs=tuple(mine - theirs for mine, theirs in zip(ours, own, strict=True)),
                   beside={"click to prompt ms": median(ours), "shell's own start ms": median(own)})]
