"""The account that the measured shells run as: as root one of the bench's own making, so that nobody's dotfiles take part."""

from __future__ import annotations

import getpass
import os
import pwd
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def shell_account() -> Generator[pwd.struct_passwd, None, None]:
    """An account with an empty home, removed afterwards; without root it is the one that runs the bench."""
    if os.geteuid() != 0:
        yield pwd.getpwnam(getpass.getuser())
        return
    name = f"fwbench{os.getpid()}"
    subprocess.run(["useradd", "--create-home", "--skel", "/nonexistent", "--home-dir", str(Path("/home", name)), "--shell", "/bin/bash",
                    "--password", "*", name], check=True, capture_output=True)
    try:
        yield pwd.getpwnam(name)
    finally:
        subprocess.run(["userdel", "--force", "--remove", name], check=False, capture_output=True)


def login_environment(account: pwd.struct_passwd) -> dict[str, str]:
    """What a login gives to a shell of this account."""
    return {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name, "SHELL": account.pw_shell, "TERM": "xterm-256color",
            "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": os.environ.get("LANG", "C.UTF-8")}
