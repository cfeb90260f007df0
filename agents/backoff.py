"""Waiting times between dials: full jitter, doubling to a cap (faults.md, rules)."""

import random


class Backoff:
    """Successive waiting times in seconds; `reset` after success."""

    def __init__(self, *, first_seconds: float, cap_seconds: float) -> None:
        self._first = first_seconds
        self._tries = 0
        self.cap_seconds = cap_seconds

    def next_seconds(self) -> float:
        """Return a uniform random time below the current bound, and double the bound."""
        bound = min(self.cap_seconds, self._first * 2 ** min(self._tries, 30))
        self._tries += 1
        return random.uniform(0, bound)  # noqa: S311 (jitter is no secret)

    def reset(self) -> None:
        """Begin again at the first bound."""
        self._tries = 0
