"""The hash format of the chains, pure: bytes in, bytes out. The format is documented here and nowhere else.

Every hash is SHA-256 and starts with a label of its own that ends in a zero byte, so that no hash of one thing can pass
for a hash of another. ``||`` joins bytes, ``u32`` and ``u64`` are big-endian unsigned integers.

- **payload**: canonical JSON: keys sorted, no spaces, UTF-8 without escaping of letters, no NaN or infinity. A lone
  surrogate, which UTF-8 cannot carry, becomes ``?``.
- **content hash** = H("fernwart chain content v1\\0" || salt (16 random bytes) || payload). The salt keeps an erased
  payload from being guessed from its hash.
- **metadata hash** = H("fernwart chain metadata v1\\0" || canonical JSON of
  ``{"at": "2026-11-23T12:00:00.000000Z", "content": content id, "kind": kind}``), time in UTC with six decimals.
- **link hash** = H("fernwart chain link v1\\0" || u32 length of chain id || chain id in UTF-8 || u64 seq || previous (32)
  || content hash (32) || metadata hash (32)).
- **previous** of the first link (seq 1) = H("fernwart chain start v1\\0" || chain id in UTF-8).
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime

SALT_BYTES = 16

_CONTENT = b"fernwart chain content v1\0"
_METADATA = b"fernwart chain metadata v1\0"
_LINK = b"fernwart chain link v1\0"
_START = b"fernwart chain start v1\0"


def canonical_json(payload: Mapping[str, object]) -> bytes:
    """Write JSON in its one canonical form. Raises ``ValueError`` or ``TypeError`` for what JSON cannot carry."""
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def start_hash(chain_id: str) -> bytes:
    """Return what the first link of a chain names as its previous."""
    return hashlib.sha256(_START + chain_id.encode()).digest()


def content_hash(salt: bytes, payload: bytes) -> bytes:
    """Hash a payload together with its salt."""
    return hashlib.sha256(_CONTENT + salt + payload).digest()


def metadata_hash(*, kind: str, content_id: str, happened_at: datetime) -> bytes:
    """Hash what a link says beside its content; ``happened_at`` counts to the microsecond."""
    at = happened_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return hashlib.sha256(_METADATA + canonical_json({"at": at, "content": content_id, "kind": kind})).digest()


def link_hash(*, chain_id: str, seq: int, previous: bytes, content: bytes, metadata: bytes) -> bytes:
    """Hash a link; ``content`` and ``metadata`` are hashes."""
    name = chain_id.encode()
    head = struct.pack(">I", len(name)) + name + struct.pack(">Q", seq)
    return hashlib.sha256(_LINK + head + previous + content + metadata).digest()
