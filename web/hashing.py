"""Password hashes for pages: in the executor made for them, with a bound on how many may wait."""

from __future__ import annotations

import threading
from concurrent.futures import TimeoutError as FutureTimeout

from orchestrator.accounts.passwords import check_password, hash_password
from orchestrator.core.errors import Unavailable
from orchestrator.core.i18n import _
from web.services import Services

_WAITING_SLOTS = threading.BoundedSemaphore(12)
_WAIT_SECONDS = 10.0


def _busy() -> Unavailable:
    return Unavailable(_("Too many people log in at this moment. Try again in some seconds."), retry_after_seconds=5)


def check_password_in_turn(services: Services, password: str, password_hash: str | None) -> bool:
    """Check a password in the executor for hashes; never call it inside a unit of work. Raises ``Unavailable`` when it is full."""
    if not _WAITING_SLOTS.acquire(blocking=False):
        raise _busy()
    try:
        return services.hashing.submit(check_password, password, password_hash).result(_WAIT_SECONDS)
    except FutureTimeout as exc:
        raise _busy() from exc
    finally:
        _WAITING_SLOTS.release()


def hash_password_in_turn(services: Services, password: str) -> str:
    """Hash a new password in the executor for hashes; never call it inside a unit of work."""
    if not _WAITING_SLOTS.acquire(blocking=False):
        raise _busy()
    try:
        return services.hashing.submit(hash_password, password).result(_WAIT_SECONDS)
    except FutureTimeout as exc:
        raise _busy() from exc
    finally:
        _WAITING_SLOTS.release()
