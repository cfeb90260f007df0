"""Pseudo terminals and processes on POSIX systems; the only module that touches fcntl and termios.

A shell is started through a line of `/bin/sh`, not through code in a forked copy of the agent: the C code of `subprocess`
makes session, groups and user and executes at once, which is safe with threads and takes about a millisecond. The line
waits for a word on its standard input (so that the process is accounted for before anything of the user's runs), opens the
terminal, which thereby becomes the controlling one of the new session, and becomes the shell.
"""

from __future__ import annotations

import fcntl
import grp
import os
import struct
import subprocess
import termios
from dataclasses import dataclass
from pathlib import Path

from agents.errors import ShellError
from agents.hosts.accounts import Account, shell_environment
from agents.marks.start_script import SCRIPT_DESCRIPTOR, ShellStart

_MARKED_LINE = f'IFS= read -r word && exec {SCRIPT_DESCRIPTOR}<&0 0<>"$1" 1>&0 2>&0 && shift && exec "$@"'
_PLAIN_LINE = 'IFS= read -r word && exec 0<>"$1" 1>&0 2>&0 && shift && exec "$@"'
_TTY_MODE = 0o620
_MAX_SIZE = 4096


@dataclass(frozen=True, slots=True)
class TerminalProcess:
    """A process that waits for `release` on a new terminal; ``master`` is the non-blocking end the agent keeps."""

    process: subprocess.Popen[bytes]
    master: int
    start_pipe: int
    script: bytes

    def release(self) -> None:
        """Let it run: hand over the script (small enough for the pipe, so this cannot block)."""
        try:
            os.write(self.start_pipe, b"go\n" + self.script)
        finally:
            os.close(self.start_pipe)


def start_on_terminal(account: Account, start: ShellStart, *, columns: int, rows: int, environment: dict[str, str]) -> TerminalProcess:
    """Start the account's login shell on a new pseudo terminal of its own; blocks a few milliseconds.

    ``environment`` comes on top of the clean one. The caller owns what is returned and must `release` it.

    Raises:
        ShellError: the system refuses it (no terminals or processes left, no right to become the user).
    """
    try:
        master, slave = os.openpty()
    except OSError as exc:
        raise ShellError(f"This machine has no terminal left for a shell: {exc.strerror}.") from exc
    script_read, script_write = os.pipe()
    as_root = os.geteuid() == 0
    try:
        set_terminal_size(slave, columns=columns, rows=rows)
        tty = os.ttyname(slave)
        if as_root:
            # The user opens both by name: the terminal, and the pipe as /dev/fd/9.
            os.fchown(slave, account.uid, _tty_group(account))
            os.fchmod(slave, _TTY_MODE)
            os.fchown(script_read, account.uid, account.gid)
        process = subprocess.Popen(  # noqa: S603 - the arguments are ours and passwd's, the line a constant
            ["/bin/sh", "-c", _MARKED_LINE if start.marked else _PLAIN_LINE, "sh", tty, account.shell, *start.arguments],
            stdin=script_read,
            stdout=slave,
            stderr=slave,
            cwd=account.home if Path(account.home).is_dir() else "/",
            env={**shell_environment(account), **start.environment, **environment},
            start_new_session=True,
            user=account.uid if as_root else None,
            group=account.gid if as_root else None,
            extra_groups=account.groups if as_root else None,
            umask=0o022,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as exc:
        os.close(master)
        os.close(script_write)
        raise ShellError(f"The shell of {account.name!r} could not be started: {exc}.") from exc
    finally:
        os.close(slave)
        os.close(script_read)
    os.set_blocking(master, False)
    return TerminalProcess(process=process, master=master, start_pipe=script_write, script=start.script or b"")


def set_terminal_size(descriptor: int, *, columns: int, rows: int) -> None:
    """Set the size; the foreground program is told by SIGWINCH. Values are brought into 1 to 4096."""
    size = [min(max(value, 1), _MAX_SIZE) for value in (rows, columns)]
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))


def _tty_group(account: Account) -> int:
    try:
        return grp.getgrnam("tty").gr_gid
    except KeyError:
        return account.gid
