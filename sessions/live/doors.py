"""Every open socket of people, by the login or token it came in with, so that it dies with that. Belongs to the event loop."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Door:
    """How somebody came in."""

    user_id: str | None
    login_id: str | None = None
    token_id: str | None = None


class OpenDoors:
    """A registry of what to call when a login, token or user is no longer good."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[Door, Callable[[], None]]] = {}
        self._next = 0

    @contextmanager
    def hold(self, door: Door, on_shut: Callable[[], None]) -> Generator[None, None, None]:
        """Have ``on_shut`` called when the door is shut while the block runs."""
        self._next += 1
        key = self._next
        self._open[key] = (door, on_shut)
        try:
            yield
        finally:
            del self._open[key]

    def list_open(self) -> set[Door]:
        """By which logins, tokens and users somebody is here."""
        return {door for door, _on_shut in self._open.values()}

    def shut(self, *, user_id: str | None = None, login_id: str | None = None, token_id: str | None = None) -> int:
        """Call everybody who came in by this; returns how many that were."""
        count = 0
        for door, on_shut in list(self._open.values()):
            pairs = ((user_id, door.user_id), (login_id, door.login_id), (token_id, door.token_id))
            if any(wanted is not None and wanted == known for wanted, known in pairs):
                on_shut()
                count += 1
        return count
