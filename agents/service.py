"""The agent as a running program: takes the state folder, puts the parts together, runs until told to stop."""

import asyncio
import gc
import logging
import signal
from typing import Any

from agents.channels.interface import ShellOpener
from agents.dialing import ServerAddress, read_address
from agents.errors import PolicyRefusal
from agents.hosts.process_tree import adopt_orphans
from agents.identity import ServerRecord, get_identity
from agents.link import Link
from agents.live_sessions import LiveSessions
from agents.local_socket import serve_local_socket
from agents.policy import POLICY_FILE, read_policy
from agents.protection import is_protected
from agents.protocol.signatures import SigningKey
from agents.state_folder import StateFolder

logger = logging.getLogger(__name__)


class Agent:
    """One agent process on one state folder."""

    def __init__(self, folder: StateFolder, *, open_shell: ShellOpener) -> None:
        """Read identity and address. Raises ConfigurationError or StateError."""
        self.folder = folder
        self.key: SigningKey
        self.record: ServerRecord
        self.key, self.record = get_identity(folder)
        self._address: ServerAddress = read_address(self.record.url, self.record.ca_file)
        self._protected = is_protected(folder.path, folder.path / POLICY_FILE)
        self._open_shell = open_shell
        self._stopping = asyncio.Event()
        self._link: Link | None = None
        self._sessions: LiveSessions | None = None

    def stop(self) -> None:
        """Ask the agent to end: all sessions are closed first."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until stopped. Raises ConfigurationError or StateError before anything is served."""
        async with asyncio.TaskGroup() as group:
            sessions = self._sessions = LiveSessions(
                key=self.key,
                folder=self.folder,
                address=self._address,
                server=self.record,
                protected=self._protected,
                open_shell=self._open_shell,
                group=group,
            )
            link = self._link = Link(key=self.key, record=self.record, folder=self.folder, address=self._address, sessions=sessions)
            local = await serve_local_socket(self.folder, self._answer)
            linking = group.create_task(link.run(), name="link")
            watching = group.create_task(sessions.watch_limits(), name="limits")
            try:
                await self._stopping.wait()
                await sessions.end_all(cause="shutdown", reason="the agent was stopped")
                await sessions.channels.wait_closed(seconds=3)
            finally:
                local.close()
                linking.cancel()
                watching.cancel()

    async def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Answer a question of the local socket."""
        if self._sessions is None:
            return {"error": "The agent is still starting."}
        match question:
            case {"command": "status"}:
                return self.describe()
            case {"command": "stop", "session_id": str(session_id)}:
                ended = await self._sessions.stop(session_id, reason="stopped at the machine")
                return {"ended": ended}
            case _:
                return {"error": "The agent does not know this command; it may be of another version."}

    def describe(self) -> dict[str, Any]:
        """Describe agent, link and sessions for `status`."""
        if self._sessions is None or self._link is None:
            return describe_offline(self.folder, self.key, self.record)
        return describe_offline(self.folder, self.key, self._sessions.server) | {
            "running": True,
            "link": self._link.state.value,
            "problem": self._link.last_failure,
            "sessions": self._sessions.describe(),
        }


def describe_offline(folder: StateFolder, key: SigningKey, record: ServerRecord) -> dict[str, Any]:
    """Describe what is known without a running agent."""
    try:
        consent, policy_problem = read_policy(folder).consent.value, ""
    except PolicyRefusal as exc:
        consent, policy_problem = "", str(exc)
    return {
        "running": False,
        "server": record.url,
        "endpoint_id": record.endpoint_id,
        "class": record.host_class.value,
        "fingerprint": key.public.fingerprint,
        "server_fingerprint": record.server_fingerprint,
        "protected": is_protected(folder.path, folder.path / POLICY_FILE),
        "consent": consent,
        "policy_problem": policy_problem,
        "link": "offline",
        "problem": "",
        "sessions": [],
    }


async def run_agent(folder: StateFolder, *, open_shell: ShellOpener) -> None:
    """Run the agent in the foreground until SIGTERM or SIGINT. Raises ConfigurationError or StateError."""
    lock = folder.take_lock()
    agent = Agent(folder, open_shell=open_shell)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    adopt_orphans()
    # A full collection over everything imported would stall a keystroke (wire.md 2).
    gc.collect()
    gc.freeze()
    logger.info("agent %s for %s, lock %d", agent.key.public.fingerprint, agent.record.url, lock)
    await agent.run()
