"""Every message of the control link, as frozen values, and the sets each side may send.

The channel's text control is in channel_messages.py, the signed documents in grants.py and words.py; how a message
becomes text is in codec.py. The order of a link:

    agent  → hello
    server → challenge      (signed over the transcript of handshake.py)
    agent  → proof          (signed likewise; with `enrol` when the agent is new)
    server → refused, or waiting (until a technician accepts, then welcome), or welcome
    both   → everything else; nothing resumes before `welcome.revoked` has been read
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from agents.protocol import limits
from agents.protocol.fields import (
    Columns,
    Counter,
    Digest,
    Document,
    Epoch,
    Fingerprint,
    Identifier,
    Items,
    KeyText,
    Label,
    Line,
    MarksNonce,
    Nonce,
    OptionalDigest,
    OptionalDocument,
    OptionalIdentifier,
    Rows,
    ScopeText,
    Seconds,
    Secret,
    ShortLine,
    SignatureText,
    UserName,
    Whole,
)


class HostClass(StrEnum):
    """What kind of machine an endpoint is; told at enrolment, compared at acceptance."""

    SERVER = "server"
    CLIENT = "client"


class ConsentPlace(StrEnum):
    """Whether this machine must approve in addition (`here`) or the server's methods suffice."""

    HERE = "here"
    SERVER = "server"


class ChannelKind(StrEnum):
    """The kinds of channels of remote.md 6; this release opens `shell`."""

    SHELL = "shell"
    SSH = "ssh"
    WINRM = "winrm"
    FILES = "files"
    DIAGNOSTICS = "diagnostics"
    DESKTOP = "desktop"
    TUNNEL = "tunnel"


class LinkRefusal(StrEnum):
    """Why the server ends a link during the handshake."""

    VERSION = "version"
    TOKEN = "token"  # noqa: S105 (a word of the wire, no password)
    KNOWN_KEY = "known_key"
    UNKNOWN_KEY = "unknown_key"
    PROOF = "proof"
    CERTIFICATE = "certificate"
    HOST_CLASS = "host_class"
    REJECTED = "rejected"
    SET_ASIDE = "set_aside"
    BUSY = "busy"


class Failure(StrEnum):
    """Why the agent did not do what the server asked."""

    GRANT = "grant"
    SCOPE = "scope"
    POLICY = "policy"
    CONSENT_HERE = "consent_here"
    USER = "user"
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"
    TOO_MANY = "too_many"
    STOPPED = "stopped"
    STORAGE = "storage"
    START = "start"
    DIAL = "dial"


class Decision(StrEnum):
    """The answer of the machine to a question of consent; everything but `approve` is a no."""

    APPROVE = "approve"
    DENY = "deny"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class UserFacts:
    """An OS account that a shell may run as. `may_become_root` decides whether `terminal.admin` is needed."""

    name: UserName
    login_allowed: bool
    may_become_root: bool
    reason: ShortLine = ""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the server must know to word a request honestly. All of it is text from a stranger.

    `protected` as in remote.md 4; an unprotected agent opens shells as `run_as` only.
    """

    host_name: ShortLine
    host_class: HostClass
    consent: ConsentPlace
    protected: bool
    run_as: UserName
    may_become_root: bool
    boot_id: OptionalIdentifier
    agent_version: ShortLine


@dataclass(frozen=True, slots=True)
class Inventory:
    """Facts about the machine for the endpoint's page. Sent after every welcome and when something changed."""

    TYPE: ClassVar[str] = "inventory"
    host_name: ShortLine
    operating_system: ShortLine
    kernel: ShortLine
    architecture: ShortLine
    processor: ShortLine
    processors: Counter
    memory_bytes: Annotated[int, Whole(0, limits.HIGHEST_OFFSET)]
    addresses: Annotated[tuple[ShortLine, ...], Items(32)] = ()
    users: Annotated[tuple[UserFacts, ...], Items(64)] = ()


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A new agent introduces itself; told only to a server that has proved the key named in the token."""

    token_id: Identifier
    secret: Secret
    inventory: Inventory


@dataclass(frozen=True, slots=True)
class HeldChannel:
    """A channel the agent still holds when it dials again."""

    channel_id: Identifier
    session_id: Identifier


@dataclass(frozen=True, slots=True)
class Hello:
    """Agent → server, first. Holds nothing secret: the server has not proved itself yet.

    `certificate_sha256` is that of the certificate (DER) the agent saw, empty on plain loopback. `instance` is
    random per agent process, `epoch` the highest the agent has seen from this server (1 when new), `clock_at` its
    wall clock.
    """

    TYPE: ClassVar[str] = "hello"
    versions: Annotated[tuple[Counter, ...], Items(16)]
    nonce: Nonce
    public_key: KeyText
    instance: Identifier
    epoch: Epoch
    certificate_sha256: OptionalDigest
    clock_at: datetime
    enrolling: bool = False


@dataclass(frozen=True, slots=True)
class Challenge:
    """Server → agent: both public keys and the server's signature over the transcript."""

    TYPE: ClassVar[str] = "challenge"
    version: Counter
    nonce: Nonce
    server_key: KeyText
    recovery_key: KeyText
    server_instance: Identifier
    epoch: Epoch
    signature: SignatureText


