"""The demo's local agent: the real program in a process of its own, enrolled with a real token."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_FOLLOW = """
import ctypes, os, signal, sys
ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit(0)
os.execv(sys.executable, [sys.executable, "-m", "agents", *sys.argv[2:]])
"""
"""Run before the agent: PR_SET_PDEATHSIG (prctl(2)) has the kernel end it with us, also when we are killed. It is set in
the child after its start, where no lock of another thread of ours can be held."""


class LocalAgent:
    """Enrol once, then run until stopped. ``token`` is None when the agent has an identity already."""

    def __init__(self, state: Path, url: str, token: str | None) -> None:
        self._state = state
        self._url = url
        self._token = token
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def start(self) -> None:
        """Start in the background: enrolment needs the server, which has just begun to listen."""
        threading.Thread(target=self._run, name="demo-agent", daemon=True).start()

    def _command(self, *words: str) -> list[str]:
        follow = ["-c", _FOLLOW, str(os.getpid())] if sys.platform == "linux" else ["-m", "agents"]
        return [sys.executable, *follow, *words, "--state", str(self._state)]

    def _run(self) -> None:
        if self._token is not None:
            enrolled = subprocess.run(self._command("enroll", self._url, "-", "--class", "server"), input=self._token.encode(),
                                      capture_output=True, timeout=60, check=False, env=self._environment())
            if enrolled.returncode != 0:
                log.error("the demo's agent could not enrol", said=enrolled.stderr.decode(errors="replace").strip())
                return
        with self._lock:
            if self._stopped:
                return
            with (self._state.parent / "agent.log").open("ab") as output:
                self._process = subprocess.Popen(self._command("run"), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                                 env=self._environment(), start_new_session=True)
            process = self._process
        process.wait()  # the kernel's signal follows the thread that started the agent, not the process: stay

    @staticmethod
    def _environment() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("FERNWART_")}

    def stop(self) -> None:
        """End the agent and wait for it."""
        with self._lock:
            self._stopped = True
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)
