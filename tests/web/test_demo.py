"""The demo as a process of its own: what it started ends with it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.running import Running, start_demo


def list_agents(state: Path) -> list[int]:
    """Ids of the running agents with this state folder."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            state_word = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if b"run" in words and os.fsencode(state) in words and state_word != "Z":
            found.append(int(folder.name))
    return found


def wait_for_agents(demo: Running, *, running: bool, seconds: float) -> list[int]:
    until = time.monotonic() + seconds
    while bool(agents := list_agents(demo.data / "agent")) is not running:
        assert time.monotonic() < until, f"agents: {agents}\n{demo.said()}"
        time.sleep(0.05)
    return agents


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are listed from /proc")
def test_the_agent_of_the_demo_ends_with_it_by_signal_and_by_kill(tmp_path: Path) -> None:
    demo = start_demo(tmp_path)
    try:
        wait_for_agents(demo, running=True, seconds=60)
        assert demo.stop() == 143
        wait_for_agents(demo, running=False, seconds=1)
        demo = start_demo(tmp_path)
        wait_for_agents(demo, running=True, seconds=60)
        demo.kill()
        wait_for_agents(demo, running=False, seconds=10)
    finally:
        demo.stop()
        for left in list_agents(demo.data / "agent"):
            os.kill(left, 9)
