"""Checking a recording against its hash chain: the first wrong link is named, or the whole is good.

Checked are, for each link in order: that it follows the one before (seq, previous hash), that it says what its hashes
say, that offsets and times go on without a gap, that its content is the one that was hashed and holds as many events and
bytes as the link says. Against what the session's event chain noted at the close: the head and the number of links.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.audit.hashes import content_hash
from orchestrator.core.db import ReadUnit
from sessions.recording.events import DamagedContent, Encoding, EventKind, decode_events, unpack_content
from sessions.recording.links import LinkFacts, begin_chain, hash_facts, hash_link
from sessions.recording.models import RecordLink
from sessions.recording.queries import StoredContent, read_contents


class RecordingProblem(StrEnum):
    """What is wrong with the first bad link, as a sentence for the page and the command."""

    CONTENT_EDITED = "its content was edited"
    CONTENT_DELETED = "its content was deleted without an erasure that names it"
    CONTENT_DIFFERS = "its content does not hold what the link says"
    LINK_EDITED = "its link was edited or moved"
    OFFSETS_DIFFER = "its offsets or times do not go on where the link before ended"
    MISSING = "it is missing"
    CUT = "it and what follows were cut off"
    HEAD_DIFFERS = "it is not the link that the session's record names as the last"


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """The verdict over one recording: ``first_bad_seq`` and ``problem`` are None when it is whole. ``sha256_hex`` is over
    all raw output, empty if a part was erased or the recording is not whole; ``head`` is the hash of the last good link."""

    channel_id: str
    first_bad_seq: int | None
    problem: RecordingProblem | None
    links: int
    total_bytes: int
    sha256_hex: str
    head: bytes
    erased: int
    ended: bool

    @property
    def is_whole(self) -> bool:
        return self.first_bad_seq is None


def verify_recording(
    unit: ReadUnit, channel_id: str, *, expected_head: str | None = None, expected_links: int | None = None
) -> RecordingReport:
    """Check the recording of a channel; ``expected_head`` (hex) and ``expected_links`` are what was noted at its close."""
    position = begin_chain(channel_id)
    previous, count, offset, microseconds, erased, ended = position.hash, 0, 0, 0, 0, False
    digest = hashlib.sha256()

    def report(seq: int | None, problem: RecordingProblem | None) -> RecordingReport:
        whole = problem is None and not erased
        return RecordingReport(
            channel_id, seq, problem, count, offset, digest.hexdigest() if whole else "", previous, erased, ended
        )  # fmt: skip

    for stored in read_contents(unit, channel_id):
        link = stored.link
        if link.seq != count + 1:
            return report(count + 1, RecordingProblem.MISSING)
        if link.previous != previous or not _link_holds(channel_id, stored):
            return report(link.seq, RecordingProblem.LINK_EDITED)
        if link.offset_start != offset or link.offset_end < offset or _microseconds(link.time_start) < microseconds:
            return report(link.seq, RecordingProblem.OFFSETS_DIFFER)
        problem, has_end = _check_content(stored, digest)
        if problem is not None:
            return report(link.seq, problem)
        count, offset, microseconds, previous = link.seq, link.offset_end, _microseconds(link.time_end), link.hash
        erased += stored.payload is None
        ended = has_end
    if expected_links is not None and count < expected_links:
        return report(count + 1, RecordingProblem.CUT)
    if expected_head is not None and previous.hex() != expected_head:
        return report(max(count, 1), RecordingProblem.HEAD_DIFFERS)
    return report(None, None)


def _link_holds(channel_id: str, stored: StoredContent) -> bool:
    link = stored.link
    own = hash_link(
        channel_id, seq=link.seq, previous=link.previous, content=link.content_hash, metadata=link.metadata_hash
    )  # fmt: skip
    if own != link.hash:
        return False
    # The encoding stands with the content; once that is erased, one of the two must fit.
    encodings = (Encoding.RAW, Encoding.ZSTD) if stored.encoding is None else (stored.encoding,)
    return any(hash_facts(_facts(link, encoding)) == link.metadata_hash for encoding in encodings)


def _facts(link: RecordLink, encoding: str) -> LinkFacts:
    return LinkFacts(
        encoding=encoding,
        events=link.event_count,
        offset_start=link.offset_start,
        offset_end=link.offset_end,
        time_start=_microseconds(link.time_start),
        time_end=_microseconds(link.time_end),
        recorded_at=link.recorded_at,
    )


def _check_content(stored: StoredContent, digest: hashlib._Hash) -> tuple[RecordingProblem | None, bool]:
    """Return what is wrong with a content, and whether it holds the end of the channel."""
    link = stored.link
    if stored.payload is None or stored.salt is None or stored.encoding is None:
        return (None, False) if stored.is_erased else (RecordingProblem.CONTENT_DELETED, False)
    if content_hash(stored.salt, stored.payload) != link.content_hash:
        return RecordingProblem.CONTENT_EDITED, False
    events = total = 0
    has_end = False
    try:
        for event in decode_events(unpack_content(stored.payload, stored.encoding)):
            events += 1
            has_end = event.kind is EventKind.END
            if event.kind is EventKind.OUTPUT:
                total += len(event.data)
                digest.update(event.data)
    except DamagedContent:
        return RecordingProblem.CONTENT_DIFFERS, False
    if events != link.event_count or total != link.offset_end - link.offset_start:
        return RecordingProblem.CONTENT_DIFFERS, False
    return None, has_end


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
