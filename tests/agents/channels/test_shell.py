"""The shell channel on a real terminal: user, input, output, size, and the end of everything in it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.channels import shell as shell_module
from agents.channels.shell import open_shell
from agents.errors import ShellError
from agents.hosts.control_group import ControlGroup, find_group_mount
from agents.hosts.process_tree import ProcessTree, adopt_orphans, read_process, reap_orphans
from tests.agents.channels.conftest import make_user
from tests.agents.channels.shell_driver import ShellDriver

pytestmark = [pytest.mark.needs("root", "bash"), pytest.mark.timeout(60)]


def wait_for(holds: Callable[[], bool], *, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    facts = read_process(pid)
    return facts is not None and facts.runs


@pytest.fixture
def reaper() -> Iterator[None]:
    assert adopt_orphans()
    yield
    reap_orphans()
    adopt_orphans(active=False)


async def pids_in(shell: ShellDriver, file: str, count: int) -> list[int]:
    path = Path(pwd.getpwnam(shell.user).pw_dir, file)
    await shell.until(lambda: path.exists() and len(path.read_text().split()) >= count)
    return [int(word) for word in path.read_text().split()]


def test_shell_runs_as_the_user_with_its_groups_and_a_clean_environment(tidy_user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "x")

    async def story() -> bytes:
        async with ShellDriver(tidy_user) as shell:
            await shell.line("id -un; id -G; tty; echo $0 $PPID; env | sort; ps -o stat= $$; stty size")
            return bytes(shell.visible)

    seen = asyncio.run(story()).decode()
    entry = pwd.getpwnam(tidy_user)
    assert f"\r{tidy_user}\r\n{entry.pw_gid}\r\n/dev/pts/" in seen
    assert "SECRET_OF_THE_AGENT" not in seen
    assert "Ss+" in seen or "\nSs" in seen
    assert "\n24 80\r" in seen
    for text in (f"HOME={entry.pw_dir}", f"USER={tidy_user}", f"LOGNAME={tidy_user}", "TERM=xterm-256color", "SHELL=/bin/bash"):
        assert f"\n{text}\r" in seen


def test_shell_of_root_is_root(bash_user: str) -> None:
    async def story() -> bytes:
        async with ShellDriver("root", wait=False, marked=False) as shell:
            await shell.send(b"echo uid=$EUID; exit\r")
            await shell.ended()
            return bytes(shell.visible)

    assert b"uid=0" in asyncio.run(story())


def test_other_shells_start_as_login_shells_without_marks(tmp_path: Path, worker_id: str) -> None:
    name = f"fwdash{worker_id}"
    make_user(name, tmp_path / "home", shell="/bin/dash")
    (tmp_path / "home" / ".profile").write_text("echo profile-was-read\n")

    async def story() -> tuple[bytes, bool, int]:
        async with ShellDriver(name, wait=False) as shell:
            await shell.send(b"id -un; exit 3\r")
            await shell.ended()
            return bytes(shell.visible), shell.channel.marked, await shell.channel.wait_exit()

    try:
        tmp_path.chmod(0o755)
        for parent in tmp_path.parents:
            if parent.stat().st_uid == 0 and str(parent).startswith("/tmp/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        seen, marked, status = asyncio.run(story())
    finally:
        subprocess.run(["userdel", name], check=False, capture_output=True)
    assert (marked, status) == (False, 3)
    assert b"profile-was-read" in seen
    assert name.encode() in seen


def test_agent_without_root_opens_a_marked_shell_of_its_own_user(tidy_user: str) -> None:
    root = Path(__file__).resolve().parents[3]
    code = f"""
import asyncio, sys
sys.path.insert(0, {str(root)!r})
from agents.channels.shell import open_shell

async def main():
    shell = await open_shell(user={tidy_user!r}, columns=80, rows=24, marks_nonce="00112233445566778899aabbccddeeff")
    await shell.write_input(b"id -un; tty; exit 5\\r")
    status = await asyncio.wait_for(shell.wait_exit(), 10)
    await shell.kill_tree()
    print(status, shell.marked, b";C;1;" in shell.output.read_from(0, 65536))