@dataclass(frozen=True, slots=True)
class Proof:
    """Agent → server: its signature over the same transcript, and what only a proved server may read."""

    TYPE: ClassVar[str] = "proof"
    signature: SignatureText
    host: HostFacts
    enrol: Enrolment | None = None
    channels: Annotated[tuple[HeldChannel, ...], Items(limits.CHANNELS_PER_AGENT)] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Server → agent, then the link closes. `retry_seconds` 0 = the usual reconnect."""

    TYPE: ClassVar[str] = "refused"
    code: LinkRefusal
    reason: Line
    retry_seconds: Seconds = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Server → agent: enrolled, a technician must compare the fingerprint and accept. Then `welcome` follows."""

    TYPE: ClassVar[str] = "waiting"
    endpoint_id: Identifier
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Resume:
    """A channel to take up again, with a fresh one-time token."""

    channel_id: Identifier
    session_id: Identifier
    label: Label
    token: Secret


@dataclass(frozen=True, slots=True)
class Welcome:
    """Server → agent: the link stands. The agent reads `revoked` (grant ids) first, then resumes what `resume` names,
    and closes every channel it holds that `resume` does not name. `reconnect_seconds` caps the jitter of later dials.
    """

    TYPE: ClassVar[str] = "welcome"
    endpoint_id: Identifier
    host_class: HostClass
    epoch: Epoch
    revoked: Annotated[tuple[Identifier, ...], Items(1024)] = ()
    resume: Annotated[tuple[Resume, ...], Items(limits.CHANNELS_PER_AGENT)] = ()
    ping_seconds: Annotated[int, Whole(5, 600)] = 30
    reconnect_seconds: Annotated[int, Whole(1, 600)] = 10


@dataclass(frozen=True, slots=True)
class AskUser:
    """Server → agent: may a shell run as this account, and may it become root? Answered by `user_facts`."""

    TYPE: ClassVar[str] = "ask_user"
    query_id: Identifier
    user: UserName


@dataclass(frozen=True, slots=True)
class UserAnswer:
    """Agent → server: the answer to `ask_user`."""

    TYPE: ClassVar[str] = "user_facts"
    query_id: Identifier
    facts: UserFacts


@dataclass(frozen=True, slots=True)
class AskConsent:
    """Server → agent: ask the person at the machine about a signed request (prompts: release 2)."""

    TYPE: ClassVar[str] = "ask_consent"
    request: Document
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Consent:
    """Agent → server: the machine's answer. `word` is the agent's signed document of the answer when it approves."""

    TYPE: ClassVar[str] = "consent"
    request_sha256: Digest
    decision: Decision
    reason: Line = ""
    scopes: Annotated[tuple[ScopeText, ...], Items(32)] = ()
    minutes: Counter = 0
    word: OptionalDocument = ""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Server → agent: a technician opens a session under this signed request. Answered by `nonce` or `session_refused`.

    May be sent again for a live session (follow-up request, or the agent restarted): each answer is a fresh nonce.
    """

    TYPE: ClassVar[str] = "open_session"
    session_id: Identifier
    request: Document


@dataclass(frozen=True, slots=True)
class SessionNonce:
    """Agent → server: sign the grant over this nonce. Good for one grant, until the agent process ends."""

    TYPE: ClassVar[str] = "nonce"
    session_id: Identifier
    nonce: Nonce


@dataclass(frozen=True, slots=True)
class SessionRefused:
    """Agent → server: no nonce, with the reason."""

    TYPE: ClassVar[str] = "session_refused"
    session_id: Identifier
    code: Failure
    reason: Line


@dataclass(frozen=True, slots=True)
class UseGrant:
    """Server → agent: go on under this grant (follow-up request of a live session). Answered by `grant_answer`."""

    TYPE: ClassVar[str] = "use_grant"
    session_id: Identifier
    grant: Document


@dataclass(frozen=True, slots=True)
class GrantAnswer:
    """Agent → server: whether the grant of `use_grant` holds; `refusal` is empty when it does."""

    TYPE: ClassVar[str] = "grant_answer"
    session_id: Identifier
    grant_sha256: Digest
    refusal: ShortLine = ""
    reason: Line = ""


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """Server → agent: start a channel and dial its socket with the token. `grant` with the first channel of a session
    (and with a changed grant), else empty. `target` is empty for a shell.
    """

    TYPE: ClassVar[str] = "open_channel"
    channel_id: Identifier
    session_id: Identifier
    kind: ChannelKind
    columns: Columns
    rows: Rows
    token: Secret
    label: Label
    grant: OptionalDocument = ""
    target: ShortLine = ""


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """Agent → server: the shell runs. The channel's own `resume` repeats nonce, shell and marked, ahead of the first
    byte."""

    TYPE: ClassVar[str] = "channel_opened"
    channel_id: Identifier
    session_id: Identifier
    user: UserName
    shell: ShortLine
    marked: bool
    marks_nonce: MarksNonce


@dataclass(frozen=True, slots=True)
class ChannelFailed:
    """Agent → server: the channel was not opened, or was lost for good; `refusal` is a GrantRefusal when code is
    grant."""

    TYPE: ClassVar[str] = "channel_failed"
    channel_id: Identifier
    session_id: Identifier
    code: Failure
    reason: Line
    refusal: ShortLine = ""


@dataclass(frozen=True, slots=True)
class ChannelLost:
    """Agent → server: this channel's socket broke while the link stands; answered by `resume_channel` or `revoke`."""

    TYPE: ClassVar[str] = "channel_lost"
    channel_id: Identifier
    session_id: Identifier


