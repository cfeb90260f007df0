"""Where one viewer of a channel stands, and what it is sent next. Pure: calls in, steps out, the time is passed.

A viewer that goes on (the same page, reconnecting) gets the missing bytes; a new or late one a text reset and the last
MiB from a line start; one that fell behind skips to such a snapshot. A controller that leaves its whole credit without an
answer for 2 s is *detached*: it paces nothing any more, and gets a snapshot with its next sign of life. remote.md 5.
"""

from __future__ import annotations

from dataclasses import dataclass

from sessions.live.ring import FRAME_BYTES, Frame, OffsetNotHeld, Ring

CREDIT_BYTES = 512 * 1024
SILENT_SECONDS = 2.0
SKIP_BYTES = 128 * 1024
SKIP_SECONDS = 0.3
"""A backlog that was interrupted (Ctrl-C in a flood) passes in this time; the agent's buffer holds 4 MiB."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Clear the screen; what follows begins at raw offset ``raw``."""

    raw: int


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """All of the history was sent; what follows is live."""


Step = Frame | Reset | CaughtUp


class ViewerPosition:
    """Positions count raw bytes. A viewer may stand ahead of the stream after a server's crash: it waits then."""

    def __init__(self, ring: Ring, *, acknowledges: bool, now: float) -> None:
        """``acknowledges``: it says what it has shown; without, what the socket took counts as shown."""
        self._ring = ring
        self.acknowledges = acknowledges
        self._reset_due = False
        self._history_end: int | None = None
        self.sent = 0
        self.shown = 0
        self.detached = False
        self._heard_at = now
        self._detached_at = 0.0
        self._away_until = 0.0

    def begin(self, have: int | None) -> None:
        """Attach: ``have`` is the raw offset up to which the viewer has everything, None for a new one."""
        ring = self._ring
        # Ahead of the stream is fine: the agent repeats what the record of a crashed server lacks.
        if have is not None and (have >= ring.end or ring.holds(have)):
            self.sent = self.shown = have
        else:
            self._snapshot()
        self._history_end = ring.end
        self.detached = False

    def next_step(self) -> Step | None:
        """Return what is to be sent now, None when there is nothing or the credit is used up."""
        if self._reset_due:
            self._reset_due = False
            return Reset(self.sent)
        if self.detached:
            return None
        if self._history_end is not None and self.sent >= self._history_end:
            self._history_end = None
            return CaughtUp()
        room = FRAME_BYTES
        if self.acknowledges:
            room = min(room, self.shown + CREDIT_BYTES - self.sent)
            if room <= 0:
                return None
        if self.sent >= self._ring.end:
            return None
        try:
            frame = self._ring.read(self.sent, room)
        except OffsetNotHeld:
            self._snapshot()
            return self.next_step()
        if frame is None:
            return None
        self.sent = frame.end
        return frame

    def note_sent(self, now: float) -> None:
        """The socket took what the last step said."""
        if self.acknowledges:
            return
        self.shown = self.sent
        self._heard_at = now
        self.return_if_due(now)

    def acknowledge(self, raw: int, now: float) -> None:
        """The viewer has shown everything below ``raw``. More than was sent is nonsense and ignored."""
        self._heard_at = now
        if self.detached:
            self.return_if_due(now)
            return
        if self.shown < raw <= self.sent:
            self.shown = raw

    @property
    def behind(self) -> int:
        """Raw bytes of the stream that the viewer has not shown."""
        return max(0, self._ring.end - self.shown)

    def paces(self) -> bool:
        """Tell whether the agent must wait for this viewer (asked of the controller only)."""
        return not self.detached and self.behind >= CREDIT_BYTES

    def skip_ahead(self, now: float) -> bool:
        """The controller interrupted what it is behind of: let the backlog pass unseen, then show its end. True when it was behind."""
        if self.detached or self.behind < SKIP_BYTES:
            return False
        self._heard_at = now
        self._detach(now, now + SKIP_SECONDS)
        return True

    def return_if_due(self, now: float) -> bool:
        """Bring back a viewer that was detached and has given a sign of life since; True when a snapshot is to be sent."""
        if not self.detached or now < self._away_until or self._heard_at < self._detached_at:
            return False
        self.detached = False
        self._snapshot()
        return True

    def detach_if_silent(self, now: float) -> bool:
        """Detach a viewer that has its credit outstanding and has been silent for too long; True when that happened."""
        if self.behind < CREDIT_BYTES:
            self._heard_at = now
        if self.detached or now - self._heard_at < SILENT_SECONDS:
            return False
        self._detach(now, now)
        return True

    def _detach(self, now: float, until: float) -> None:
        self.detached = True
        self._detached_at = now
        self._away_until = until

    def _snapshot(self) -> None:
        self.sent = self.shown = self._ring.tail_offset()
        self._history_end = self._ring.end
        self._reset_due = True
