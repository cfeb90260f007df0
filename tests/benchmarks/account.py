"""The account that the measured shells run as: as root one of the bench's own making, so that nobody's dotfiles take part."""

from __future__ import annotations

import os
import pwd
from collections.abc import Generator
from contextlib import contextmanager

from tests.os_account import shell_account as make_account


@contextmanager
def shell_account() -> Generator[pwd.struct_passwd, None, None]:
    """An account with an empty home, removed afterwards; without root it is the one that runs the bench."""
    with make_account("bench") as name:
        yield pwd.getpwnam(name)


def login_environment(account: pwd.struct_passwd) -> dict[str, str]:
    """What a login gives to a shell of this account."""
    return {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name, "SHELL": account.pw_shell, "TERM": "xterm-256color",
            "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": os.environ.get("LANG", "C.UTF-8")}
