"""Does a mail belong to a ticket that exists, and may its sender write there? A pure decision with its explanation.

Here: weighing the candidates that queries found. Not here: finding them (`intake/candidates.py`), acting on the decision
(`intake/understand.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.core.i18n import _
from orchestrator.intake.mail.parsed import AutomaticKind, ParsedMail

_THANKS = re.compile(
    r"\b(?:danke|dank|dankeschön|merci|thx|thanks|thank you|perfekt|super|klasse|prima|erledigt|alles klar|passt|läuft wieder|"
    r"works|great|perfect|cheers)\b",
    re.IGNORECASE,
)
_BUT = re.compile(
    r"\?|n't\b|\b(?:aber|leider|nicht|noch|wieder nicht|trotzdem|jedoch|allerdings|bitte|kein|keine|"
    r"but|however|still|again|not|please|unfortunately)\b",
    re.IGNORECASE,
)
_MAX_THANKS = 160


class Via(StrEnum):
    """How a ticket was found."""

    SUBJECT_NUMBER = "subject_number"
    OUR_MESSAGE = "our_message"
    ANCESTOR = "ancestor"
    PLUS_ADDRESS = "plus_address"


class Action(StrEnum):
    """What is done with the mail."""

    OPEN = "open"
    APPEND = "append"
    APPEND_REOPENING = "append_reopening"
    APPEND_QUIETLY = "append_quietly"
    OPEN_LINKED = "open_linked"


class Reason(StrEnum):
    """Why; the sentence that a technician reads is made from it."""

    NO_CANDIDATE = "no_candidate"
    MAY_WRITE = "may_write"
    STRANGER = "stranger"
    NOT_VERIFIED = "not_verified"
    CLOSED_TOO_LONG = "closed_too_long"
    AUTOMATIC = "automatic"
    THANKS = "thanks"


@dataclass(frozen=True, slots=True)
class CandidateTicket:
    """Hold one ticket that a mail points to, and what must be known of it. Addresses are lower case."""

    ticket_id: str
    number: str
    via: Via
    is_done: bool
    closed_at: datetime | None
    reopen_days: int
    require_verified: bool
    organisation_id: str | None
    participants: frozenset[str]


@dataclass(frozen=True, slots=True)
class SenderFacts:
    """Hold what is known of the sender. `verified` is pass, fail or none."""

    address: str
    organisation_id: str | None
    is_technician: bool
    verified: str


@dataclass(frozen=True, slots=True)
class FollowUpDecision:
    """Hold the decision. `ticket` is the one appended or linked to; `explanation` holds the steps in plain English."""

    action: Action
    reason: Reason
    ticket: CandidateTicket | None = None
    explanation: tuple[str, ...] = field(default=())
    address: str = ""

    def as_data(self) -> dict[str, object]:
        """Give the decision as it is stored with the entry; pages translate ``sentence`` and fill ``values`` in."""
        data: dict[str, object] = {
            "action": str(self.action),
            "reason": str(self.reason),
            "ticket": self.ticket.number if self.ticket else None,
            "via": str(self.ticket.via) if self.ticket else None,
            "explanation": list(self.explanation),
        }
        sentence = SENTENCES.get((self.action, self.reason))
        if sentence is not None and self.ticket is not None:
            data["sentence"] = sentence
            data["values"] = {
                "number": self.ticket.number,
                "via": VIA_WORDS[self.ticket.via],
                "address": self.address or "–",
                "days": self.ticket.reopen_days,
            }
        return data


VIA_WORDS: Mapping[Via, str] = {
    Via.SUBJECT_NUMBER: _("the number in the subject"),
    Via.OUR_MESSAGE: _("a mail of ours that it answers"),
    Via.ANCESTOR: _("an earlier mail of the thread"),
    Via.PLUS_ADDRESS: _("the address it was sent to"),
}

SENTENCES: Mapping[tuple[Action, Reason], str] = {
    (Action.APPEND, Reason.MAY_WRITE): _("Recognised by %(via)s; %(address)s may write here."),
    (Action.APPEND_REOPENING, Reason.MAY_WRITE): _("Recognised by %(via)s; the ticket was done and is open again."),
    (Action.APPEND_QUIETLY, Reason.AUTOMATIC): _("Recognised by %(via)s; a program wrote it, so nothing was reopened."),
    (Action.APPEND_QUIETLY, Reason.THANKS): _("Recognised by %(via)s; it only says thank you, so nothing was reopened."),
    (Action.OPEN_LINKED, Reason.STRANGER): _(
        "%(number)s was named by %(via)s, but %(address)s neither took part in it nor belongs to its organisation."
    ),
    (Action.OPEN_LINKED, Reason.NOT_VERIFIED): _("%(number)s was named by %(via)s, but the sender could not be verified."),
    (Action.OPEN_LINKED, Reason.CLOSED_TOO_LONG): _("%(number)s was named by %(via)s, but it was closed more than %(days)s days ago."),
}
"""What a technician reads beside the entry, in his language."""


def decide_follow_up(mail: ParsedMail, candidates: Sequence[CandidateTicket], sender: SenderFacts, *, now: datetime) -> FollowUpDecision:
    """Decide where a mail goes. `candidates` may come in any order and point to several tickets.

    The number in the subject counts before the thread: it is what the sender sees and chose. Among equals the first
    candidate into which the sender may write wins.
    """
    return replace(_decide(mail, candidates, sender, now=now), address=sender.address)


def _decide(mail: ParsedMail, candidates: Sequence[CandidateTicket], sender: SenderFacts, *, now: datetime) -> FollowUpDecision:
    steps: list[str] = []
    ordered = sorted(candidates, key=lambda candidate: _ORDER.index(candidate.via))
    if not ordered:
        steps.append("Neither subject, thread nor address names a ticket of ours.")
        return FollowUpDecision(Action.OPEN, Reason.NO_CANDIDATE, None, tuple(steps))
    steps += [f"{candidate.number} is named by {VIA_WORDS[candidate.via]}." for candidate in ordered[:5]]
    numbers = {candidate.number for candidate in ordered}
    if len(numbers) > 1:
        steps.append("They disagree; the number in the subject counts before the thread.")
    refused: tuple[CandidateTicket, Reason] | None = None
    for candidate in ordered:
        refusal = _refuse(candidate, sender, mail, steps)
        if refusal is None:
            return _append(mail, candidate, now=now, steps=steps)
        refused = refused or (candidate, refusal)
    assert refused is not None
    candidate, reason = refused
    steps.append(f"So a new ticket is opened and linked with {candidate.number}.")
    return FollowUpDecision(Action.OPEN_LINKED, reason, candidate, tuple(steps))


_ORDER = (Via.SUBJECT_NUMBER, Via.OUR_MESSAGE, Via.ANCESTOR, Via.PLUS_ADDRESS)


def _refuse(candidate: CandidateTicket, sender: SenderFacts, mail: ParsedMail, steps: list[str]) -> Reason | None:
    """Say why the sender may not write into this ticket, None when he may."""
    if mail.automatic is AutomaticKind.REPLIED and candidate.via is Via.OUR_MESSAGE:
        steps.append("It is the automatic answer to a mail of ours, whoever sends it.")
        return None
    if sender.verified == "fail":
        steps.append("The check of the sender failed; such a mail never enters a ticket that exists.")
        return Reason.NOT_VERIFIED
    if candidate.require_verified and sender.verified != "pass":
        steps.append("The queue takes answers from verified senders only.")
        return Reason.NOT_VERIFIED
    if sender.address and sender.address in candidate.participants:
        steps.append(f"{sender.address} took part in {candidate.number} before.")
        return None
    if sender.organisation_id is not None and sender.organisation_id == candidate.organisation_id:
        steps.append(f"{sender.address} belongs to the organisation of {candidate.number}.")
        return None
    if sender.is_technician:
        steps.append(f"{sender.address} is a technician of this desk.")
        return None
    steps.append(f"{sender.address or 'The sender'} neither took part in {candidate.number} nor belongs to its organisation.")
    return Reason.STRANGER


def _append(mail: ParsedMail, candidate: CandidateTicket, *, now: datetime, steps: list[str]) -> FollowUpDecision:
    if mail.automatic is not AutomaticKind.NONE:
        steps.append("A program wrote it, so it is attached without reopening.")
        return FollowUpDecision(Action.APPEND_QUIETLY, Reason.AUTOMATIC, candidate, tuple(steps))
    if not candidate.is_done:
        return FollowUpDecision(Action.APPEND, Reason.MAY_WRITE, candidate, tuple(steps))
    if is_thank_you(mail.new_text) and not mail.attachments:
        steps.append("It only says thank you, so it is attached without reopening.")
        return FollowUpDecision(Action.APPEND_QUIETLY, Reason.THANKS, candidate, tuple(steps))
    if candidate.closed_at is not None and candidate.closed_at + timedelta(days=candidate.reopen_days) < now:
        steps.append(f"{candidate.number} was closed more than {candidate.reopen_days} days ago; a new ticket is opened and linked.")
        return FollowUpDecision(Action.OPEN_LINKED, Reason.CLOSED_TOO_LONG, candidate, tuple(steps))
    steps.append(f"{candidate.number} was done and is opened again.")
    return FollowUpDecision(Action.APPEND_REOPENING, Reason.MAY_WRITE, candidate, tuple(steps))


def is_thank_you(text: str) -> bool:
    """Tell whether a text says thank you and nothing else: short, no question, no but."""
    text = text.strip()
    return 0 < len(text) <= _MAX_THANKS and _THANKS.search(text) is not None and _BUT.search(text) is None
