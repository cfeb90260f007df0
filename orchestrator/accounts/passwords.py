"""Password hashes: argon2id, and a check that takes as long for somebody unknown as for somebody known.

A hash takes some 50 ms and 64 MiB, so callers run it outside of any unit of work and off the event loop, in a small
executor of its own.
"""

from __future__ import annotations

from functools import cache

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError

from orchestrator.core.ids import new_secret

MAX_CHARACTERS = 200


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _nobodys_hash() -> str:
    return _hasher().hash(new_secret())


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password, with a salt of its own."""
    return _hasher().hash(password)


def check_password(password: str, password_hash: str | None) -> bool:
    """Say whether a password belongs to a hash. Without a hash the same work is done and the answer is no."""
    try:
        right = _hasher().verify(password[:MAX_CHARACTERS], password_hash or _nobodys_hash())
    except PwdlibError:
        return False
    return right and password_hash is not None and len(password) <= MAX_CHARACTERS
