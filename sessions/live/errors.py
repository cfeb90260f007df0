"""Errors of the live side; see ``orchestrator/core/errors.py`` for the tree. Of sockets: ``sockets.py``."""

from __future__ import annotations

from orchestrator.core.errors import AppError, Conflict, Unavailable


class AgentAway(Unavailable):
    """The endpoint holds no link at the moment."""

    code = "agent_away"

    def __init__(self) -> None:
        super().__init__("The machine is not connected at the moment. Try again when it is online.")


class AgentRefused(Conflict):
    """The agent did not do what was asked; ``failure`` is its word for why."""

    code = "agent_refused"

    def __init__(self, reason: str, failure: str) -> None:
        super().__init__("The machine refused: {reason}", reason=reason)
        self.failure = failure


class ChannelOver(Conflict):
    """The channel has ended; its recording is all there is."""

    code = "channel_over"

    def __init__(self) -> None:
        super().__init__("This channel has ended.")


class PositionRefused(AppError):
    """Two sides of a channel disagree about its stream: splicing would lose or double bytes."""

    code = "position_refused"
