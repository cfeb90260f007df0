"""``fernwart demo``: everything in one, in a data folder of its own, on loopback: server, sample data, an inbox, one local
agent. The second start finds what the first one made and is quick."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from orchestrator.core.db import Database
from orchestrator.core.logging import configure_logging
from orchestrator.core.settings import Settings
from sessions.keys import open_keys
from web.commands.opening import open_databases
from web.commands.serve import listen, serve
from web.data_folder import prepare_data_folder
from web.demo.agent import LocalAgent
from web.demo.inbox import DemoInbox
from web.demo.logins import DemoLogins
from web.demo.sample import fill_desk, renew_enrolment

DESK_ADDRESS = "support@fernwart.example"


def run_demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="port of the pages; 0 takes a free one")] = 8420,
    data: Annotated[Path, typer.Option(help="folder of the demo's data")] = Path("demo-data"),
    no_agent: Annotated[bool, typer.Option("--no-agent", help="do not start the local agent")] = False,
) -> None:
    """Start a complete desk with sample data on this machine, to try everything by hand."""
    listening = listen("127.0.0.1", port)
    port = listening.getsockname()[1]
    inbox_port, door_port = _free_port(), _free_port()
    settings = Settings(
        data_dir=data, host="127.0.0.1", port=port, public_url=f"http://127.0.0.1:{port}", mail_from=f"Fernwart <{DESK_ADDRESS}>",
        mail_addresses=f"{DESK_ADDRESS},server@fernwart.example", smtp_host="127.0.0.1", smtp_port=inbox_port, smtp_tls="none",
        smtp_listen=f"127.0.0.1:{door_port}", log_format="console", recording_reserve_bytes=64 * 1024**2, database_url="",
    )
    configure_logging(settings.log_format)
    prepare_data_folder(data)
    logins = DemoLogins.open(data / "logins.json")
    with open_databases(settings) as (database, record_database):
        recovery = _prepare(database, record_database, settings, logins)
        enrolment = None if no_agent else renew_enrolment(database, settings)
    inbox = DemoInbox(data / "inbox", door=("127.0.0.1", door_port))
    inbox.start(inbox_port)
    agent = None if no_agent else LocalAgent(data / "agent", settings.public_url, enrolment)
    signal.signal(signal.SIGTERM, _leave)  # uvicorn raises a caught signal again after its own end
    _say(settings, logins, recovery, with_agent=agent is not None)
    try:
        serve(settings, listening, demo=True, state={"demo_inbox": inbox, "demo_customers": logins.customers, "demo_logins": logins.logins},
              on_start=agent.start if agent is not None else None)
    finally:
        if agent is not None:
            agent.stop()
        inbox.stop()


def _leave(number: int, _frame: FrameType | None) -> None:
    """End by an exception, so that what was started here is stopped on the way out."""
    raise SystemExit(128 + number)


def _prepare(database: Database, record_database: Database, settings: Settings, logins: DemoLogins) -> str | None:
    with database.write() as unit:
        opened = open_keys(unit, settings.data_dir)
    fill_desk(database, settings, logins)
    return opened.recovery_secret


def _about_agent() -> str:
    if os.geteuid() == 0:
        return "A local agent runs as root: protected, its shells run as the user that the customer grants."
    return "A local agent runs as your own user: unprotected, its shells run as that user."


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _say(settings: Settings, logins: DemoLogins, recovery: str | None, *, with_agent: bool) -> None:
    """Print addresses and logins; the passwords are random and only good for this demo."""
    lines = ["", "Fernwart demo, on this machine only", f"  desk        {settings.public_url}/",
             f"  demo inbox  {settings.public_url}/demo/inbox", "", "Logins (password, then a code of the second factor):"]
    for login in logins.logins:
        lines.append(f"  {login.email:28} {login.password:22} TOTP secret {login.totp_secret}  ({', '.join(login.roles)})")
    lines += ["", f"Codes of the second factor, as an authenticator app would show them: {settings.public_url}/demo/codes"]
    if recovery is not None:
        lines += ["", "Recovery key (shown once; in a real installation it is kept offline):", f"  {recovery}"]
    lines += ["", _about_agent() if with_agent else "No agent was started.", "Stop with Ctrl-C.", ""]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
