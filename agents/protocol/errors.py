"""The errors of the wire.

ProtocolError
├── MalformedMessage   text that is no message of ours, or a field out of type or range
├── SignatureRefused   a signed document that is not what it claims to be
├── HandshakeRefused   the other side is not who it should be
└── GrantRefused       a genuine grant that does not allow this, with the reason
"""

from enum import StrEnum


class ProtocolError(Exception):
    """Anything the other side said that we do not accept. The text is one sentence fit for a log line."""


class MalformedMessage(ProtocolError):
    """The text is not a well-formed message of the expected set."""


class SignatureRefused(ProtocolError):
    """A signed document is damaged, of another type, of another key or of another algorithm."""


class HandshakeRefused(ProtocolError):
    """Identity, epoch, version or certificate of the other side is not the expected one."""


class GrantRefusal(StrEnum):
    """Why a grant does not hold."""

    OTHER_VERSION = "other_version"
    OTHER_SERVER = "other_server"
    OTHER_EPOCH = "other_epoch"
    OTHER_ENDPOINT = "other_endpoint"
    OTHER_SESSION = "other_session"
    UNKNOWN_NONCE = "unknown_nonce"
    OTHER_REQUEST = "other_request"
    WIDENED = "widened"
    RECORDING = "recording"
    SCOPE = "scope"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    TIMES = "times"
    REVOKED = "revoked"
    USED = "used"
    POLICY = "policy"
    UNREADABLE = "unreadable"


class GrantRefused(ProtocolError):
    """A grant does not allow what is asked.

    Attributes:
        refusal: the reason as one word of a closed set.
    """

    def __init__(self, refusal: GrantRefusal, sentence: str) -> None:
        super().__init__(sentence)
        self.refusal = refusal
