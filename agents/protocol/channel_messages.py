"""The text control of a channel's socket; binary frames are the raw bytes of the stream and carry no header.

The order on every new socket (wire.md section 4, without the copy of input):

    agent  → resume          where the agent stands; `conn` is raised at every dial, `instance` random per agent process
    server → resumed | error where output goes on (`output`, within out_lo..out_hi); input goes on at `applied`
    agent  → binary output from `output`;  server → binary input from `applied`

Offsets count raw bytes from the stream's start, each direction alone. `output_ack` = durably recorded; `input_ack` =
the terminal took it. At most limits.INPUT_CREDIT_BYTES of input may be unacknowledged. `exit` is a state, repeated
after every `resumed` once the process has ended; `fin` = output and exit are on record, the agent may forget the
channel.
Dropping input: the server sends `rebase{generation}` and no input until `rebased` of that generation says where the
stream of input stands; the agent throws away what was received and not applied.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from agents.protocol.fields import Columns, Counter, ExitStatus, Identifier, Line, MarksNonce, Offset, Rows, ShortLine


class ChannelError(StrEnum):
    """Why a side gives up a channel's socket. `stale`: an older dial; every other is the end of the channel."""

    UNKNOWN = "unknown"
    INSTANCE = "instance"
    STALE = "stale"
    GAP = "gap"
    CREDIT = "credit"
    PROTOCOL = "protocol"
    RECORDING = "recording"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class ChannelResume:
    """Agent → server, first on every socket of a channel."""

    TYPE: ClassVar[str] = "resume"
    agent: Identifier
    instance: Identifier
    conn: Counter
    out_lo: Offset
    out_hi: Offset
    applied: Offset
    marks_nonce: MarksNonce
    shell: ShortLine
    marked: bool


@dataclass(frozen=True, slots=True)
class ChannelResumed:
    """Server → agent: send output from `output`; our input goes on at `input`, which equals the agent's `applied`."""

    TYPE: ClassVar[str] = "resumed"
    output: Offset
    input: Offset


@dataclass(frozen=True, slots=True)
class OutputAck:
    """Server → agent: output below `output` is durably recorded; the agent frees it."""

    TYPE: ClassVar[str] = "output_ack"
    output: Offset


@dataclass(frozen=True, slots=True)
class InputAck:
    """Agent → server: the terminal has taken input below `applied`."""

    TYPE: ClassVar[str] = "input_ack"
    applied: Offset


@dataclass(frozen=True, slots=True)
class Resize:
    """Server → agent."""

    TYPE: ClassVar[str] = "resize"
    columns: Columns
    rows: Rows


@dataclass(frozen=True, slots=True)
class Exit:
    """Agent → server: the process ended with `status` (negative = signal) after `output` bytes in all."""

    TYPE: ClassVar[str] = "exit"
    status: ExitStatus
    output: Offset


@dataclass(frozen=True, slots=True)
class Rebase:
    """Server → agent: forget input that is received and not applied."""

    TYPE: ClassVar[str] = "rebase"
    generation: Counter


@dataclass(frozen=True, slots=True)
class Rebased:
    """Agent → server: input goes on at `applied`."""

    TYPE: ClassVar[str] = "rebased"
    generation: Counter
    applied: Offset


@dataclass(frozen=True, slots=True)
class ChannelRevoke:
    """Server → agent, in-band because the link may be half-open: end the process tree now."""

    TYPE: ClassVar[str] = "revoke"
    reason: Line


@dataclass(frozen=True, slots=True)
class Fin:
    """Server → agent: everything of this channel is on record; close and forget it."""

    TYPE: ClassVar[str] = "fin"


@dataclass(frozen=True, slots=True)
class ChannelErrorMessage:
    """Either side, then the socket closes."""

    TYPE: ClassVar[str] = "error"
    code: ChannelError
    reason: Line


AgentChannelMessage = ChannelResume | InputAck | Exit | Rebased | ChannelErrorMessage
ServerChannelMessage = ChannelResumed | OutputAck | Resize | Rebase | ChannelRevoke | Fin | ChannelErrorMessage
AGENT_CHANNEL_MESSAGES: tuple[type[AgentChannelMessage], ...] = (
    ChannelResume,
    InputAck,
    Exit,
    Rebased,
    ChannelErrorMessage,
)
SERVER_CHANNEL_MESSAGES: tuple[type[ServerChannelMessage], ...] = (
    ChannelResumed,
    OutputAck,
    Resize,
    Rebase,
    ChannelRevoke,
    Fin,
    ChannelErrorMessage,
)
