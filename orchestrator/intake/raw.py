"""Raw inputs: stored durably as they came, before anybody tries to understand them.

The key is the SHA-256 of the bytes as they came, so the same input twice is one row. Our own secret links are masked
before anything is stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import zstandard
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import defer

from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import Unavailable
from orchestrator.core.ids import new_id
from orchestrator.intake.events import OwnLinksSeen
from orchestrator.intake.mail.masking import MaskedMail
from orchestrator.intake.models import RawInput

_ENVELOPE_LENGTH = 254
_RECIPIENTS_LENGTH = 2000


class RawState(StrEnum):
    """How far an input has come."""

    STORED = "stored"
    UNDERSTOOD = "understood"
    FAILED = "failed"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Hold one input as a door hands it over. ``key`` is the SHA-256 of the bytes before masking. ``envelope_from`` is empty
    for the null return path and None where the door does not know it."""

    key: str
    masked: MaskedMail
    door: str
    envelope_from: str | None
    envelope_to: tuple[str, ...]
    sender_verified: str = "none"


def hash_raw(raw: bytes) -> str:
    """Give the intake key of raw bytes."""
    return hashlib.sha256(raw).hexdigest()


def store_raw(unit: WriteUnit, arrival: Arrival) -> str:
    """Store an input unless it is there already; return the id of its row."""
    make: Any = postgresql.insert if unit.db.get_bind().dialect.name == "postgresql" else sqlite.insert
    row_id = new_id()
    raw = arrival.masked.raw
    values = {
        "id": row_id, "door": arrival.door[:20], "key": arrival.key, "raw": zstandard.compress(raw, 3), "size": len(raw),
        "envelope_from": None if arrival.envelope_from is None else _storable(arrival.envelope_from, _ENVELOPE_LENGTH),
        "envelope_to": _storable(", ".join(arrival.envelope_to), _RECIPIENTS_LENGTH), "sender_verified": arrival.sender_verified,
        "state": str(RawState.STORED), "outcome": "", "reason": "", "decision": {}, "received_at": unit.now,
    }  # fmt: skip
    found = unit.db.scalar(make(RawInput).values(**values).on_conflict_do_nothing().returning(RawInput.id))
    found = found or unit.db.scalar(select(RawInput.id).where(RawInput.key == arrival.key))
    if found is None:
        raise Unavailable("The input could not be stored.")
    if found == row_id and arrival.masked.token_hashes:
        unit.emit(OwnLinksSeen(arrival.masked.token_hashes, row_id))
    return found


def lock_raw(unit: WriteUnit, row_id: str) -> RawInput:
    """Hold the row of an input until the unit ends. Raises ``Unavailable`` when it is gone."""
    statement = select(RawInput).where(RawInput.id == row_id).options(defer(RawInput.raw))
    row = unit.db.scalar(statement.with_for_update().execution_options(populate_existing=True))
    if row is None:
        raise Unavailable("The stored input has disappeared.")
    return row


def read_raw(row: RawInput) -> bytes:
    """Give the stored bytes (our own links masked)."""
    try:
        return zstandard.decompress(row.raw, max_output_size=row.size)
    except zstandard.ZstdError as exc:
        raise Unavailable("The stored input {key} is damaged in the database.", key=row.key) from exc


def list_waiting(unit: ReadUnit, *, limit: int) -> Sequence[str]:
    """Give the ids of inputs that were stored and then not understood, the oldest first: the program was stopped between."""
    return unit.db.scalars(
        select(RawInput.id).where(RawInput.state == str(RawState.STORED)).order_by(RawInput.received_at).limit(limit)
    ).all()


def split_recipients(text: str | None) -> tuple[str, ...]:
    """Give the envelope recipients as they were stored."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _storable(text: str, length: int) -> str:
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")[:length]
