"""The agent's own signed account: its word at the close of a channel. The server's documents are in grants.py."""

from dataclasses import dataclass
from datetime import datetime

from agents.protocol.codec import decode_record, encode_record
from agents.protocol.fields import Counter, Digest, ExitStatus, Identifier, Offset, ShortLine
from agents.protocol.signatures import DocumentType, PublicKey, SigningKey, make_jws, read_jws

WORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class Word:
    """What the agent saw of a channel: bytes and SHA-256 of all raw output, how the process ended (None = unknown),
    and why the channel closed (`exit`, `revoked`, `stopped`, `time`, `grace`, `unwanted`, `refused`, `shutdown`).
    """

    version: Counter
    endpoint_id: Identifier
    session_id: Identifier
    channel_id: Identifier
    grant_id: Identifier
    grant_sha256: Digest
    output_bytes: Offset
    output_sha256: Digest
    exit_status: ExitStatus | None
    cause: ShortLine
    closed_at: datetime


def sign_word(key: SigningKey, word: Word) -> str:
    """Return the word as JWS of the agent."""
    return make_jws(key, DocumentType.WORD, encode_record(word))


def read_word(token: str, key: PublicKey) -> Word:
    """Verify and read a word. Raises SignatureRefused or MalformedMessage."""
    return decode_record(Word, read_jws(token, key, DocumentType.WORD))
