"""Memory and start: the server idle and with 1,000 idle agents on TLS, the agent idle and with open shells, start to online."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.figures import Figure, median, pss_kilobytes
from tests.benchmarks.fleet import prepare_fleet
from tests.desk import AgentProcess, Desk
from tests.running import clean_environment

IDLE_SECONDS = 60
AGENTS = 1000


def measure_server(desk: Desk, *, samples: dict[str, list[float]], agents: int = AGENTS, seconds: float = IDLE_SECONDS) -> list[Figure]:
    """PSS of a server without agents, then with ``agents`` idle ones held by real link code in one other process."""
    assert desk.running is not None
    time.sleep(5)
    idle = pss_kilobytes(desk.running.process.pid)
    prepare_fleet(desk, desk.folder / "fleet", agents)
    fleet = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.fleet", str(desk.folder / "fleet")], env=clean_environment())
    try:
        _wait_links(desk, agents, seconds=600)
        time.sleep(seconds)
        full = pss_kilobytes(desk.running.process.pid)
    finally:
        fleet.terminate()
        fleet.wait(30)
    samples["server idle PSS KB"], samples["server with agents PSS KB"] = [float(idle)], [float(full)]
    return [
        Figure("server memory, idle, PSS", idle / 1024, 150, "MB", "MeshCentral 185 MB", runs=(idle / 1024,)),
        Figure(f"server memory for each of {agents} idle agents, TLS, PSS", (full - idle) / agents, 60, "KB", "MeshCentral 75 KB",
               runs=((full - idle) / agents,)),
    ]


def _wait_links(desk: Desk, count: int, *, seconds: float) -> None:
    until = time.monotonic() + seconds
    with desk.api() as api:
        while time.monotonic() < until:
            online, cursor = 0, None
            while True:
                page = api.get("/endpoints", params={"limit": 200, **({"cursor": cursor} if cursor else {})}).json()
                online += sum(item["online"] for item in page["items"])
                cursor = page["next"]
                if cursor is None:
                    break
            if online >= count:
                return
            time.sleep(1)
    raise AssertionError(f"not {count} agents online within {seconds} s")


def measure_agent(desk: Desk, agent: AgentProcess, session_id: str, *, runs: int, samples: dict[str, list[float]]) -> list[Figure]:
    """PSS of a real agent on TLS, and its growth for each open shell."""
    time.sleep(3)
    idle = pss_kilobytes(agent.process.pid)
    shells = 8
    sockets = [desk.console(desk.open_channel(session_id)) for _shell in range(shells)]
    for socket in sockets:
        socket.recv(timeout=10)
    time.sleep(2)
    grown = pss_kilobytes(agent.process.pid)
    for socket in sockets:
        socket.send(b"exit\r")
        socket.close()
    starts = [start_to_online(desk, agent.state) for _run in range(runs)]
    samples["agent start to online ms"] = starts
    return [
        Figure("agent memory on TLS, idle, PSS", idle / 1024, 45, "MB", "MeshCentral 12 MB", runs=(idle / 1024,)),
        Figure("agent memory for each open shell, PSS", (grown - idle) / 1024 / shells, 3, "MB", runs=((grown - idle) / 1024 / shells,)),
        Figure("agent start to online", median(starts), 600, "ms", "MeshCentral 240 ms", runs=tuple(starts)),
    ]


def start_to_online(desk: Desk, state: Path) -> float:
    """Milliseconds from the start of the process until the server has taken its link (a line of ``status``)."""
    for known in [agent for agent in desk.agents if agent.state == state]:
        known.stop()
        desk.agents.remove(known)
    with desk.api() as api:
        until = time.monotonic() + 10
        while any(item["online"] for item in api.get("/endpoints").json()["items"]):
            assert time.monotonic() < until, "the endpoint did not go offline"
            time.sleep(0.02)
        begun = time.perf_counter()
        desk.start_agent(state.name)
        while not any(item["online"] for item in api.get("/endpoints").json()["items"]):
            assert time.perf_counter() - begun < 10, "the agent did not come online"
        return (time.perf_counter() - begun) * 1000
