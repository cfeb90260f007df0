"""Domain events: what happened, told by the room where it happened to rooms that it may not import.

``inside`` listeners run in the transaction of the change (and may write in it: their failure fails the change);
``after_commit`` listeners run once it is durable, must not raise for expected reasons, and never write in that unit.
Event classes are frozen dataclasses in the past tense, defined in ``events.py`` of their room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

if TYPE_CHECKING:
    from orchestrator.core.db import WriteUnit

log = structlog.get_logger(__name__)


class Event:
    """Base of all domain events."""

    __slots__ = ()


E = TypeVar("E", bound=Event)


class Events:
    """A registry of listeners by event class; one per program, filled in ``web/app.py``."""

    def __init__(self) -> None:
        self._inside: dict[type[Event], list[Callable[[WriteUnit, Any], None]]] = defaultdict(list)
        self._after: dict[type[Event], list[Callable[[Any], None]]] = defaultdict(list)

    def inside(self, kind: type[E], listener: Callable[[WriteUnit, E], None]) -> None:
        self._inside[kind].append(listener)

    def after_commit(self, kind: type[E], listener: Callable[[E], None]) -> None:
        self._after[kind].append(listener)

    def run_inside(self, unit: WriteUnit, happened: Event) -> None:
        for listener in self._inside[type(happened)]:
            listener(unit, happened)

    def run_after_commit(self, happened: Event) -> None:
        for listener in self._after[type(happened)]:
            try:
                listener(happened)
            except Exception:  # the change is durable: a listener's failure must not look like the change failed
                log.exception("listener failed", happened=type(happened).__name__)
