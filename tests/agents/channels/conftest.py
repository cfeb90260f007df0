"""Operating-system users for shells. Making users needs root: such tests carry ``needs("root")``."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = os.geteuid() == 0

DEBIAN_BASHRC = """\
case $- in *i*) ;; *) return;; esac
HISTCONTROL=ignoreboth
shopt -s histappend checkwinsize
PS1='\\[\\e]0;\\u: \\w\\a\\]\\[\\033[01;32m\\]\\u\\[\\033[00m\\]:\\w\\$ '
alias ll='ls -d'
"""


def make_user(name: str, home: Path, *, shell: str = "/bin/bash") -> None:
    """Make a user that may log in (no password, but not locked)."""
    subprocess.run(["userdel", name], check=False, capture_output=True)
    subprocess.run(["useradd", "--no-create-home", "--home-dir", str(home), "--shell", shell, "--password", "*", name], check=True)
    home.mkdir(parents=True, exist_ok=True)
    user = pwd.getpwnam(name)
    os.chown(home, user.pw_uid, user.pw_gid)


def write_home_file(user: str, name: str, text: str) -> None:
    entry = pwd.getpwnam(user)
    path = Path(entry.pw_dir, name)
    path.write_text(text)
    os.chown(path, entry.pw_uid, entry.pw_gid)


@pytest.fixture(scope="session")
def bash_user(worker_id: str) -> Iterator[str]:
    """A user with bash and Debian's usual settings; the user of the tests themselves without root."""
    if not ROOT:
        yield pwd.getpwuid(os.geteuid()).pw_name
        return
    name = f"fwbash{worker_id}"
    home = Path("/home", name)
    make_user(name, home)
    yield name
    subprocess.run(["userdel", "--remove", name], check=False, capture_output=True)


@pytest.fixture
def tidy_user(bash_user: str) -> str:
    """`bash_user` with start-up files as Debian ships them, and no history."""
    if ROOT:
        home = Path(pwd.getpwnam(bash_user).pw_dir)
        for name in (".bash_history", ".bash_profile", ".bash_login", ".inputrc"):
            (home / name).unlink(missing_ok=True)
        write_home_file(bash_user, ".bashrc", DEBIAN_BASHRC)
        write_home_file(bash_user, ".profile", ". ~/.bashrc\n")
    return bash_user
