"""The table of the session's life, over all pairs of state and trigger, and by random walks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.lifecycle.machine import TABLE, Effect, NotInThisState, Trigger, advance, allows
from sessions.lifecycle.models import FINAL_STATES, SessionState

S, T = SessionState, Trigger
MORE = (T.MORE_ASKED, T.MORE_APPROVED, T.MORE_DENIED, T.MORE_EXPIRED)
# Written by hand from the design, not from the code: every pair that is not named here must be refused.
EXPECTED = {
    (S.REQUESTED, T.APPROVED): S.APPROVED, (S.REQUESTED, T.DENIED): S.DENIED,
    (S.REQUESTED, T.DECISION_EXPIRED): S.EXPIRED, (S.REQUESTED, T.ENDED): S.CANCELLED,
    (S.APPROVED, T.BEGAN): S.LIVE, (S.APPROVED, T.START_EXPIRED): S.EXPIRED, (S.APPROVED, T.ENDED): S.CANCELLED,
    (S.LIVE, T.AGENT_LOST): S.SUSPENDED, (S.LIVE, T.GRANT_RENEWED): S.LIVE, (S.LIVE, T.ENDED): S.ENDED,
    (S.SUSPENDED, T.AGENT_BACK): S.LIVE, (S.SUSPENDED, T.ENDED): S.ENDED,
    (S.PAUSED, T.CONTINUED): S.LIVE, (S.PAUSED, T.AGENT_LOST): S.SUSPENDED, (S.PAUSED, T.ENDED): S.ENDED,
    **{(state, trigger): state for state in (S.LIVE, S.SUSPENDED) for trigger in MORE},
}


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("trigger", list(T))
def test_every_pair_is_as_the_design_says(state: S, trigger: T) -> None:
    if (state, trigger) in EXPECTED:
        assert advance(state, trigger).state is EXPECTED[state, trigger]
        assert allows(state, trigger)
    else:
        assert not allows(state, trigger)
        with pytest.raises(NotInThisState) as caught:
            advance(state, trigger)
        assert (caught.value.state, caught.value.trigger) == (state, trigger)


def test_no_trigger_leads_into_paused_in_this_release() -> None:
    assert not [1 for row in TABLE.values() for transition in row.values() if transition.state is S.PAUSED]


def test_every_state_that_is_not_final_can_be_ended() -> None:
    assert {state for state in S if allows(state, T.ENDED)} == set(S) - FINAL_STATES


@given(st.lists(st.sampled_from(list(T)), max_size=40))
def test_a_walk_never_leaves_a_final_state_and_never_lives_without_a_yes(triggers: list[T]) -> None:
    state, approved, finals = S.REQUESTED, False, 0
    effects: list[Effect] = []
    for trigger in triggers:
        if not allows(state, trigger):
            continue
        assert state not in FINAL_STATES
        transition = advance(state, trigger)
        approved = approved or trigger is T.APPROVED
        state, effects = transition.state, [*effects, *transition.effects]
        finals += state in FINAL_STATES
        if state in (S.LIVE, S.SUSPENDED, S.PAUSED, S.ENDED):
            assert approved
    assert finals <= 1
    if state is S.ENDED:
        assert effects.count(Effect.REVOKE_GRANT) == effects.count(Effect.WRITE_SUMMARY) == 1
    if state in FINAL_STATES:
        assert effects[-1] in (Effect.LET_LINKS_DIE, Effect.WRITE_SUMMARY)