@dataclass(frozen=True, slots=True)
class ResumeChannel:
    """Server → agent: dial this channel again with a fresh one-time token."""

    TYPE: ClassVar[str] = "resume_channel"
    channel: Resume


@dataclass(frozen=True, slots=True)
class Revoke:
    """Server → agent: close now. With `channels`, only these; without, every channel of the session, and its grants
    are void for ever (`grant_id` names one of them, for the ledger). Answered by `revoked` when the processes are gone.
    """

    TYPE: ClassVar[str] = "revoke"
    session_id: Identifier
    reason: Line
    grant_id: OptionalIdentifier = ""
    channels: Annotated[tuple[Identifier, ...], Items(limits.CHANNELS_PER_AGENT)] = ()


@dataclass(frozen=True, slots=True)
class Revoked:
    """Agent → server: what was closed by `revoke`; every process of these channels is gone."""

    TYPE: ClassVar[str] = "revoked"
    session_id: Identifier
    channels: Annotated[tuple[Identifier, ...], Items(limits.CHANNELS_PER_AGENT)] = ()


@dataclass(frozen=True, slots=True)
class SessionStopped:
    """Agent → server: the agent ended a session by itself (person at the machine, time limit, grace, policy)."""

    TYPE: ClassVar[str] = "session_stopped"
    session_id: Identifier
    cause: ShortLine
    reason: Line = ""


@dataclass(frozen=True, slots=True)
class CloseWord:
    """Agent → server: the agent's signed word at channel close (words.py); repeated at every welcome until stored."""

    TYPE: ClassVar[str] = "close_word"
    channel_id: Identifier
    session_id: Identifier
    word: Document


@dataclass(frozen=True, slots=True)
class WordStored:
    """Server → agent: the word of this channel is durable, the agent may forget it."""

    TYPE: ClassVar[str] = "word_stored"
    channel_id: Identifier


@dataclass(frozen=True, slots=True)
class Ping:
    """Agent → server; answered by a pong of the same count."""

    TYPE: ClassVar[str] = "ping"
    count: Counter


@dataclass(frozen=True, slots=True)
class Pong:
    """Server → agent."""

    TYPE: ClassVar[str] = "pong"
    count: Counter


AgentMessage = (
    Hello
    | Proof
    | Inventory
    | UserAnswer
    | Consent
    | SessionNonce
    | SessionRefused
    | GrantAnswer
    | ChannelOpened
    | ChannelFailed
    | ChannelLost
    | Revoked
    | SessionStopped
    | CloseWord
    | Ping
)
ServerMessage = (
    Challenge
    | Refused
    | Waiting
    | Welcome
    | AskUser
    | AskConsent
    | OpenSession
    | UseGrant
    | OpenChannel
    | ResumeChannel
    | Revoke
    | WordStored
    | Pong
)
AGENT_MESSAGES: tuple[type[AgentMessage], ...] = (
    Hello,
    Proof,
    Inventory,
    UserAnswer,
    Consent,
    SessionNonce,
    SessionRefused,
    GrantAnswer,
    ChannelOpened,
    ChannelFailed,
    ChannelLost,
    Revoked,
    SessionStopped,
    CloseWord,
    Ping,
)
SERVER_MESSAGES: tuple[type[ServerMessage], ...] = (
    Challenge,
    Refused,
    Waiting,
    Welcome,
    AskUser,
    AskConsent,
    OpenSession,
    UseGrant,
    OpenChannel,
    ResumeChannel,
    Revoke,
    WordStored,
    Pong,
)
