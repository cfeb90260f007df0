"""Identifiers: UUIDs of version 7 (RFC 9562), as text, so that rows sort by when they were made; and random secrets."""

from __future__ import annotations

import os
import secrets
import time
import uuid

from orchestrator.core.errors import NotFound


def new_id() -> str:
    """Make a UUIDv7: 48 bits of Unix milliseconds, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76 | (random >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | random & 0x3FFF_FFFF_FFFF_FFFF
    return str(uuid.UUID(int=value))


def parse_id(text: str) -> str:
    """Return the canonical form of an id from outside; a malformed one is simply not found."""
    try:
        return str(uuid.UUID(text))
    except (ValueError, AttributeError, TypeError) as exc:
        raise NotFound() from exc


def new_secret(byte_count: int = 32) -> str:
    """Make a random URL-safe token of ``byte_count`` bytes of entropy."""
    return secrets.token_urlsafe(byte_count)
