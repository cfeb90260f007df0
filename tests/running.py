"""Starting the program as a process of its own for tests, and stopping it whatever happens."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pyotp


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without any setting of Fernwart, and with ``extra``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FERNWART_")}
    return kept | dict(extra or {})


@dataclass(slots=True)
class Running:
    """A started program: its process, address, log, and data folder."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    data: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """Ask it to stop; kill it when it does not within 15 s. Return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)
        return self.process.returncode


def start_program(words: Sequence[str], *, url: str, data: Path, log: Path, environment: Mapping[str, str] | None = None,
                  ready_seconds: float = 60, ca: Path | None = None) -> Running:
    """Start ``fernwart WORDS`` and wait until it answers.

    Raises:
        AssertionError: it ended or did not answer in time; the message holds its log.
    """
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-m", "web", *words], stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                                   env=clean_environment(environment), start_new_session=True)
    running = Running(process, url, log, data)
    trusted: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(ca)) if ca else True
    until = time.monotonic() + ready_seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"it ended with {process.returncode}:\n{running.said()}")
        try:
            if httpx.get(f"{url}/healthz", timeout=2, verify=trusted).status_code == 200:
                return running
        except httpx.TransportError:
            time.sleep(0.05)
    running.stop()
    raise AssertionError(f"it did not answer within {ready_seconds} s:\n{running.said()}")


@dataclass(frozen=True, slots=True)
class DemoLogin:
    email: str
    password: str
    totp_secret: str

    def code(self) -> str:
        return pyotp.TOTP(self.totp_secret).now()


def read_logins(data: Path) -> dict[str, DemoLogin]:
    """The demo's logins by the first word of their address (``jana``, ``lea``, ``ada``, ``rita``, ``tom``)."""
    rows = json.loads((data / "logins.json").read_text("utf-8"))
    return {row["email"].split("@")[0]: DemoLogin(row["email"], row["password"], row["totp_secret"]) for row in rows}


def start_demo(folder: Path) -> Running:
    """Start the whole demo, agent included, on a free port."""
    port = free_port()
    data = folder / "demo-data"
    return start_program(["demo", "--port", str(port), "--data", str(data)], url=f"http://127.0.0.1:{port}", data=data, log=folder / "demo.log")
