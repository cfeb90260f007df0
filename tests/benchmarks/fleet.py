"""Many agents in one process, with the agent's real link code: ``python -m tests.benchmarks.fleet FOLDER``."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from pathlib import Path

from agents.channels.shell import open_shell
from agents.identity import ServerRecord, create_key, save_server
from agents.protocol.messages import HostClass
from agents.service import Agent
from agents.state_folder import StateFolder
from orchestrator.core.ids import new_id
from orchestrator.core.settings import Settings
from sessions.endpoints.models import Endpoint
from sessions.keys import open_keys
from tests.desk import Desk
from web.commands.opening import open_databases

START_SPREAD_SECONDS = 20


def prepare_fleet(desk: Desk, folder: Path, count: int) -> None:
    """Make keys and state folders, and accepted endpoints for them in the desk's database (its server may run)."""
    settings = Settings(**{name.removeprefix("FERNWART_").lower(): value for name, value in desk.settings.items()})  # type: ignore[arg-type]
    with open_databases(settings) as (database, _records), database.write() as unit:
        fingerprint = open_keys(unit, settings.data_dir).keys.fingerprint
        for number in range(count):
            state = StateFolder.create(folder / f"{number:04d}")
            key = create_key(state)
            endpoint_id = new_id()
            save_server(state, ServerRecord(url=desk.url, ca_file=str(desk.certificates.ca) if desk.certificates else "",
                                            server_fingerprint=fingerprint, host_class=HostClass.SERVER, endpoint_id=endpoint_id))
            unit.db.add(Endpoint(
                id=endpoint_id, organisation_id=desk.organisation_id, name=f"srv-{number:04d}", state="accepted", endpoint_class="server",
                claimed_class="server", responsible_kind="contact", responsible_id=desk.contact_id, public_key=key.public.text,
                fingerprint=key.public.fingerprint, enrolled_at=unit.now, accepted_at=unit.now))


async def run_fleet(folder: Path) -> None:
    """Run every agent below ``folder`` until told to stop."""
    agents = [Agent(StateFolder.open(path), open_shell=open_shell) for path in sorted(folder.iterdir())]
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)

    async def run(agent: Agent) -> None:
        await asyncio.sleep(random.random() * START_SPREAD_SECONDS)
        await agent.run()

    tasks = [asyncio.create_task(run(agent)) for agent in agents]
    await ended.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(run_fleet(Path(sys.argv[1])))
