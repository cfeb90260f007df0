"""The life of a remote session as one table: state × trigger → state and effects. Pure: no clock, no database, no texts.

    requested → approved → live ⇄ suspended (agent or server away) ⇄ paused (by a person) → ended
    requested → denied | expired | cancelled        approved → expired | cancelled

``paused`` has its ways out from the start; no trigger leads into it in this release. What the effects mean in rows,
chains and mails is in ``service.py``; who may pull which trigger is in ``policy.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from orchestrator.core.errors import Conflict
from sessions.lifecycle.models import FINAL_STATES, SessionState


class Trigger(StrEnum):
    """What happens to a session. Each becomes one entry of its event chain and one line of the ticket's timeline."""

    APPROVED = "approved"
    DENIED = "denied"
    DECISION_EXPIRED = "decision_expired"
    START_EXPIRED = "start_expired"
    BEGAN = "began"
    AGENT_LOST = "agent_lost"
    AGENT_BACK = "agent_back"
    CONTINUED = "continued"
    MORE_ASKED = "more_asked"
    MORE_APPROVED = "more_approved"
    MORE_DENIED = "more_denied"
    MORE_EXPIRED = "more_expired"
    GRANT_RENEWED = "grant_renewed"
    ENDED = "ended"


class Effect(StrEnum):
    """What else must happen in the transaction of a transition."""

    OPEN_START_WINDOW = "open_start_window"
    START_TIME_LIMIT = "start_time_limit"
    START_GRACE = "start_grace"
    STOP_GRACE = "stop_grace"
    WITHDRAW_OPEN_REQUESTS = "withdraw_open_requests"
    REVOKE_GRANT = "revoke_grant"
    LET_LINKS_DIE = "let_links_die"
    WRITE_SUMMARY = "write_summary"


@dataclass(frozen=True, slots=True)
class Transition:
    state: SessionState
    effects: tuple[Effect, ...] = ()


class NotInThisState(Conflict):
    """The session's state does not allow the step."""

    code = "session_state"

    def __init__(self, state: SessionState, trigger: Trigger) -> None:
        super().__init__("The session is {state}; this step is not possible now.", state=state.value)
        self.state = state
        self.trigger = trigger


_CLOSE = (Effect.WITHDRAW_OPEN_REQUESTS, Effect.LET_LINKS_DIE)
_CLOSE_WITH_GRANT = (Effect.REVOKE_GRANT, *_CLOSE)
_END = Transition(SessionState.ENDED, (*_CLOSE_WITH_GRANT, Effect.WRITE_SUMMARY))


def _stay(state: SessionState) -> Mapping[Trigger, Transition]:
    """The steps of a follow-up request, which leave the state as it is."""
    return {trigger: Transition(state) for trigger in (
        Trigger.MORE_ASKED, Trigger.MORE_APPROVED, Trigger.MORE_DENIED, Trigger.MORE_EXPIRED)}


TABLE: Mapping[SessionState, Mapping[Trigger, Transition]] = MappingProxyType({
    SessionState.REQUESTED: {
        Trigger.APPROVED: Transition(SessionState.APPROVED, (Effect.OPEN_START_WINDOW,)),
        Trigger.DENIED: Transition(SessionState.DENIED, _CLOSE),
        Trigger.DECISION_EXPIRED: Transition(SessionState.EXPIRED, _CLOSE),
        Trigger.ENDED: Transition(SessionState.CANCELLED, _CLOSE),
    },
    SessionState.APPROVED: {
        Trigger.BEGAN: Transition(SessionState.LIVE, (Effect.START_TIME_LIMIT,)),
        Trigger.START_EXPIRED: Transition(SessionState.EXPIRED, _CLOSE_WITH_GRANT),
        Trigger.ENDED: Transition(SessionState.CANCELLED, _CLOSE_WITH_GRANT),
    },
    SessionState.LIVE: {
        Trigger.AGENT_LOST: Transition(SessionState.SUSPENDED, (Effect.START_GRACE,)),
        Trigger.GRANT_RENEWED: Transition(SessionState.LIVE, (Effect.START_TIME_LIMIT,)),
        Trigger.ENDED: _END,
        **_stay(SessionState.LIVE),
    },
    SessionState.SUSPENDED: {
        Trigger.AGENT_BACK: Transition(SessionState.LIVE, (Effect.STOP_GRACE,)),
        Trigger.ENDED: _END,
        **_stay(SessionState.SUSPENDED),
    },
    SessionState.PAUSED: {
        Trigger.CONTINUED: Transition(SessionState.LIVE),
        Trigger.AGENT_LOST: Transition(SessionState.SUSPENDED, (Effect.START_GRACE,)),
        Trigger.ENDED: _END,
    },
    **{state: {} for state in FINAL_STATES},
})


def advance(state: SessionState, trigger: Trigger) -> Transition:
    """Look up the step. Raises NotInThisState."""
    transition = TABLE[state].get(trigger)
    if transition is None:
        raise NotInThisState(state, trigger)
    return transition


def allows(state: SessionState, trigger: Trigger) -> bool:
    """Tell whether the table has the step."""
    return trigger in TABLE[state]
