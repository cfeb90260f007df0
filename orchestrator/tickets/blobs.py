"""Bytes of attachments: stored once by their SHA-256, compressed when that pays, checked when read."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import zstandard
from sqlalchemy import Insert
from sqlalchemy.dialects import postgresql, sqlite

from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import InvalidInput, NotFound, Unavailable
from orchestrator.tickets.models import Attachment, Blob, Entry

MAX_ATTACHMENT_BYTES = 50 * 1024 * 1024
_PAYS = 0.9
_UNSAFE_IN_NAME = re.compile(r'[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff/\\:*?"<>|]')


@dataclass(frozen=True, slots=True)
class NewAttachment:
    """A file that comes with an entry. ``content_id`` (without <>) marks a picture shown inside the HTML text."""

    name: str
    media_type: str
    data: bytes
    content_id: str | None = None


def store_blob(unit: WriteUnit, data: bytes) -> str:
    """Store bytes unless they are there already; return their SHA-256 in hex."""
    sha256 = hashlib.sha256(data).hexdigest()
    packed = zstandard.compress(data, 3) if len(data) > 512 else data
    pays = len(packed) < len(data) * _PAYS
    values = {"sha256": sha256, "size": len(data), "encoding": "zstd" if pays else "raw", "data": packed if pays else data}
    unit.db.execute(_insert_unless_there(unit, values))
    return sha256


def read_blob(unit: ReadUnit, sha256: str) -> bytes:
    """Return the bytes. Raises ``NotFound``, or ``Unavailable`` when what is stored is not what was stored."""
    blob = unit.db.get(Blob, sha256)
    if blob is None:
        raise NotFound()
    try:
        data = zstandard.decompress(blob.data, max_output_size=blob.size) if blob.encoding == "zstd" else blob.data
    except zstandard.ZstdError as exc:
        raise Unavailable("The attachment {sha256} is damaged in the database.", sha256=sha256) from exc
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Unavailable("The attachment {sha256} is damaged in the database.", sha256=sha256)
    return data


def add_attachment(unit: WriteUnit, entry: Entry, new: NewAttachment) -> Attachment:
    """Attach a file to an entry. Raises ``InvalidInput`` when it is too large."""
    if len(new.data) > MAX_ATTACHMENT_BYTES:
        raise InvalidInput("The file {name} is larger than {megabytes} MB.", name=new.name, field="attachments",
                           megabytes=MAX_ATTACHMENT_BYTES // 1024 // 1024)
    sha256 = store_blob(unit, new.data)
    attachment = Attachment(
        entry_id=entry.id, name=safe_name(new.name), media_type=_media_type(new.media_type), size=len(new.data), sha256=sha256,
        blob_sha256=sha256, content_id=new.content_id[:255] if new.content_id else None,
    )
    unit.db.add(attachment)
    unit.db.flush()
    return attachment


def safe_name(name: str) -> str:
    """Make a file name that is only a name: no path, no control or direction characters, not empty, at most 255 long."""
    cleaned = _UNSAFE_IN_NAME.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    if len(cleaned) > 200:
        stem, dot, ending = cleaned.rpartition(".")
        cleaned = f"{stem[:180]}{dot}{ending}" if dot and len(ending) < 16 else cleaned[:200]
    return cleaned or "attachment"


def _media_type(value: str) -> str:
    lowered = value.strip().lower()[:120]
    return lowered if re.fullmatch(r"[a-z0-9.+-]+/[a-z0-9.+-]+", lowered) else "application/octet-stream"


def _insert_unless_there(unit: WriteUnit, values: dict[str, object]) -> Insert:
    if unit.db.get_bind().dialect.name == "postgresql":
        return postgresql.insert(Blob).values(**values).on_conflict_do_nothing()
    return sqlite.insert(Blob).values(**values).on_conflict_do_nothing()
