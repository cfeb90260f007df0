"""Request and grant: the two documents of the server that decide what an agent does, and the pure check of a grant.

Remembering used nonces and revoked grants is the agent's ledger (agents/grants.py); wording the request for people
is the server's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from agents.protocol import limits
from agents.protocol.codec import decode_record, encode_record
from agents.protocol.errors import GrantRefusal, GrantRefused, MalformedMessage, SignatureRefused
from agents.protocol.fields import (
    Counter,
    Digest,
    Document,
    Epoch,
    Fingerprint,
    Identifier,
    Items,
    Line,
    Nonce,
    Prose,
    ScopeText,
    ShortLine,
    UserName,
    Whole,
)
from agents.protocol.messages import ConsentPlace, HostClass
from agents.protocol.scopes import InvalidScope, is_narrowing, parse_scope
from agents.protocol.signatures import DocumentType, PublicKey, SigningKey, hash_document, make_jws, read_jws

DOCUMENT_VERSION = 1


class Recording(StrEnum):
    """How much is recorded. Only `full` is accepted in this release."""

    FULL = "full"
    COMMANDS = "commands"
    NONE = "none"


class ConsentMethod(StrEnum):
    """How the approver answered (remote.md 2)."""

    LINK = "link"
    ENDPOINT = "endpoint"
    STANDING = "standing"
    PORTAL = "portal"
    SPOKEN_CODE = "spoken_code"
    BREAK_GLASS = "break_glass"


@dataclass(frozen=True, slots=True)
class Request:
    """What the technician asks; the mail, the page and the prompt show these fields and nothing else.

    `audience` is the fingerprint of the agent's key. `desk` is the name of the company that offers the support.
    `administrator` says that the OS user may become root, `protected` is that of HostFacts, `consent` the machine's
    own rule, `clock_is_off` that the agent's clock differed by more than 10 minutes.
    """

    version: Counter
    request_id: Identifier
    session_id: Identifier
    server_instance: Identifier
    epoch: Epoch
    audience: Fingerprint
    endpoint_id: Identifier
    endpoint_name: ShortLine
    endpoint_class: HostClass
    protected: bool
    consent: ConsentPlace
    organisation: ShortLine
    desk: ShortLine
    ticket: ShortLine
    ticket_subject: Line
    technician: ShortLine
    approver: Line
    purpose: Prose
    scopes: Annotated[tuple[ScopeText, ...], Items(32)]
    user: UserName
    administrator: bool
    minutes: Annotated[int, Whole(1, 24 * 60)]
    recording: Recording
    start_within_minutes: Annotated[int, Whole(1, 7 * 24 * 60)]
    clock_is_off: bool
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """The signed form of a consent: what this agent may do in this session, once, from now on.

    `nonce` is the agent's answer to `open_session`. `max_seconds` counts from acceptance by the agent,
    `grace_seconds` is how long channels live without a link. With `clock_is_wrong`, not-before and expiry do not count.
    """

    version: Counter
    grant_id: Identifier
    session_id: Identifier
    server_instance: Identifier
    epoch: Epoch
    audience: Fingerprint
    endpoint_id: Identifier
    nonce: Nonce
    request_sha256: Digest
    ticket: ShortLine
    technician: ShortLine
    approver: Line
    method: ConsentMethod
    scopes: Annotated[tuple[ScopeText, ...], Items(32)]
    user: UserName
    recording: Recording
    max_seconds: Annotated[int, Whole(1, limits.LONGEST_GRANT_SECONDS)]
    grace_seconds: Annotated[int, Whole(0, limits.LONGEST_GRACE_SECONDS)]
    not_before_at: datetime
    expires_at: datetime
    clock_is_wrong: bool = False
    approvals: Annotated[tuple[Document, ...], Items(8)] = ()


@dataclass(frozen=True, slots=True)
class AgentView:
    """What the agent knows by itself when it checks a grant."""

    server_instance: str
    epoch: int
    fingerprint: str
    endpoint_id: str
    session_id: str
    issued_nonces: frozenset[str]
    request: Request
    request_sha256: str
    now: datetime


def sign_request(key: SigningKey, request: Request) -> str:
    """Return the request as JWS; its hash (hash_document) is what consent and grant refer to."""
    return make_jws(key, DocumentType.REQUEST, encode_record(request))


def read_request(token: str, key: PublicKey) -> Request:
    """Verify and read a request. Raises SignatureRefused or MalformedMessage."""
    return decode_record(Request, _refuse_strangers(Request, read_jws(token, key, DocumentType.REQUEST)))


def sign_grant(key: SigningKey, grant: Grant) -> str:
    """Return the grant as JWS."""
    return make_jws(key, DocumentType.GRANT, encode_record(grant))


def read_grant(token: str, key: PublicKey) -> Grant:
    """Verify and read a grant. Raises GrantRefused(UNREADABLE): bad signature, type, field or unknown critical
    field."""
    try:
        return decode_record(Grant, _refuse_strangers(Grant, read_jws(token, key, DocumentType.GRANT)))
    except (SignatureRefused, MalformedMessage) as exc:
        raise GrantRefused(GrantRefusal.UNREADABLE, f"grant is unreadable: {exc}") from exc


def hash_grant(token: str) -> str:
    """Return the grant's hash as ledger and words name it."""
    return hash_document(token)


