"""What the live side needs of a WebSocket, whoever accepted it. ``web/sockets`` has the real one."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol


class CloseCode(IntEnum):
    """How we close sockets. Below 4000: RFC 6455; from there on 4000 plus the HTTP status of the same meaning."""

    DONE = 1000
    GOING_AWAY = 1001
    PROTOCOL = 1002
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    RESTART = 1012
    TRY_LATER = 1013
    LOGIN_OVER = 4401
    FORBIDDEN = 4403
    NOT_FOUND = 4404
    SUPERSEDED = 4409
    OVER = 4410


class SocketClosed(Exception):
    """The socket is closed, by whichever side."""

    def __init__(self, code: int = 1006) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Socket(Protocol):
    """An accepted WebSocket. ``send`` waits while the peer does not read; it may be called by several tasks."""

    async def receive(self) -> bytes | str:
        """Return the next message. Raises SocketClosed."""
        ...

    async def send(self, message: bytes | str) -> None:
        """Hand a message to the transport. Raises SocketClosed."""
        ...

    def send_now(self, message: bytes | str) -> bool:
        """Hand a message to the transport if it takes one without waiting; False when nothing was sent. Raises SocketClosed.

        For who knows that no ``send`` of its own waits at the moment: it would be overtaken.
        """
        ...

    async def close(self, code: int, reason: str = "") -> None:
        """Close with a code; never raises, waits for a second at most."""
        ...