asyncio.run(main())
"""
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-W", "error", "-c", code],
        user=tidy_user, group=pwd.getpwnam(tidy_user).pw_gid, extra_groups=[], cwd="/",
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["5", "True", "True"], done.stderr


def test_refused_user_and_bad_nonce_open_nothing(tidy_user: str) -> None:
    async def story() -> None:
        with pytest.raises(ShellError, match="no user"):
            await open_shell(user="no-such-user", columns=80, rows=24, marks_nonce=None)
        with pytest.raises(ShellError, match="nonce"):
            await open_shell(user=tidy_user, columns=80, rows=24, marks_nonce="$(reboot)")

    asyncio.run(story())


def test_first_prompt_comes_fast(tidy_user: str) -> None:
    async def story() -> float:
        begun = time.monotonic()
        async with ShellDriver(tidy_user):
            return time.monotonic() - begun

    assert min(asyncio.run(story()) for _ in range(5)) < 0.15


def test_output_is_counted_and_hashed(tidy_user: str) -> None:
    async def story() -> ShellDriver:
        async with ShellDriver(tidy_user) as shell:
            await shell.line("seq 1 5000")
            await shell.send(b"exit\r")
            await shell.ended()
        return shell

    shell = asyncio.run(story())
    assert shell.channel.output_total == len(shell.raw)
    assert shell.channel.sha256_hex == hashlib.sha256(shell.raw).hexdigest()


def test_full_buffer_stops_the_process_and_nothing_is_lost(tidy_user: str) -> None:
    async def story() -> bytes:
        channel = await open_shell(user=tidy_user, columns=80, rows=24, marks_nonce=None)
        try:
            await channel.write_input(b"stty -echo; yes 0123456789 | head -c 6000000; exit\r")
            deadline = time.monotonic() + 20
            while channel.output.room:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            high = channel.output.high
            await asyncio.sleep(0.2)
            assert channel.output.high == high
            seen = b""
            while not channel.output.closed or channel.output.high > channel.output.low:
                seen += channel.output.read_from(channel.output.low, 65_536)
                channel.output.acknowledge(len(seen))
                await asyncio.wait_for(channel.output.wait_beyond(len(seen)), 10)
            return seen
        finally:
            await channel.kill_tree()

    assert asyncio.run(story()).count(b"0123456789\r\n") >= 6_000_000 // 11


def test_ctrl_c_under_a_flood_gives_a_prompt_within_a_second(tidy_user: str) -> None:
    async def story() -> float:
        async with ShellDriver(tidy_user) as shell:
            await shell.send(b"yes flood\r")
            await shell.until(lambda: len(shell.visible) > 2_000_000)
            begun = time.monotonic()
            await shell.interrupt()
            return time.monotonic() - begun

    assert asyncio.run(story()) < 1.0


def test_pasted_megabyte_of_short_lines_arrives_whole(tidy_user: str) -> None:
    lines = b"".join(b"%06d %s\r" % (number, b"x" * 120) for number in range(8200))
    assert len(lines) > 1024 * 1024

    async def story() -> None:
        async with ShellDriver(tidy_user) as shell:
            await shell.send(b"echo ready; sha256sum\r")
            await shell.sees(b"\rready")
            await shell.send(lines)
            await shell.send(b"\x04")
            wanted = hashlib.sha256(lines.replace(b"\r", b"\n")).hexdigest().encode()
            await shell.sees(wanted, seconds=30)

    asyncio.run(story())


def test_pasted_megabyte_in_raw_mode_is_byte_identical(tidy_user: str) -> None:
    data = bytes(range(256)) * 4096
    code = (
        "import os, sys, tty, hashlib\n"
        "tty.setraw(0); os.write(1, b'RAW'); h = hashlib.sha256(); n = 0\n"
        "while n < 1048576:\n b = os.read(0, 65536); n += len(b); h.update(b)\n"
        "os.write(1, h.hexdigest().encode())\n"
    )
    Path(pwd.getpwnam(tidy_user).pw_dir, "raw.py").write_text(code)

    async def story() -> int:
        async with ShellDriver(tidy_user) as shell:
            await shell.send(b"/usr/bin/env python3 ~/raw.py\r")
            await shell.sees(b"RAW")
            before = shell.channel.input_applied
            await shell.send(data)
            await shell.sees(hashlib.sha256(data).hexdigest().encode(), seconds=30)
            return shell.channel.input_applied - before

    assert asyncio.run(story()) == len(data)


def test_input_nobody_reads_waits_and_counts_what_was_taken(tidy_user: str) -> None:
    async def story() -> None:
        async with ShellDriver(tidy_user) as shell:
            await shell.send(b"stty raw -echo; echo waiting; sleep 30\r")
            await shell.sees(b"waiting")
            before = shell.channel.input_applied
            writing = asyncio.ensure_future(shell.send(b"x" * 1_000_000))
            await asyncio.wait((writing,), timeout=0.3)
            assert not writing.done()
            taken = shell.channel.input_applied - before
            assert 0 < taken < 1_000_000
            await shell.channel.kill_tree()
            await asyncio.wait_for(writing, 2)
            assert shell.channel.input_applied - before == 1_000_000

    asyncio.run(story())


def test_resize_reaches_the_program(tidy_user: str) -> None:
    async def story() -> None:
        async with ShellDriver(tidy_user) as shell:
            shell.channel.resize(132, 50)
            await shell.line("stty size")
            assert b"\r50 132\r" in shell.visible
            shell.channel.resize(0, -5)
            await shell.line("stty size")
            assert b"\r1 1\r" in shell.visible

    asyncio.run(story())


def test_exit_status_and_later_calls_after_the_end(tidy_user: str) -> None:
    async def story() -> None:
        async with ShellDriver(tidy_user) as shell:
            await shell.send(b"exit 7\r")
            await shell.ended()
            assert await shell.channel.wait_exit() == 7
            assert shell.channel.output.closed
            before = shell.channel.input_applied
            await shell.send(b"late")
            assert shell.channel.input_applied == before + 4
            shell.channel.resize(80, 24)
            await shell.channel.kill_tree()
            await shell.channel.kill_tree()

    asyncio.run(story())


def test_stop_ends_the_tree_fast_also_what_ignores_signals(tidy_user: str) -> None:
    async def story() -> None:
        async with ShellDriver(tidy_user) as shell:
            await shell.line("sh -c 'trap \"\" HUP TERM INT; echo $$ >>~/pids; while :; do sleep 0.05; done' &")
            await shell.line("nohup sleep 60 >/dev/null 2>&1 & echo $! >>~/pids")
            await shell.line("setsid sleep 61 & sleep 0.05; pgrep -u $USER -x -f 'sleep 61' >>~/pids")
            pids = await pids_in(shell, "pids", 3)
            assert all(runs(pid) for pid in pids)
            begun = time.monotonic()
            await shell.channel.kill_tree()
            assert time.monotonic() - begun < 0.9
            assert not [pid for pid in [*pids, shell.channel.pid] if runs(pid)]
            assert await shell.channel.wait_exit() < 0

    Path(pwd.getpwnam(tidy_user).pw_dir, "pids").unlink(missing_ok=True)
    asyncio.run(story())


def test_stop_finds_daemons_by_their_environment(tidy_user: str) -> None:
    async def story() -> None:
        async with ShellDriver(tidy_user) as shell:
            await shell.line("(setsid sh -c 'sleep 62 & echo $! >>~/pids' &)")
            (pid,) = await pids_in(shell, "pids", 1)
            await shell.channel.kill_tree()
            assert not runs(pid)

    Path(pwd.getpwnam(tidy_user).pw_dir, "pids").unlink(missing_ok=True)
    asyncio.run(story())


def test_stop_finds_daemons_that_left_everything_behind(tidy_user: str, reaper: None) -> None:
    async def story() -> None:
        async with ShellDriver(tidy_user) as shell:
            await shell.line("(env -i setsid sh -c 'sleep 63 & echo $! >>'$HOME'/pids' &)")
            (pid,) = await pids_in(shell, "pids", 1)
            await shell.until(lambda: (facts := read_process(pid)) is not None and facts.parent == os.getpid())
            await shell.channel.kill_tree()
            assert not runs(pid)
            assert read_process(pid) is None

    Path(pwd.getpwnam(tidy_user).pw_dir, "pids").unlink(missing_ok=True)
    asyncio.run(story())


def test_stop_outruns_a_program_that_keeps_forking(tidy_user: str) -> None:
    code = "import os,time\nfor n in range(100000):\n if os.fork(): os._exit(0)\n os.setsid() if n % 7 == 0 else None\n time.sleep(0.002)\n"
    home = Path(pwd.getpwnam(tidy_user).pw_dir)
    (home / "runner.py").write_text(code)

    async def story() -> None:
        async with ShellDriver(tidy_user) as shell:
            await shell.line("(/usr/bin/env python3 ~/runner.py &)")
            await shell.channel.kill_tree()
            uid = pwd.getpwnam(tidy_user).pw_uid
            left = subprocess.run(["pgrep", "-u", str(uid)], capture_output=True, text=True, check=False).stdout.split()
            assert not [pid for pid in left if runs(int(pid))]

    asyncio.run(story())


def test_tree_knows_its_members_and_no_others(tidy_user: str) -> None:
    async def story() -> None:
        async with ShellDriver(tidy_user) as shell:
            assert await shell.channel.owns_process(shell.channel.pid)
            assert not await shell.channel.owns_process(os.getpid())
            async with ShellDriver(tidy_user) as other:
                assert not await shell.channel.owns_process(other.channel.pid)
                await shell.channel.kill_tree()
                assert runs(other.channel.pid)
                await other.line("true")

    asyncio.run(story())


def test_control_group_holds_what_left_the_tree() -> None:
    mounted = find_group_mount()
    if mounted is None or not os.access(mounted, os.W_OK):
        pytest.skip("no writable unified control group hierarchy is mounted here")
    group = ControlGroup(mounted, f"fernwart-test-{os.getpid()}")
    shell = subprocess.Popen(["sh", "-c", "read x; (env -i setsid sleep 64 &); exec sleep 65"], stdin=subprocess.PIPE)
    assert shell.stdin is not None
    group.add(shell.pid)
    tree = ProcessTree(shell.pid, mark="none", group=group)
    shell.stdin.write(b"go\n")
    shell.stdin.close()
    wait_for(lambda: len(group.list_pids()) == 2)
    members = group.list_pids()
    assert {facts.pid for facts in tree.list_members()} >= members
    assert tree.end() == ()
    assert shell.wait(5) in (-signal.SIGHUP, -signal.SIGTERM)  # both are sent; either may be the one that ends it
    assert not [pid for pid in members if runs(pid)]
    assert not group.path.exists()


def test_shell_survives_without_process_descriptors(tidy_user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(shell_module.os, "pidfd_open")

    async def story() -> None:
        async with ShellDriver(tidy_user) as shell:
            await shell.send(b"exit 4\r")
            await shell.ended()
            assert await shell.channel.wait_exit() == 4

    asyncio.run(story())


def test_many_shells_leave_no_descriptor_behind(tidy_user: str) -> None:
    async def story() -> None:
        for _ in range(12):
            async with ShellDriver(tidy_user, wait=False) as shell:
                await shell.send(b"exit\r")
                await shell.ended()

    asyncio.run(story())
    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(story())
    assert len(os.listdir("/proc/self/fd")) <= before


assert sys.platform == "linux"