def check_grant(grant: Grant, view: AgentView) -> None:
    """Raise GrantRefused with the first reason why this grant does not hold here and now; otherwise do nothing.

    Durable facts (used, revoked) and the machine's policy are checked by the agent's ledger and policy, after this.
    """
    request = view.request
    _require(grant.version == DOCUMENT_VERSION, GrantRefusal.OTHER_VERSION, "grant has a version that is not known")
    _require(grant.server_instance == view.server_instance, GrantRefusal.OTHER_SERVER, "grant is of another server")
    _require(grant.epoch == view.epoch, GrantRefusal.OTHER_EPOCH, "grant is of another epoch of the server")
    _require(
        grant.audience == view.fingerprint and grant.endpoint_id == view.endpoint_id,
        GrantRefusal.OTHER_ENDPOINT,
        "grant is for another endpoint",
    )
    _require(grant.session_id == view.session_id, GrantRefusal.OTHER_SESSION, "grant is for another session")
    _require(grant.nonce in view.issued_nonces, GrantRefusal.UNKNOWN_NONCE, "grant answers no nonce of this agent")
    _require(
        grant.request_sha256 == view.request_sha256 and grant.ticket == request.ticket and grant.technician == request.technician,
        GrantRefusal.OTHER_REQUEST,
        "grant is for another request",
    )
    _check_extent(grant, request)
    _check_times(grant, view.now)


def _check_extent(grant: Grant, request: Request) -> None:
    _require(
        grant.recording is Recording.FULL and request.recording is Recording.FULL,
        GrantRefusal.RECORDING,
        "grant does not ask for full recording",
    )
    try:
        for scope in grant.scopes:
            parse_scope(scope)
    except InvalidScope as exc:
        raise GrantRefused(GrantRefusal.SCOPE, "grant has a scope that is not known") from exc
    _require(bool(grant.scopes), GrantRefusal.SCOPE, "grant has no scope")
    _require(
        is_narrowing(request.scopes, grant.scopes) and grant.user == request.user and grant.max_seconds <= request.minutes * 60,
        GrantRefusal.WIDENED,
        "grant is wider than what was asked",
    )


def _check_times(grant: Grant, now: datetime) -> None:
    _require(grant.not_before_at < grant.expires_at, GrantRefusal.TIMES, "grant ends before it begins")
    if grant.clock_is_wrong:
        return
    skew = timedelta(seconds=limits.CLOCK_SKEW_SECONDS)
    _require(now >= grant.not_before_at - skew, GrantRefusal.NOT_YET_VALID, "grant is not valid yet")
    _require(now <= grant.expires_at + skew, GrantRefusal.EXPIRED, "grant has expired")


def _require(holds: bool, refusal: GrantRefusal, sentence: str) -> None:
    if not holds:
        raise GrantRefused(refusal, sentence)


def _refuse_strangers(cls: type[Any], payload: dict[str, Any]) -> dict[str, Any]:
    """Signed documents have no `type`; a document that has one was made for something else."""
    if "type" in payload:
        raise MalformedMessage(f"{cls.__name__.lower()} has a field that does not belong there")
    return payload
