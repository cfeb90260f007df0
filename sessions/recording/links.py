"""The links of a recording's hash chain, pure. Label, salt and link format are those of ``orchestrator/audit/hashes.py``.

The chain of a channel is called ``recording:<channel id>``; its first link has seq 1. A link's content hash covers the
stored payload; its **metadata hash** = H("fernwart record metadata v1\\0" || canonical JSON of ``{"encoding", "events",
"offset_end", "offset_start", "recorded_at", "time_end", "time_start"}``), times of events in whole microseconds since the
channel's start, ``recorded_at`` in UTC with six decimals. So nothing that a link says can be changed without a trace, and
what it says can be checked after its content was erased.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.audit.hashes import canonical_json, content_hash, link_hash, start_hash

_METADATA = b"fernwart record metadata v1\0"


def recording_chain_id(channel_id: str) -> str:
    """Name the chain of a channel's recording."""
    return f"recording:{channel_id}"


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What a link says beside its content; times in microseconds since the channel's start."""

    encoding: str
    events: int
    offset_start: int
    offset_end: int
    time_start: int
    time_end: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class ChainPosition:
    """The end of a chain so far: seq and hash of its last link (0 and the start hash if it has none yet)."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A new link with its hashes."""

    seq: int
    previous: bytes
    content_hash: bytes
    metadata_hash: bytes
    hash: bytes


def begin_chain(channel_id: str) -> ChainPosition:
    """Return where the chain of a channel begins."""
    return ChainPosition(0, start_hash(recording_chain_id(channel_id)))


def make_link(channel_id: str, position: ChainPosition, *, salt: bytes, payload: bytes, facts: LinkFacts) -> MadeLink:
    """Make the link that follows ``position``."""
    content, metadata = content_hash(salt, payload), hash_facts(facts)
    return MadeLink(
        seq=position.seq + 1,
        previous=position.hash,
        content_hash=content,
        metadata_hash=metadata,
        hash=hash_link(channel_id, seq=position.seq + 1, previous=position.hash, content=content, metadata=metadata),
    )


def hash_link(channel_id: str, *, seq: int, previous: bytes, content: bytes, metadata: bytes) -> bytes:
    """Hash a link of a recording; ``content`` and ``metadata`` are hashes."""
    return link_hash(chain_id=recording_chain_id(channel_id), seq=seq, previous=previous, content=content, metadata=metadata)


def hash_facts(facts: LinkFacts) -> bytes:
    """Hash what a link says beside its content."""
    document = {
        "encoding": facts.encoding,
        "events": facts.events,
        "offset_end": facts.offset_end,
        "offset_start": facts.offset_start,
        "recorded_at": facts.recorded_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "time_end": facts.time_end,
        "time_start": facts.time_start,
    }
    return hashlib.sha256(_METADATA + canonical_json(document)).digest()
