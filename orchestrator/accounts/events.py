"""What happened to accounts, for the rooms that hold something in their name (live sessions, sockets)."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.events import Event


@dataclass(frozen=True, slots=True)
class UserDisabled(Event):
    """The user may do nothing any more; logins and tokens are already revoked in the same transaction."""

    user_id: str


@dataclass(frozen=True, slots=True)
class RolesChanged(Event):
    """What the user may do has changed; whoever holds an Actor of theirs loads it again."""

    user_id: str


@dataclass(frozen=True, slots=True)
class LoginRevoked(Event):
    """A login ended before its time: logged out, revoked from the list, or by a change of password or second factor."""

    login_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class TokenRevoked(Event):
    token_id: str
    user_id: str
