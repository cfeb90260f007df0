"""Cursors of lists: where the next page starts, as one opaque word for addresses and the API."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any

from orchestrator.core.errors import InvalidInput


def encode_cursor(*values: str | int | datetime) -> str:
    """Pack the sort values of the last row that was shown."""
    plain = [value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value for value in values]
    packed = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode_cursor(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """Unpack a cursor into values of ``kinds`` (str, int, datetime). Raises ``InvalidInput`` for anything else."""
    try:
        packed = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        plain = json.loads(packed)
        if not isinstance(plain, list) or len(plain) != len(kinds) or len(cursor) > 2000:
            raise ValueError("wrong shape")
        return tuple(_read(value, kind) for value, kind in zip(plain, kinds, strict=True))
    except (ValueError, TypeError, binascii.Error, RecursionError) as exc:
        raise InvalidInput("This is not a place in the list. Start again at its top.", field="cursor") from exc


def _read(value: object, kind: type) -> object:
    if kind is datetime:
        if not isinstance(value, str):
            raise ValueError("not a moment")
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("a moment without a zone")
        return moment
    if type(value) is not kind:
        raise ValueError("wrong kind")
    if isinstance(value, str) and ("\x00" in value or any(0xD800 <= ord(character) < 0xE000 for character in value)):
        raise ValueError("not storable")
    if isinstance(value, int) and abs(value) > 2**62:
        raise ValueError("too large")
    return value
