"""The shell channel: a login shell of the granted user on a pseudo terminal, its output buffered until acknowledged.

Lives on one event loop. Reading from the terminal is driven by readiness, gathers up to 64 KiB and stops while the buffer
is full; writing takes what the terminal takes. Who may have a shell is decided in `agents/hosts/accounts.py`.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from agents.channels.stream_buffer import OutputBuffer
from agents.errors import ShellError
from agents.hosts.accounts import find_account
from agents.hosts.control_group import ControlGroup, find_delegated_group
from agents.hosts.posix import TerminalProcess, set_terminal_size, start_on_terminal
from agents.hosts.process_tree import CHANNEL_VARIABLE, ProcessTree, reap_orphans
from agents.marks.start_script import plan_shell_start

GATHER_BYTES = 64 * 1024
SHORT_READ_BYTES = 1024
WRITE_SLICE_BYTES = 4096
DRAIN_SECONDS = 0.5

logger = logging.getLogger(__name__)


async def open_shell(*, user: str, columns: int, rows: int, marks_nonce: str | None) -> ShellChannel:
    """Start the login shell of ``user``; the first output may be there before this returns.

    ``marks_nonce`` is lower-case hex and starts a shell that knows marks with them; None asks for none.

    Raises:
        ShellError: the user may not have a shell here, or it cannot be started.
    """
    loop = asyncio.get_running_loop()
    started, tree, marked, shell = await asyncio.to_thread(_start, user, columns, rows, marks_nonce)
    return ShellChannel(started, tree, shell=shell, marked=marked, loop=loop)


def _start(user: str, columns: int, rows: int, marks_nonce: str | None) -> tuple[TerminalProcess, ProcessTree, bool, str]:
    reap_orphans()
    account = find_account(user)
    try:
        start = plan_shell_start(Path(account.shell).name, marks_nonce=marks_nonce)
    except ValueError as exc:
        raise ShellError("The server sent no usable nonce for the shell's marks.") from exc
    mark = secrets.token_hex(16)
    started = start_on_terminal(account, start, columns=columns, rows=rows, environment={CHANNEL_VARIABLE: mark})
    group: ControlGroup | None = None
    delegated = find_delegated_group()
    if delegated is not None:
        with suppress(OSError):
            group = ControlGroup(delegated, f"channel-{mark}")
            group.add(started.process.pid)
    tree = ProcessTree(started.process.pid, mark=mark, group=group)
    try:
        started.release()
    except OSError as exc:
        tree.end()
        started.process.wait()
        os.close(started.master)
        raise ShellError(f"The shell of {user!r} ended before it began.") from exc
    return started, tree, start.marked, account.shell


class ShellChannel:
    """A running login shell; see `agents/channels/interface.py` for the order of calls."""

    def __init__(self, started: TerminalProcess, tree: ProcessTree, *, shell: str, marked: bool, loop: asyncio.AbstractEventLoop) -> None:
        self.output = OutputBuffer()
        self.shell = shell
        self.marked = marked
        self.input_applied = 0
        self.exit_status: int | None = None
        self._loop = loop
        self._process = started.process
        self._master = started.master
        self._tree = tree
        self._digest = hashlib.sha256()
        self._reading = False
        self._master_open = True
        self._exited = asyncio.Event()
        self._kill_lock = asyncio.Lock()
        self._killed = False
        self.output.on_room = self._resume_reading
        self._resume_reading()
        self._watch_exit()

    @property
    def sha256_hex(self) -> str:
        """SHA-256 of all raw output so far."""
        return self._digest.hexdigest()

    @property
    def output_total(self) -> int:
        """Raw output bytes so far."""
        return self.output.high

    @property
    def pid(self) -> int:
        """Process number of the shell."""
        return self._process.pid

    async def owns_process(self, pid: int) -> bool:
        """Tell whether a process descends from this channel (such a one may not approve anything)."""
        return await asyncio.to_thread(self._tree.contains, pid)

    def write_now(self, data: bytes) -> int:
        """Write what the terminal takes at once, at most 4 KiB, and return how many bytes that were.

        After the shell has ended, input is counted as applied and dropped: nobody is left to read it.
        """
        if not self._master_open or self._exited.is_set():
            taken = len(data)
        else:
            try:
                taken = os.write(self._master, data if len(data) <= WRITE_SLICE_BYTES else data[:WRITE_SLICE_BYTES])
            except BlockingIOError:
                return 0
            except OSError as exc:
                if exc.errno != errno.EIO:
                    raise
                taken = len(data)
        self.input_applied += taken
        return taken

    async def write_input(self, data: bytes) -> None:
        """Write all of ``data`` to the terminal; what was taken counts in `input_applied` as it is taken."""
        written = 0
        while written < len(data):
            taken = self.write_now(data[written : written + WRITE_SLICE_BYTES])
            written += taken
            if not taken:
                await self._wait_writable()

    def resize(self, columns: int, rows: int) -> None:
        """Set the terminal's size; without effect after the end."""
        if self._master_open:
            with suppress(OSError):
                set_terminal_size(self._master, columns=columns, rows=rows)

    async def wait_exit(self) -> int:
        """Return the exit status (negative: ended by that signal) when the shell has ended and `output` is closed."""
        await self._exited.wait()
        while not self.output.closed:
            await self.output.wait_beyond(self.output.high)
        if self.exit_status is None:
            raise AssertionError("a shell that has ended has a status")
        return self.exit_status

    async def kill_tree(self) -> None:
        """End every process of the channel, also those that left its session, and close `output`."""
        async with self._kill_lock:
            if self._killed:
                return
            await asyncio.to_thread(self._tree.end)
            try:
                await asyncio.wait_for(self._exited.wait(), DRAIN_SECONDS)
            except TimeoutError:
                logger.error("shell %d did not end when it was killed", self._process.pid)
            if self._master_open and self.output.room:
                self._read_available()
            self._close_master()
            self._killed = True

    # Reading.

    def _resume_reading(self) -> None:
        if self._master_open and not self._reading and self.output.room:
            self._loop.add_reader(self._master, self._read_available)
            self._reading = True

    def _pause_reading(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._master)
            self._reading = False

    def _read_available(self) -> None:
        pieces: list[bytes] = []
        room = min(GATHER_BYTES, self.output.room)
        at_end = False
        while room > 0:
            try:
                piece = os.read(self._master, room)
            except BlockingIOError:
                break
            except OSError:
                # EIO: the last process let go of the terminal.
                at_end = True
                break
            if not piece:
                at_end = True
                break
            pieces.append(piece)
            room -= len(piece)
            if len(piece) < SHORT_READ_BYTES:
                # The terminal is empty now, most likely a key's echo: another call would only say so.
                break
        if pieces:
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._digest.update(data)
            self.output.append(data)
        if at_end:
            self._close_master()
        elif not self.output.room:
            self._pause_reading()

    def _close_master(self) -> None:
        if not self._master_open:
            return
        self._pause_reading()
        self._loop.remove_writer(self._master)
        self._master_open = False
        os.close(self._master)
        self.output.close()

    # Writing.

    async def _wait_writable(self) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        self._loop.add_writer(self._master, wake)
        exited = asyncio.ensure_future(self._exited.wait())
        try:
            await asyncio.wait((ready, exited), return_when=asyncio.FIRST_COMPLETED)
        finally:
            exited.cancel()
            if self._master_open:
                self._loop.remove_writer(self._master)

    # The end of the process.

    def _watch_exit(self) -> None:
        try:
            descriptor = os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):
            # No process descriptors here (not Linux, or too many open files): a thread waits.
            threading.Thread(target=self._wait_in_thread, name=f"shell-{self._process.pid}", daemon=True).start()
            return

        def on_exit() -> None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
            self._note_exit()

        self._loop.add_reader(descriptor, on_exit)

    def _wait_in_thread(self) -> None:
        self._process.wait()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._note_exit)

    def _note_exit(self) -> None:
        self.exit_status = self._process.wait()
        self._exited.set()
        # The kernel hangs the terminal up when its session leader ends, so what is left can be read to its end. Should a
        # system not do so, the stream is declared complete once nothing more comes.
        self._loop.call_later(DRAIN_SECONDS, self._finish_drain, self.output.high)

    def _finish_drain(self, seen: int) -> None:
        if not self._master_open:
            return
        if self.output.room and self.output.high == seen:
            self._close_master()
        else:
            self._loop.call_later(DRAIN_SECONDS, self._finish_drain, self.output.high)
