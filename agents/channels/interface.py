"""What a channel kind offers to the link: the seam between agents/channel_link.py and the kinds beside this file.

Order of calls: `open_shell` once; then `write_now`, `write_input`, `resize`, reads of `output` in any order, from one event loop;
after the process has ended `wait_exit` returns at once for ever. `kill_tree` may be called at any time, also twice,
and returns when no process of the channel is left. After it `wait_exit` returns and `output` is closed: all bytes
that were read stay readable.
Units: offsets are raw bytes from the stream's start.
"""

from typing import Protocol


class OutputBuffer(Protocol):
    """Output read from the process and not yet acknowledged. Full (4 MiB) = reading from the process stops."""

    @property
    def low(self) -> int:
        """Offset of the oldest byte held; everything below is acknowledged."""
        ...

    @property
    def high(self) -> int:
        """Offset after the newest byte read from the process."""
        ...

    @property
    def closed(self) -> bool:
        """Whether no byte will ever be added: the terminal is at its end."""
        ...

    def acknowledge(self, offset: int) -> None:
        """Free everything below offset; lower than `low` does nothing, higher than `high` raises ValueError."""
        ...

    def read_from(self, offset: int, limit: int) -> bytes:
        """Return at most `limit` bytes at offset (within low..high, else ValueError); empty at `high`."""
        ...

    async def wait_beyond(self, offset: int) -> None:
        """Return when `high > offset` or the buffer is closed. Several tasks may wait."""
        ...


class ShellChannel(Protocol):
    """A running login shell on a pseudo terminal."""

    @property
    def output(self) -> OutputBuffer:
        """The unacknowledged output."""
        ...

    @property
    def input_applied(self) -> int:
        """Bytes of input that the terminal has taken since the start; counts partial writes."""
        ...

    @property
    def exit_status(self) -> int | None:
        """None while the process runs; negative = ended by that signal."""
        ...

    @property
    def sha256_hex(self) -> str:
        """SHA-256 of all raw output so far, in hexadecimal."""
        ...

    @property
    def output_total(self) -> int:
        """Raw output bytes so far; equals `output.high`."""
        ...

    @property
    def shell(self) -> str:
        """Path of the shell that was started."""
        ...

    @property
    def marked(self) -> bool:
        """Whether the shell was started with marks."""
        ...

    def write_now(self, data: bytes) -> int:
        """Write what the terminal takes without waiting and return how many bytes that were; they count as in
        `write_input`. Never called while a `write_input` runs.
        """
        ...

    async def write_input(self, data: bytes) -> None:
        """Write all of data to the terminal; returns when it took everything. Cancelled in the middle, what was
        taken is in `input_applied`. After the process ended, input is counted as applied and dropped. Never called
        concurrently.
        """
        ...

    def resize(self, columns: int, rows: int) -> None:
        """Set the terminal's size."""
        ...

    async def wait_exit(self) -> int:
        """Return the exit status when the process has ended and `output` is closed."""
        ...

    async def kill_tree(self) -> None:
        """End every process of the channel and return when they are gone."""
        ...


class ShellOpener(Protocol):
    """How the link starts a shell; agents.channels.shell.open_shell is the real one."""

    async def __call__(self, *, user: str, columns: int, rows: int, marks_nonce: str) -> ShellChannel:
        """Start the login shell of the user. Raises agents.errors.AgentError subclasses with a sentence for a
        technician."""
        ...
