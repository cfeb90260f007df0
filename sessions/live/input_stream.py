"""The controller's input on its way to the agent: offsets, credit, resending, dropping. Pure: calls in, orders out.

Offsets count the bytes of input from the channel's start, and the agent says how many its terminal took (*applied*).
Nothing is accepted before the agent has said so once (after a crash of the server nobody else knows). What is not applied
within 5 s is dropped and never sent again: a ``rm`` must not fire minutes later. Dropping starts a new *generation*; input
of an older one is ignored until the controller has answered with the new one, or both sides would count differently.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from agents.protocol.limits import INPUT_CREDIT_BYTES
from sessions.live.errors import PositionRefused

OLDEST_SECONDS = 5.0
_HIGHEST_GENERATION = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SendInput:
    """Bytes for the agent, now."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SendRebase:
    """Ask the agent to forget what it has received and not applied."""

    generation: int


@dataclass(frozen=True, slots=True)
class KeyboardOpen:
    """Input goes on at offset ``at`` under ``generation``; ``dropped`` bytes before it were not sent."""

    at: int
    generation: int
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class KeyboardClosed:
    """Input above ``applied`` was given up without knowing yet whether the machine took it."""

    applied: int


Order = SendInput | SendRebase | KeyboardOpen | KeyboardClosed


@dataclass(slots=True)
class _Chunk:
    start: int
    data: bytes
    accepted_at: float


class InputStream:
    """One channel's input. ``generation`` is what the controller must have answered for its bytes to count."""

    def __init__(self, *, first_generation: int, applied: int | None) -> None:
        """``first_generation`` is random, so that no page takes it for one of its own. ``applied`` is None after a restart:
        then the first controller may go on with the generation it has."""
        self.generation = None if applied is None else first_generation
        self._first_generation = first_generation
        self.applied = applied
        self.end = applied or 0
        self._sent = applied or 0
        self._chunks: deque[_Chunk] = deque()
        self._attached = False
        self._gated = False
        self._dead = False
        self._rebasing = False
        self._gave_up_end: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether input may be accepted now."""
        return not self._dead and self.applied is not None and not self._rebasing and self._gave_up_end is None

    @property
    def credit(self) -> int:
        """Bytes that may be accepted now."""
        return 0 if self.applied is None else INPUT_CREDIT_BYTES - (self.end - self.applied)

    def adopt(self, generation: int, low: int, high: int) -> None:
        """After a restart: go on with a controller's own generation if the agent's count lies in what it holds."""
        if self.generation is None and self.applied is not None and low <= self.applied <= high and 0 < generation < _HIGHEST_GENERATION:
            self.generation = generation

    def open_keyboard(self, *, new_controller: bool) -> KeyboardOpen | None:
        """Say where a controller's input goes on; None while nobody knows."""
        if not self.is_open:
            return None
        if new_controller or self.generation is None:
            self._next_generation()
        assert self.generation is not None
        return KeyboardOpen(self.end, self.generation)

    def accept(self, data: bytes, now: float) -> list[Order]:
        """Take bytes of the controller; raises PositionRefused beyond the credit. Closed or dead: they are ignored."""
        if not self.is_open or not data:
            return []
        if len(data) > self.credit:
            raise PositionRefused("More input was sent than the credit allows.")
        self._chunks.append(_Chunk(self.end, data, now))
        self.end += len(data)
        return self._send_waiting()

    def gate(self, shut: bool) -> list[Order]:
        """Hold everything back while the record is stalled, let it go afterwards."""
        self._gated = shut
        return self._send_waiting()

    def agent_attached(self, applied: int, now: float) -> list[Order]:
        """The agent's socket stands and it has applied so much; it threw away what it had received beyond.

        Raises PositionRefused when the count goes back, or beyond what was ever sent.
        """
        if self.applied is not None and not self.applied <= applied <= max(self.end, self._gave_up_end or 0):
            raise PositionRefused("The machine counts its input differently than we do.")
        self._attached = True
        gave_up, self._gave_up_end = self._gave_up_end, None
        was_rebasing, self._rebasing = self._rebasing, False
        if self.applied is None:
            self.end = applied
        self._take_applied(applied)
        self._sent = applied
        if self._dead:
            return []
        if gave_up is not None or was_rebasing:
            return self._go_on(applied, dropped=max(0, (gave_up or self.end) - applied))
        if self._chunks and now - self._chunks[0].accepted_at >= OLDEST_SECONDS:
            return self._go_on(applied, dropped=self.end - applied)
        return self._send_waiting()

    def agent_detached(self) -> None:
        """The agent's socket is gone."""
        self._attached = False

    def note_applied(self, applied: int) -> None:
        """The agent's terminal took input below ``applied``. Raises PositionRefused for a count that cannot be."""
        if self.applied is None or not self.applied <= applied <= self._sent:
            raise PositionRefused("The machine acknowledges input that it was not sent.")
        self._take_applied(applied)

    def note_rebased(self, generation: int, applied: int) -> list[Order]:
        """The agent has forgotten what it had not applied. An answer to an older question is ignored."""
        if not self._rebasing or generation != self.generation:
            return []
        if self.applied is None or not self.applied <= applied <= self._sent:
            raise PositionRefused("The machine counts its input differently than we do.")
        self._rebasing = False
        self._take_applied(applied)
        return self._go_on(applied, dropped=self.end - applied, same_generation=True)

    def look(self, now: float) -> list[Order]:
        """Look at the clock: is the oldest input too old to be sent (again)?"""
        if not self.is_open or not self._chunks or now - self._chunks[0].accepted_at < OLDEST_SECONDS:
            return []
        assert self.applied is not None
        if not self._attached:
            self._chunks.clear()
            self._gave_up_end = self.end
            return [KeyboardClosed(self.applied)]
        if self._sent == self.applied:
            return self._go_on(self.applied, dropped=self.end - self.applied)
        self._next_generation()
        self._chunks.clear()
        self._rebasing = True
        assert self.generation is not None
        return [SendRebase(self.generation)]

    def kill(self) -> int:
        """The session is over: nothing passes any more. Returns how many bytes are not known to be applied."""
        self._dead = True
        self._chunks.clear()
        return self.end - (self.applied or 0)

    def _go_on(self, at: int, *, dropped: int, same_generation: bool = False) -> list[Order]:
        self._chunks.clear()
        self.end = self._sent = at
        if not same_generation:
            self._next_generation()
        assert self.generation is not None
        return [KeyboardOpen(at, self.generation, dropped)]

    def _next_generation(self) -> None:
        known = self.generation
        self.generation = self._first_generation if known is None else known % _HIGHEST_GENERATION + 1

    def _take_applied(self, applied: int) -> None:
        self.applied = applied
        while self._chunks and self._chunks[0].start + len(self._chunks[0].data) <= applied:
            self._chunks.popleft()

    def _send_waiting(self) -> list[Order]:
        if not self._attached or self._gated or self._dead or self._rebasing or self._sent >= self.end:
            return []
        parts: list[bytes] = []
        # From the newest back: what was sent and waits for its acknowledgement may be many keys.
        for chunk in reversed(self._chunks):
            if chunk.start + len(chunk.data) <= self._sent:
                break
            parts.append(chunk.data[max(0, self._sent - chunk.start) :])
        self._sent = self.end
        return [SendInput(b"".join(reversed(parts)))] if parts else []
