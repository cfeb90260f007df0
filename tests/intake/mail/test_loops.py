"""RFC 3834: when no automatic answer may go."""

import pytest

from orchestrator.intake.mail.loops import AnswerDecision, Suppression, decide_answer
from orchestrator.intake.mail.parse import parse_message
from tests.intake.mail import samples

OWN = ("support@fernwart.example",)


def decide(
    raw: bytes, *, recipient: str = "erika@example.de", envelope_from: str | None = "erika@example.de", verified: str = "none"
) -> AnswerDecision:  # fmt: skip
    return decide_answer(
        parse_message(raw), recipient=recipient, envelope_from=envelope_from, own_addresses=OWN, own_domain="fernwart.example",
        sender_verified=verified,
    )  # fmt: skip


def test_plain_mail_may_be_answered() -> None:
    assert decide(samples.simple()) == AnswerDecision(True)
    assert decide(samples.german_outlook()).allowed
    assert decide(samples.gmx_phone(), recipient="max.muster@gmx.de").allowed


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (samples.bounce_report(), Suppression.BOUNCE),
        (samples.german_bounce(), Suppression.BOUNCE),
        (samples.out_of_office(), Suppression.AUTO_SUBMITTED),
        (samples.phone_system(), Suppression.AUTO_SUBMITTED),
        (samples.simple(extra="Auto-Submitted: auto-replied\n"), Suppression.AUTO_SUBMITTED),
        (samples.simple(extra="Precedence: bulk\n"), Suppression.LIST_MAIL),
        (samples.simple(extra="Precedence: junk\n"), Suppression.LIST_MAIL),
        (samples.simple(extra="Precedence: list\n"), Suppression.LIST_MAIL),
        (samples.simple(extra="List-Id: Verteiler <v.example.de>\n"), Suppression.LIST_MAIL),
        (samples.simple(extra="X-Auto-Response-Suppress: DR, OOF, AutoReply\n"), Suppression.RESPONSE_SUPPRESSED),
        (samples.simple(extra="X-Loop: support@other.example\n"), Suppression.LOOP_MARK),
        (samples.simple(sender="MAILER-DAEMON@mx.example.de"), Suppression.DAEMON),
        (samples.simple(sender="no-reply@shop.example"), Suppression.DAEMON),
        (samples.simple(sender="Nicht antworten <nicht-antworten@shop.example>"), Suppression.DAEMON),
        (samples.simple(sender="verteiler-bounces@list.example"), Suppression.DAEMON),
        (samples.simple(sender="Support <support@fernwart.example>"), Suppression.OWN_ADDRESS),
        (samples.simple(sender="Support <support+2026@fernwart.example>"), Suppression.OWN_ADDRESS),
        (samples.simple(message_id="<fw.0190-abc@fernwart.example>"), Suppression.OWN_MESSAGE),
    ],
)
def test_no_answer_to_programs_lists_and_ourselves(raw: bytes, reason: Suppression) -> None:
    decision = decide(raw)
    assert not decision.allowed
    assert decision.reason is reason


@pytest.mark.parametrize("path", ["", "<>", " "])
def test_no_answer_to_the_null_return_path(path: str) -> None:
    assert decide(samples.simple(), envelope_from=path).reason is Suppression.NULL_RETURN_PATH


def test_return_path_counts_where_the_door_knows_no_envelope() -> None:
    raw = samples.simple(extra="Return-Path: <>\n")
    assert decide(raw, envelope_from=None).reason is Suppression.NULL_RETURN_PATH
    assert decide(samples.simple(), envelope_from=None).allowed


def test_an_honest_no_is_no_mark_of_a_program() -> None:
    assert decide(samples.simple(extra="Auto-Submitted: no\nX-Auto-Response-Suppress: None\n")).allowed


def test_no_answer_to_a_failed_sender_or_to_no_address() -> None:
    assert decide(samples.simple(), verified="fail").reason is Suppression.NOT_VERIFIED
    assert decide(samples.simple(), recipient="").reason is Suppression.NO_ADDRESS


def test_people_whose_name_only_begins_like_a_daemon_are_answered() -> None:
    for address in ("owner.mueller@example.de", "bouncer@example.de", "postmasters@example.de"):
        assert decide(samples.simple(sender=address), recipient=address, envelope_from=address).allowed
