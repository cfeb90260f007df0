"""One-time tokens by which an agent attaches a channel's socket. In memory: they live for seconds, in the process they are for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.core.ids import new_secret

LIFE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Issued:
    channel_id: str
    endpoint_id: str
    until: float


class ChannelTokens:
    """Single use, short life, bound to a channel and an endpoint; a new one for a channel voids the one before."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` is monotonic, in seconds."""
        self._clock = clock
        self._by_hash: dict[str, _Issued] = {}
        self._latest: dict[str, str] = {}

    def issue(self, channel_id: str, endpoint_id: str) -> str:
        """Make a token."""
        self.void(channel_id)
        secret = new_secret()
        hashed = _hash(secret)
        self._by_hash[hashed] = _Issued(channel_id, endpoint_id, self._clock() + LIFE_SECONDS)
        self._latest[channel_id] = hashed
        return secret

    def take(self, secret: str, channel_id: str) -> str | None:
        """Use a token up; returns the endpoint it was issued for, None when it is not good for this channel now."""
        issued = self._by_hash.pop(_hash(secret), None)
        if issued is None or issued.until < self._clock() or issued.channel_id != channel_id:
            return None
        self._latest.pop(channel_id, None)
        return issued.endpoint_id

    def void(self, channel_id: str) -> None:
        """Let the channel's token work no more."""
        hashed = self._latest.pop(channel_id, None)
        if hashed is not None:
            self._by_hash.pop(hashed, None)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
