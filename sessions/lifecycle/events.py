"""What happened to remote sessions, told to the other rooms and to what runs live."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.events import Event


@dataclass(frozen=True, slots=True)
class SessionChanged(Event):
    """A session was made, or took a step (also one that leaves its state); ``state`` is the one it has now."""

    session_id: str
    ticket_id: str
    endpoint_id: str
    technician_id: str
    state: str
    trigger: str


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """A session reached a final state: ended, denied, expired or cancelled. Its channels must be closed at once."""

    session_id: str
    ticket_id: str
    endpoint_id: str
    technician_id: str
    state: str
    reason: str
    grant_id: str | None


@dataclass(frozen=True, slots=True)
class GrantRevoked(Event):
    """A grant that an agent may hold is void from now on; the agent must be told ``revoke``, now or at its next welcome."""

    session_id: str
    grant_id: str
    endpoint_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class MoreApproved(Event):
    """A follow-up request of a live session was approved: send ``open_session`` with it, sign, ``use_grant``, then ``renew_grant``."""

    session_id: str
    request_id: str
    endpoint_id: str


@dataclass(frozen=True, slots=True)
class SessionWarned(Event):
    """The time limit is ``minutes`` away (10 or 3); nothing else changed."""

    session_id: str
    technician_id: str
    minutes: int
