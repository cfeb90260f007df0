"""The command as people start it: its own process, its exit codes, its local socket."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from agents.cli import main
from agents.cli import run_command as run_here
from agents.local_socket import ask_local_agent
from agents.protocol.grants import sign_grant
from agents.protocol.messages import ChannelFailed, SessionStopped
from agents.state_folder import StateFolder
from tests.agents.desk import DEADLINE_SECONDS, Desk, enrol_at, in_loop, until

pytestmark = pytest.mark.timeout(90)
PROGRAM = [sys.executable, "-c", "from agents.cli import main; main()"]


async def run_command(*arguments: str, text: str = "") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        out, err = await process.communicate(text.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def start_agent(state: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(*PROGRAM, "run", "--state", str(state), stderr=asyncio.subprocess.DEVNULL)


async def end(process: asyncio.subprocess.Process) -> int:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await process.wait()


async def ask(state: Path, question: dict[str, Any]) -> dict[str, Any] | None:
    return await asyncio.to_thread(ask_local_agent, StateFolder.open(state), question)


@in_loop
async def test_enroll_run_status_and_stop_as_their_own_processes(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    state = tmp_path / "state"
    code, out, err = await run_command("enroll", desk.url, "-", "--state", str(state), text=desk.make_token().text + "\n")
    assert (code, err) == (0, "")
    assert desk.enrolled[0].enrol is not None and "SHA256:" in out
    code, _, err = await run_command("enroll", desk.url, desk.make_token().text, "--state", str(state))
    assert code == 78 and "enrolled already" in err and err.count("\n") == 1
    assert (await run_command("status", "--state", str(state)))[0] == 69
    assert (await run_command("stop", "--state", str(state)))[0] == 0

    desk.links.clear()
    agent = await start_agent(state)
    try:
        link = await desk.link()
        channel = await desk.open_shell(link)
        code, out, _ = await run_command("status", "--state", str(state), "--json")
        shown = json.loads(out)
        assert (code, shown["link"], shown["sessions"][0]["ticket"]) == (0, "online", "20261123-17")
        assert len(shown["sessions"][0]["channels"]) == 1
        assert "Tessa Lind" in (await run_command("status", "--state", str(state)))[1]
        assert (await run_command("run", "--state", str(state)))[0] == 78
        assert (await run_command("stop", "other", "--state", str(state)))[0] == 69
        started = time.monotonic()
        assert await ask(state, {"command": "stop", "session_id": "session-1"}) == {"ended": ["session-1"]}
        assert time.monotonic() - started < 1
        assert (await link.expect(SessionStopped)).cause == "stopped"
        await until(lambda: channel.exit is not None, "the shell's end reaches the record")
        assert await ask(state, {"command": "unknown"}) is not None
    finally:
        assert await end(agent) == 0
        await desk.stop()


@in_loop
async def test_stop_works_while_the_server_is_away(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    folder = await enrol_at(desk, tmp_path / "state")
    agent = await start_agent(folder.path)
    try:
        link = await desk.link()
        channel = await desk.open_shell(link)
        channel.type(b"echo shell:$$:\n")
        await until(lambda: re.search(rb"shell:(\d+):", channel.record) is not None, "it runs")
        found = re.search(rb"shell:(\d+):", channel.record)
        assert found is not None
        pid = int(found[1])
        await desk.stop()
        code, out, _ = await run_command("stop", "--state", str(folder.path))
        assert (code, out) == (0, "Ended: session-1\n")
        assert not Path(f"/proc/{pid}").exists()
        await desk.start()
        again = await desk.link(1)
        assert (await again.expect(SessionStopped)).cause == "stopped"
    finally:
        await end(agent)
        await desk.stop()


@pytest.mark.needs("root")
@in_loop
async def test_the_local_socket_answers_nobody_else() -> None:
    desk = Desk()
    await desk.start()
    base = Path(tempfile.mkdtemp())
    folder = await enrol_at(desk, base / "state")
    agent = await start_agent(folder.path)
    try:
        await desk.link()
        # Even with the folder opened by mistake, the kernel tells who asks.
        for path in (folder.path, base):
            path.chmod(0o755)
        (folder.path / "agent.sock").chmod(0o666)
        code = (
            "import os, socket, sys\n"
            "os.setgid(65534); os.setuid(65534)\n"
            "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
            's.sendall(b\'{"command": "status"}\\n\'); print(s.makefile().readline())'
        )
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", code, str(folder.path / "agent.sock")],
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert list(json.loads(done.stdout)) == ["error"]
    finally:
        await end(agent)
        shutil.rmtree(base)
        await desk.stop()


@in_loop
async def test_a_killed_agent_takes_no_grant_with_it_and_starts_clean(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    folder = await enrol_at(desk, tmp_path / "state")
    agent = await start_agent(folder.path)
    link = await desk.link()
    grant = sign_grant(desk.key, await desk.make_grant(link))
    channel = await desk.open_channel(link, grant)
    await until(lambda: channel.socket is not None, "the shell is attached")
    agent.kill()
    await agent.wait()
    agent = await start_agent(folder.path)
    try:
        again = await desk.link(1)
        assert again.proof.channels == ()
        assert again.hello.instance != link.hello.instance
        await desk.open_channel(again, grant)
        assert (await again.expect(ChannelFailed)).refusal == "used"
    finally:
        await end(agent)
        await desk.stop()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run"], 78),
        (["status"], 78),
        (["stop"], 78),
        (["enroll", "http://127.0.0.1:1", "nonsense"], 78),
        (["enroll", "http://desk.example", "a." + "s" * 43 + "." + "f" * 43], 78),
        (["enroll", "http://127.0.0.1:1", "a." + "s" * 43 + "." + "f" * 43], 77),
        (["enroll", "http://127.0.0.1:1", "@/no/such/file"], 78),
    ],
)
def test_errors_are_one_line_with_an_exit_code_of_sysexits(
    tmp_path: Path, arguments: list[str], code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_here([*arguments, "--state", str(tmp_path / "state")]) == code
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["dance"], ["enroll"], ["enroll", "u", "t", "--class", "toaster"]])
def test_wrong_use_is_exit_64(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 64


@in_loop
async def test_the_agent_stays_small_and_loads_nothing_of_the_servers(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    folder = await enrol_at(desk, tmp_path / "state")
    agent = await start_agent(folder.path)
    try:
        await desk.link()
        memory = Path(f"/proc/{agent.pid}/smaps_rollup").read_text()
        pss_kib = next(int(line.split()[1]) for line in memory.splitlines() if line.startswith("Pss:"))
        assert pss_kib < 60 * 1024
        loaded = subprocess.run(
            [sys.executable, "-c", "import agents.cli, sys; print(*sys.modules)"], capture_output=True, text=True, check=True
        ).stdout.split()
        assert not {"sqlalchemy", "fastapi", "pydantic", "orchestrator", "sessions", "web"} & set(loaded)
    finally:
        await end(agent)
        await desk.stop()
