"""Where a mail goes: every rule of the follow-up decision, with its explanation."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.intake.mail.follow_up import (
    Action,
    CandidateTicket,
    FollowUpDecision,
    Reason,
    SenderFacts,
    Via,
    decide_follow_up,
    is_thank_you,
)
from orchestrator.intake.mail.parse import parse_message
from tests.intake.mail import samples

NOW = datetime(2026, 2, 2, 12, 0, tzinfo=UTC)
TICKET = CandidateTicket(
    ticket_id="1", number="2026-000123-4", via=Via.SUBJECT_NUMBER, is_done=False, closed_at=None, reopen_days=14, require_verified=False,
    organisation_id="org", participants=frozenset({"erika@example.de"}),
)  # fmt: skip
ERIKA = SenderFacts("erika@example.de", "org", is_technician=False, verified="none")
COLLEAGUE = SenderFacts("kollege@example.de", "org", is_technician=False, verified="none")
STRANGER = SenderFacts("fremd@anders.example", "other", is_technician=False, verified="none")
NOBODY = SenderFacts("niemand@gmx.de", None, is_technician=False, verified="none")
TECHNICIAN = SenderFacts("jana@fernwart.example", None, is_technician=True, verified="none")


def decide(sender: SenderFacts, *tickets: CandidateTicket, text: str = "Es geht wieder nicht.", extra: str = "") -> FollowUpDecision:
    return decide_follow_up(parse_message(samples.simple(text, extra=extra)), tickets, sender, now=NOW)


def test_mail_that_names_no_ticket_opens_one() -> None:
    decision = decide(ERIKA)
    assert (decision.action, decision.reason, decision.ticket) == (Action.OPEN, Reason.NO_CANDIDATE, None)
    assert decision.explanation


@pytest.mark.parametrize("sender", [ERIKA, COLLEAGUE, TECHNICIAN], ids=["participant", "same organisation", "technician"])
@pytest.mark.parametrize("via", list(Via))
def test_who_may_write_lands_in_the_ticket_however_it_was_named(sender: SenderFacts, via: Via) -> None:
    decision = decide(sender, replace(TICKET, via=via))
    assert (decision.action, decision.reason) == (Action.APPEND, Reason.MAY_WRITE)
    assert any(sender.address in step for step in decision.explanation)


@pytest.mark.parametrize("sender", [STRANGER, NOBODY])
@pytest.mark.parametrize("via", list(Via))
def test_stranger_with_the_right_number_gets_a_new_linked_ticket(sender: SenderFacts, via: Via) -> None:
    decision = decide(sender, replace(TICKET, via=via))
    assert (decision.action, decision.reason) == (Action.OPEN_LINKED, Reason.STRANGER)
    assert decision.ticket is not None
    assert decision.ticket.number == TICKET.number


def test_two_without_an_organisation_are_not_of_the_same_one() -> None:
    assert decide(NOBODY, replace(TICKET, organisation_id=None)).action is Action.OPEN_LINKED


def test_empty_sender_is_nobody_even_if_an_empty_address_took_part() -> None:
    nobody = SenderFacts("", None, is_technician=False, verified="none")
    assert decide(nobody, replace(TICKET, participants=frozenset({""}))).action is Action.OPEN_LINKED


def test_failed_sender_check_never_enters_a_ticket() -> None:
    decision = decide(replace(ERIKA, verified="fail"), TICKET)
    assert (decision.action, decision.reason) == (Action.OPEN_LINKED, Reason.NOT_VERIFIED)


@pytest.mark.parametrize(("verified", "action"), [("pass", Action.APPEND), ("none", Action.OPEN_LINKED), ("fail", Action.OPEN_LINKED)])
def test_queue_that_demands_verification_takes_verified_senders_only(verified: str, action: Action) -> None:
    assert decide(replace(ERIKA, verified=verified), replace(TICKET, require_verified=True)).action is action


def test_done_ticket_is_reopened_within_its_days_and_linked_after() -> None:
    done = replace(TICKET, is_done=True, closed_at=NOW - timedelta(days=13))
    assert decide(ERIKA, done).action is Action.APPEND_REOPENING
    late = decide(ERIKA, replace(done, closed_at=NOW - timedelta(days=15)))
    assert (late.action, late.reason) == (Action.OPEN_LINKED, Reason.CLOSED_TOO_LONG)
    resolved = decide(ERIKA, replace(done, closed_at=None))
    assert resolved.action is Action.APPEND_REOPENING


def test_thank_you_and_automatic_mail_do_not_reopen() -> None:
    done = replace(TICKET, is_done=True, closed_at=NOW - timedelta(days=1))
    thanks = decide(ERIKA, done, text="Super, vielen Dank!")
    assert (thanks.action, thanks.reason) == (Action.APPEND_QUIETLY, Reason.THANKS)
    automatic = decide(ERIKA, done, extra="Auto-Submitted: auto-replied\n")
    assert (automatic.action, automatic.reason) == (Action.APPEND_QUIETLY, Reason.AUTOMATIC)
    assert decide(ERIKA, TICKET, text="Vielen Dank!").action is Action.APPEND


def test_automatic_answer_to_our_mail_is_attached_whoever_sends_it() -> None:
    ours = replace(TICKET, via=Via.OUR_MESSAGE)
    assert decide(NOBODY, ours, extra="Auto-Submitted: auto-replied\n").action is Action.APPEND_QUIETLY
    assert decide(NOBODY, TICKET, extra="Auto-Submitted: auto-replied\n").action is Action.OPEN_LINKED


def test_number_in_the_subject_counts_before_the_thread() -> None:
    other = replace(TICKET, ticket_id="2", number="2026-000999-1", via=Via.OUR_MESSAGE)
    decision = decide(ERIKA, other, TICKET)
    assert decision.ticket is not None
    assert decision.ticket.ticket_id == "1"
    assert any("disagree" in step for step in decision.explanation)


def test_candidate_into_which_the_sender_may_write_wins_over_one_he_may_not() -> None:
    forbidden = replace(TICKET, ticket_id="2", number="2026-000999-1", organisation_id="x", participants=frozenset())
    decision = decide(ERIKA, forbidden, replace(TICKET, via=Via.ANCESTOR))
    assert (decision.action, decision.ticket.ticket_id if decision.ticket else None) == (Action.APPEND, "1")


def test_decision_is_storable_and_names_its_ticket() -> None:
    data = decide(STRANGER, TICKET).as_data()
    assert data["ticket"] == TICKET.number
    assert data["via"] == "subject_number"
    assert isinstance(data["explanation"], list)
    sentence, values = data["sentence"], data["values"]
    assert isinstance(sentence, str)
    assert isinstance(values, dict)
    assert STRANGER.address in sentence % values


def test_every_decision_about_a_ticket_has_a_sentence() -> None:
    done = replace(TICKET, is_done=True, closed_at=NOW - timedelta(days=60))
    decisions = [
        decide(ERIKA, TICKET), decide(ERIKA, replace(done, closed_at=None)), decide(ERIKA, done), decide(ERIKA, done, text="Danke!"),
        decide(ERIKA, TICKET, extra="Auto-Submitted: auto-replied\n"), decide(STRANGER, TICKET), decide(replace(ERIKA, verified="fail"), TICKET),
    ]  # fmt: skip
    assert len({str(one.as_data()["sentence"]) for one in decisions}) == len(decisions)


@pytest.mark.parametrize("text", ["Danke!", "Vielen Dank, passt.", "Super, läuft wieder. Danke und Gruß", "Thanks a lot", "Perfect, thank you!"])
def test_thank_you_is_recognised(text: str) -> None:
    assert is_thank_you(text)


@pytest.mark.parametrize(
    "text", ["", "Danke, aber es geht nicht.", "Danke. Wann kommen Sie?", "Thanks, but it still fails", "Danke " + "x" * 200, "Es geht."]
)
def test_thank_you_with_a_but_is_none(text: str) -> None:
    assert not is_thank_you(text)
