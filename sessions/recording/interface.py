"""The contract between the live side of a session and its recorder.

Here live the values that cross that seam and the two protocols. How recordings are written lives in `writer.py`, what
marks mean in `marks.py` and `commands.py`; nothing here touches a database.

Order of calls, all of them on the event loop:

1. `recorder.start()` once per process, `await recorder.stop()` at its end (stops only after what waits was written).
2. `channel = await recorder.open_channel(opening)` before the agent is told to open the channel. It raises
   `RecordingUnavailable` if the record cannot be written (fail closed) and continues an existing record at
   `channel.durable_offset` (a server that started again). Set the callbacks right after it returns, before any append.
3. `visible = channel.append_output(data, at)` for every piece received, in order, each byte once. It never blocks, never
   awaits, touches no database. Forward `visible` to viewers. `channel.append_resize(...)` likewise.
4. Acknowledge to the agent what `on_durable(offset)` says, nothing else. While `channel.state` is `STALLED`, let nothing
   pass in either direction; when it is `FAILED`, close the channel with `channel.failure_reason`.
5. `head = await channel.close(...)` once the output is complete (or the channel is lost). It returns after the exit
   record is durable; `fin` may be told to the agent then. `head.chain_head` belongs into the session's event chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
GIBIBYTE = 1024 * MEBIBYTE


class RecorderState(StrEnum):
    """State of one channel's record."""

    OK = "ok"
    STALLED = "stalled"
    """Not written for 2 s: the same batch is tried again every 0.5 s, both directions wait."""
    FAILED = "failed"
    """Given up (not written for 30 s, or a bound was reached): the channel must be closed with `failure_reason`."""


class CommandSource(StrEnum):
    """Where a command row comes from (marks.md 10)."""

    MARKS = "marks"
    MARKS_SSH = "marks-ssh"
    EXEC = "exec"
    WINRM = "winrm"
    DIAGNOSTICS = "diagnostics"
    UNMARKED = "unmarked"


class MarkEventKind(StrEnum):
    """What happened to the marks themselves; shown in the session, never a command row."""

    ON = "marks.on"
    LOST = "marks.lost"
    REPLAYED = "marks.replayed"
    DAMAGED = "marks.damaged"


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One command line as the shell reported it; an index into the recording, not proof.

    `number` counts the rows of a channel from 1 and names the row: a row is announced open (`seconds` is None) and
    announced again with the same number when it is complete. Offsets count raw bytes of the output.
    """

    number: int
    sequence: int | None
    depth: int
    shell: str
    line: str | None
    line_length: int
    directory: str | None
    directory_after: str | None
    exit_status: int | None
    started_at: datetime
    seconds: float | None
    offset_start: int
    offset_end: int | None
    source: CommandSource
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MarkEvent:
    """Marks began, were lost, repeated or damaged at a raw offset of the output."""

    kind: MarkEventKind
    offset: int
    happened_at: datetime


@dataclass(frozen=True, slots=True)
class ChannelOpening:
    """What the record must know of a channel before its first byte.

    `marks_nonce` is the secret of the shell marks in lower-case hex, None if the shell is started without marks (`shell`
    may be empty then). `started_at` is the moment the channel was opened; times in the record count from there.
    """

    channel_id: str
    session_id: str
    kind: str
    shell: str
    marks_nonce: str | None
    columns: int
    rows: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class AgentWord:
    """The agent's signed word at the end of a channel: what it sent, counted and hashed by itself."""

    total_bytes: int
    sha256_hex: str
    signature: str


@dataclass(frozen=True, slots=True)
class RecordingHead:
    """The end of a recording chain.

    `agent_agrees` is None if the agent gave no word (it was lost), False if its count or hash differs from the record.
    """

    channel_id: str
    chain_head: str
    links: int
    total_bytes: int
    sha256_hex: str
    exit_status: int | None
    agent_agrees: bool | None


@dataclass(frozen=True, slots=True)
class RecorderLimits:
    """Bounds of the record (remote.md 7); bytes and seconds."""

    batch_bytes: int = 256 * KIBIBYTE
    batch_seconds: float = 0.5
    stalled_after_seconds: float = 2.0
    failed_after_seconds: float = 30.0
    retry_seconds: float = 0.5
    channel_bytes: int = GIBIBYTE
    sustained_bytes_per_second: int = 10 * 1000 * 1000
    burst_bytes: int = 256 * MEBIBYTE
    pending_bytes: int = 32 * MEBIBYTE
    """Received and not yet durable, for one channel; beyond it the channel fails (the agent's buffer is 4 MiB)."""
    reserved_disk_bytes: int = 2 * GIBIBYTE


class ChannelRecorder(Protocol):
    """Records one channel. Belongs to the event loop; every method but `close` returns at once."""

    on_durable: Callable[[int], None] | None
    """Called with the raw offset up to which the output is committed."""
    on_state: Callable[[RecorderState, str], None] | None
    """Called at every change of `state`, with a reason fit for a technician."""
    on_command: Callable[[CommandRow], None] | None
    """Called when a command starts and again when it is complete (same `number`); not yet durable at that time."""
    on_mark_event: Callable[[MarkEvent], None] | None

    @property
    def state(self) -> RecorderState: ...

    @property
    def failure_reason(self) -> str:
        """Say why the state is not `OK`; empty while it is."""
        ...

    @property
    def durable_offset(self) -> int:
        """Raw bytes committed: what may be acknowledged, and where a fresh resume starts."""
        ...

    @property
    def received_offset(self) -> int:
        """Raw bytes appended so far: where a warm resume starts."""
        ...

    @property
    def visible_offset(self) -> int:
        """Raw offset up to which `append_output` has given out what is visible (less than received inside a mark)."""
        ...

    @property
    def read_delay_seconds(self) -> float:
        """How long to wait before reading more from the agent: above 0 only beyond the allowed sustained rate."""
        ...

    @property
    def head(self) -> RecordingHead | None:
        """The end of the record if it was closed before (also by an earlier process), else None."""
        ...

    def append_output(self, data: bytes, at: float) -> bytes:
        """Take raw output received at `at` (`time.monotonic()` seconds) and return what viewers may see of it.

        The result is `data` itself, not a copy, unless it holds a mark or the start of one.
        """
        ...

    def append_resize(self, *, columns: int, rows: int, at: float) -> None:
        """Record a new size of the terminal."""
        ...

    def note_input(self, data: bytes, at: float) -> None:
        """Say that a technician's input was sent to the agent. It is not recorded: only whether it ended a line counts, for
        telling that marks were lost."""
        ...

    async def close(self, *, exit_status: int | None, word: AgentWord | None, reason: str = "") -> RecordingHead:
        """Write everything that waits and the exit record, and return the chain's head when both are durable.

        `exit_status` None means that the end of the process was not seen; `reason` says why then. Calling it again
        returns the same head. Raises `RecordingUnavailable` if it cannot be written within the failure time.
        """
        ...


class Recorder(Protocol):
    """Records all channels of this process with one writer thread."""

    def start(self) -> None:
        """Start the writer thread; must be called on the running event loop."""
        ...

    async def stop(self) -> None:
        """Write what waits, then end the thread."""
        ...

    def check_room(self) -> None:
        """Raise `RecordingUnavailable` if no new session may be recorded (reserved disk reached, or not writing)."""
        ...

    async def open_channel(self, opening: ChannelOpening) -> ChannelRecorder:
        """Begin the record of a channel, or continue it at its durable offset."""
        ...
