"""Hints that something changed: per ticket, session, endpoint, user, and for the workers.

A hint carries no data anybody may trust: whoever receives one reads the rows again. Hints may be lost; the clock is the
fallback everywhere. In one process they stay in memory. Topics: ``ticket:ID``, ``session:ID``, ``endpoint:ID``,
``organisation:ID``, ``user:ID``, ``queue:ID``, ``tickets``, ``sessions``, ``endpoints``, ``jobs``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Protocol


class Signals(Protocol):
    """Publish from any thread; subscribe on the event loop."""

    def publish(self, topic: str) -> None: ...

    def subscribe(self, topics: Iterable[str]) -> Subscription: ...


class Subscription:
    """Topics that were signalled since last asked; a set, so a flood of hints costs one entry each.

    Use: ``with signals.subscribe([...]) as hints: async for topic in hints: ...`` or ``await hints.wait(timeout_seconds)``.
    """

    def __init__(self, owner: MemorySignals, topics: Iterable[str]) -> None:
        self.topics = frozenset(topics)
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._pending: dict[str, None] = {}
        self._woken = asyncio.Event()

    def __enter__(self) -> Subscription:
        self._owner.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._owner.remove(self)

    def notify(self, topic: str) -> None:
        """Note a hint; called from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._note, topic)
        except RuntimeError:  # the loop has closed: nobody is left to tell
            self._owner.remove(self)

    def _note(self, topic: str) -> None:
        self._pending[topic] = None
        self._woken.set()

    async def wait(self, timeout_seconds: float | None = None) -> list[str]:
        """Return the topics signalled, or an empty list when the time is over."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._woken.wait()
        except TimeoutError:
            return []
        self._woken.clear()
        topics = list(self._pending)
        self._pending.clear()
        return topics

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            for topic in await self.wait():
                yield topic


class MemorySignals:
    """Signals within one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_topic: dict[str, set[Subscription]] = {}

    def add(self, subscription: Subscription) -> None:
        with self._lock:
            for topic in subscription.topics:
                self._by_topic.setdefault(topic, set()).add(subscription)

    def remove(self, subscription: Subscription) -> None:
        with self._lock:
            for topic in subscription.topics:
                listeners = self._by_topic.get(topic)
                if listeners is not None:
                    listeners.discard(subscription)
                    if not listeners:
                        del self._by_topic[topic]

    def publish(self, topic: str) -> None:
        with self._lock:
            listeners = list(self._by_topic.get(topic, ()))
        for listener in listeners:
            listener.notify(topic)

    def subscribe(self, topics: Iterable[str]) -> Subscription:
        return Subscription(self, topics)

