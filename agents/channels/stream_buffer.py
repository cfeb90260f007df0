"""Output of a channel that the server has not acknowledged yet, addressed by absolute offsets.

The producer appends and stops when the buffer is full; the link reads from any offset that is still held and frees bytes
by acknowledging them. Offsets count raw bytes from the start of the stream (wire.md 4). Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

DEFAULT_CAPACITY_BYTES = 4 * 1024 * 1024


class OutputBuffer:
    """Hold the bytes ``[low, high)`` of a stream; ``capacity`` bounds how many that may be."""

    __slots__ = ("_bytes", "_capacity", "_closed", "_low", "_waiters", "on_room")

    def __init__(self, capacity: int = DEFAULT_CAPACITY_BYTES) -> None:
        if capacity < 1:
            raise ValueError("a buffer without capacity never takes anything")
        self._bytes = bytearray()
        self._capacity = capacity
        self._closed = False
        self._low = 0
        self._waiters: list[asyncio.Future[None]] = []
        self.on_room: Callable[[], None] | None = None
        """Called when an acknowledgement frees bytes of a buffer that was full."""

    @property
    def low(self) -> int:
        """First offset still held: everything before it was acknowledged."""
        return self._low

    @property
    def high(self) -> int:
        """Offset after the last byte produced so far."""
        return self._low + len(self._bytes)

    @property
    def room(self) -> int:
        """Bytes that may be appended now."""
        return self._capacity - len(self._bytes)

    @property
    def closed(self) -> bool:
        """No byte will ever be added: ``high`` is the stream's length."""
        return self._closed

    def append(self, data: bytes) -> None:
        """Add bytes at ``high``. Raises ``ValueError`` beyond ``room`` or after the end: the producer must look first."""
        if self._closed:
            raise ValueError("the stream has ended")
        if len(data) > self.room:
            raise ValueError("more bytes than the buffer has room for")
        if data:
            self._bytes += data
            self._wake()

    def close(self) -> None:
        """Say that nothing follows; those who wait are told."""
        self._closed = True
        self._wake()

    def acknowledge(self, offset: int) -> None:
        """Free everything before ``offset``. One below ``low`` is old news and ignored; one above ``high`` is a lie.

        Raises:
            ValueError: the offset was never produced.
        """
        if offset > self.high:
            raise ValueError(f"offset {offset} acknowledged, but only {self.high} bytes were produced")
        if offset <= self._low:
            return
        was_full = self.room == 0
        del self._bytes[: offset - self._low]
        self._low = offset
        if was_full and self.on_room is not None:
            self.on_room()

    def read_from(self, offset: int, limit: int) -> bytes:
        """Return up to ``limit`` bytes from ``offset``; empty at ``high``.

        Raises:
            ValueError: the offset is not held (already freed, or not produced yet): a gap that must never be spliced.
        """
        if not self._low <= offset <= self.high:
            raise ValueError(f"offset {offset} is not held: the buffer has {self._low} to {self.high}")
        start = offset - self._low
        return bytes(self._bytes[start : start + limit])

    async def wait_beyond(self, offset: int) -> None:
        """Return when there is a byte at ``offset`` or the stream is complete. Several tasks may wait."""
        while self.high <= offset and not self._closed:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
