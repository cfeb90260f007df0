"""Which operating-system users may have a shell from the agent, and what their shell's environment is (POSIX).

The rules are sshd's without PAM: known, not locked, not expired, a real login shell, and `/etc/nologin` keeps everyone but
root out. The agent as root can become any such user; as an ordinary user only itself.
"""

from __future__ import annotations

import os
import pwd
import time
from dataclasses import dataclass
from pathlib import Path

from agents.errors import ShellError

_NO_LOGIN_SHELLS = frozenset({"nologin", "false", "sync", "halt", "shutdown"})
_SECONDS_PER_DAY = 86_400
_FIELD_PASSWORD = 1
_FIELD_EXPIRES = 7


@dataclass(frozen=True, slots=True)
class Account:
    """A user who may have a shell. ``groups`` are all the groups it belongs to (as initgroups sets them)."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str


def find_account(
    name: str,
    *,
    shadow: Path = Path("/etc/shadow"),
    no_login_files: tuple[Path, ...] = (Path("/etc/nologin"), Path("/run/nologin")),
) -> Account:
    """Look up a user and check that it may have a shell. May block: the lookup can go to a directory server.

    Raises:
        ShellError: there is no such user, or the rules of this machine refuse it.
    """
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError) as exc:
        raise ShellError(f"There is no user {name!r} on this machine.") from exc
    own = os.geteuid()
    if own not in (0, entry.pw_uid):
        raise ShellError(f"The agent runs as {pwd.getpwuid(own).pw_name!r} and can start shells for that user only, not for {name!r}.")
    if entry.pw_uid != 0:
        for file in no_login_files:
            if file.exists():
                raise ShellError(f"This machine lets nobody but root log in at the moment ({file} exists).")
    shell = entry.pw_shell or "/bin/sh"
    if Path(shell).name in _NO_LOGIN_SHELLS:
        raise ShellError(f"The user {name!r} may not log in: its shell is {shell}.")
    if not Path(shell).is_file() or not os.access(shell, os.X_OK):
        raise ShellError(f"The login shell of {name!r}, {shell}, cannot be run.")
    if own == 0:
        _check_shadow(name, shadow)
    return Account(
        name=name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        groups=tuple(os.getgrouplist(name, entry.pw_gid)),
        home=entry.pw_dir,
        shell=shell,
    )


def shell_environment(account: Account) -> dict[str, str]:
    """Make the clean environment of a login shell: nothing of the agent's own is passed on but the language."""
    path = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
    if account.uid == 0:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": account.shell,
        "PATH": path,
        "TERM": "xterm-256color",
        "LANG": os.environ.get("LANG") or "C.UTF-8",
    }


def _check_shadow(name: str, shadow: Path) -> None:
    # A user that is not in the file comes from a directory, which decides by itself whom it names.
    try:
        lines = shadow.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return
    except OSError as exc:
        raise ShellError(f"It cannot be told whether {name!r} is locked: {shadow} cannot be read.") from exc
    fields = next((parts for line in lines if (parts := line.split(":"))[0] == name), None)
    if fields is None or len(fields) <= _FIELD_EXPIRES:
        return
    if fields[_FIELD_PASSWORD].startswith("!"):
        raise ShellError(f"The user {name!r} is locked on this machine.")
    expires = fields[_FIELD_EXPIRES]
    if expires.isdigit() and time.time() >= int(expires) * _SECONDS_PER_DAY:
        raise ShellError(f"The account {name!r} has expired on this machine.")
