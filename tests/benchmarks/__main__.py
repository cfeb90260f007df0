"""``make bench``: print settings and commit, measure, print one table, write one JSON file with raw samples.

``python -m tests.benchmarks [echo bulk prompt agent server mails pages] [--runs N] [--output DIR]``; without names, all.
"""

from __future__ import annotations

import argparse
import pwd
import sys
import tempfile
from pathlib import Path

from orchestrator.core.settings import Settings, describe_settings
from tests.benchmarks.account import shell_account
from tests.benchmarks.figures import Figure, commit, print_table, write_json
from tests.benchmarks.mails import measure_mails
from tests.benchmarks.memory import measure_agent, measure_server
from tests.benchmarks.pages import measure_pages
from tests.benchmarks.record import check_records
from tests.benchmarks.terminals import measure_bulk, measure_echo, measure_prompt
from tests.desk import Desk, make_desk
from tests.running import free_port

NAMES = ("echo", "bulk", "prompt", "agent", "server", "mails", "pages")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("names", nargs="*", default=[], help=f"of {', '.join(NAMES)}; all without")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("bench-output"))
    parser.add_argument("--tickets", type=int, default=100_000)
    parser.add_argument("--agents", type=int, default=1000)
    chosen = parser.parse_args()
    unknown = set(chosen.names) - set(NAMES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    names = chosen.names or list(NAMES)
    figures: list[Figure] = []
    samples: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="fernwart-bench-") as folder, shell_account() as account:
        door = free_port()
        desk = make_desk(Path(folder) / "desk", extra={"FERNWART_SMTP_LISTEN": f"127.0.0.1:{door}"})
        settings = Settings(**{name.removeprefix("FERNWART_").lower(): value for name, value in desk.settings.items()})  # type: ignore[arg-type]
        print(f"commit {commit()}")
        for name, value in describe_settings(settings).items():
            print(f"  FERNWART_{name.upper()}={value}")
        try:
            if {"echo", "bulk", "prompt", "agent", "server", "mails"} & set(names):
                figures += _with_server(desk, settings, door, names, chosen, samples, account)
            if "pages" in names:
                figures += measure_pages(Path(folder), tickets=chosen.tickets, samples=samples)
        finally:
            desk.stop()
            print_table(figures)
            write_json(chosen.output / "bench.json", figures, samples, describe_settings(settings))
    return 0


def _with_server(desk: Desk, settings: Settings, door: int, names: list[str], chosen: argparse.Namespace, samples: dict[str, list[float]],
                 account: pwd.struct_passwd) -> list[Figure]:
    figures: list[Figure] = []
    desk.start()
    if {"echo", "bulk", "prompt", "agent"} & set(names):
        agent = desk.start_agent()
        endpoint = desk.wait_online()[0]
        session = desk.approved_session(endpoint["id"], user=account.pw_name)
        if "prompt" in names:
            figures += measure_prompt(desk, session["id"], account, runs=chosen.runs, samples=samples)
        if "echo" in names:
            figures += measure_echo(desk, session["id"], runs=chosen.runs, samples=samples)
        if "bulk" in names:
            figures += measure_bulk(desk, session["id"], account, runs=chosen.runs, samples=samples)
        if "agent" in names:
            figures += measure_agent(desk, agent, session["id"], runs=chosen.runs, samples=samples)
        with desk.api() as api:
            api.post(f"/sessions/{session['id']}/end", json={"summary": "measured"})
        for agent_process in list(desk.agents):
            agent_process.stop()
        check_records(settings, session["id"])
    if "mails" in names:
        figures += measure_mails(desk, settings, door=("127.0.0.1", door), runs=chosen.runs, samples=samples)
    if "server" in names:
        assert desk.running is not None
        desk.running.stop()
        desk.start()
        figures += measure_server(desk, samples=samples, agents=chosen.agents)
    return figures


if __name__ == "__main__":
    sys.exit(main())
