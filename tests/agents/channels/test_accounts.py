"""Who may have a shell: the machine's own rules, and the environment that the shell gets."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.errors import ShellError
from agents.hosts.accounts import find_account, shell_environment
from tests.agents.channels.conftest import make_user

OWN = pwd.getpwuid(os.geteuid()).pw_name
NOBODY_LOGS_IN: tuple[Path, ...] = ()


@pytest.fixture
def plain_user(tmp_path: Path, worker_id: str) -> Iterator[str]:
    name = f"fwplain{worker_id}"
    make_user(name, tmp_path / "home")
    yield name
    subprocess.run(["userdel", name], check=False, capture_output=True)


def test_unknown_user_is_refused() -> None:
    with pytest.raises(ShellError, match="no user"):
        find_account("no-such-user-here")
    with pytest.raises(ShellError, match="no user"):
        find_account("bad\0name")


@pytest.mark.needs("root")
def test_ordinary_user_is_found_with_all_its_groups(plain_user: str) -> None:
    subprocess.run(["usermod", "--append", "--groups", "audio,video", plain_user], check=True)
    account = find_account(plain_user, no_login_files=())
    entry = pwd.getpwnam(plain_user)
    assert (account.uid, account.gid, account.home, account.shell) == (entry.pw_uid, entry.pw_gid, entry.pw_dir, "/bin/bash")
    assert len(account.groups) == 3


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (["usermod", "--lock"], "locked"),
        (["usermod", "--expiredate", "1990-01-01"], "expired"),
        (["usermod", "--shell", "/usr/sbin/nologin"], "may not log in"),
        (["usermod", "--shell", "/bin/false"], "may not log in"),
        (["usermod", "--shell", "/no/such/shell"], "cannot be run"),
    ],
)
def test_account_that_may_not_log_in_is_refused(plain_user: str, change: list[str], reason: str) -> None:
    subprocess.run([*change, plain_user], check=True, capture_output=True)
    with pytest.raises(ShellError, match=reason):
        find_account(plain_user, no_login_files=())


@pytest.mark.needs("root")
def test_unreadable_shadow_file_is_a_refusal(plain_user: str, tmp_path: Path) -> None:
    with pytest.raises(ShellError, match="cannot be told"):
        find_account(plain_user, shadow=tmp_path, no_login_files=())


@pytest.mark.needs("root")
def test_nologin_file_keeps_out_everyone_but_root(plain_user: str, tmp_path: Path) -> None:
    closed = tmp_path / "nologin"
    closed.write_text("maintenance")
    with pytest.raises(ShellError, match="nobody but root"):
        find_account(plain_user, no_login_files=(closed,))
    assert find_account("root", no_login_files=(closed,)).uid == 0


def test_environment_is_clean_and_has_a_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "x")
    monkeypatch.delenv("LANG", raising=False)
    environment = shell_environment(find_account(OWN, no_login_files=()))
    assert set(environment) == {"HOME", "USER", "LOGNAME", "SHELL", "PATH", "TERM", "LANG"}
    assert (environment["TERM"], environment["LANG"]) == ("xterm-256color", "C.UTF-8")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    assert shell_environment(find_account(OWN, no_login_files=()))["LANG"] == "de_DE.UTF-8"


@pytest.mark.needs("root")
def test_agent_without_root_starts_shells_for_its_own_user_only(plain_user: str) -> None:
    code = (
        "import sys\n"
        "from agents.errors import ShellError\n"
        "from agents.hosts.accounts import find_account\n"
        "print(find_account(sys.argv[1], no_login_files=()).name)\n"
        "try:\n    find_account('root', no_login_files=())\n"
        "except ShellError as error:\n    print(error)\n"
    )
    script = Path("/tmp", f"fw-{plain_user}.py")
    script.write_text(code)
    root = Path(__file__).resolve().parents[3]
    try:
        done = subprocess.run(
            ["/usr/bin/env", "python3", "-c", f"import sys; sys.path.insert(0, {str(root)!r}); sys.argv=['x', {plain_user!r}]\n{code}"],
            user=plain_user, capture_output=True, text=True, cwd="/", timeout=20, check=False,
        )  # fmt: skip
    finally:
        script.unlink()
    assert done.stdout.splitlines() == [
        plain_user,
        f"The agent runs as {plain_user!r} and can start shells for that user only, not for 'root'.",
    ], done.stderr
