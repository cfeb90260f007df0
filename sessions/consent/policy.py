"""What may be asked of whom, and what an answer may say. Pure rules over plain facts (remote.md 2 and 4).

Who holds the right to approve is decided by the customers' room; the facts are read in ``requests.py`` and ``service.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agents.protocol.scopes import InvalidScope, is_narrowing, parse_scope
from orchestrator.core.errors import Conflict, InvalidInput

MOST_MINUTES = 480
MOST_START_MINUTES = 7 * 24 * 60
MOST_SCOPES = 32
OPEN_MAILS = 3
MAILS_AN_HOUR = 6
DENIALS_IN_A_ROW = 2
PAUSE_AFTER_DENIALS = timedelta(hours=1)
CLOCK_IS_OFF_SECONDS = 600


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """An OS account as the agent reported it."""

    name: str
    login_allowed: bool
    may_become_root: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What decides whether a session may be asked for on a machine."""

    organisation_id: str
    state: str
    endpoint_class: str | None
    has_responsible: bool
    consent_mode: str
    protected: bool
    agent_user: str
    accounts: Mapping[str, AccountFacts]


class EndpointNotReady(Conflict):
    """The machine cannot be asked for: not accepted, of another organisation, without class or responsible person."""

    code = "endpoint_not_ready"


class ConsentHere(Conflict):
    """The machine's own policy wants the person at the machine to approve; this release cannot ask there."""

    code = "consent_here"


class TooManyRequests(Conflict):
    """The approver has enough requests open, or had enough mails within the hour, or denied twice."""

    code = "too_many_requests"


class CallBackNeeded(Conflict):
    """A shared mailbox gives administrator rights only after a lead rang the stored number."""

    code = "call_back_needed"


def read_accounts(stored: Mapping[str, Any]) -> dict[str, AccountFacts]:
    """Read the accounts column of an endpoint; what is not of the known form counts as unknown."""
    found: dict[str, AccountFacts] = {}
    for name, facts in stored.items():
        if isinstance(facts, Mapping) and isinstance(facts.get("may_become_root"), bool):
            found[name] = AccountFacts(name, facts.get("login_allowed") is True, facts["may_become_root"],
                                       str(facts.get("reason", ""))[:200])
    return found


def check_wish(*, purpose: str, scopes: Sequence[str], minutes: int, start_within_minutes: int, recording: str,
               method: str) -> None:
    """Raise InvalidInput when what the technician asks has no sensible form."""
    if not purpose.strip() or len(purpose) > 1000:
        raise InvalidInput("Say in one or two sentences what you want to do (at most 1000 characters).", field="purpose")
    if not scopes or len(scopes) > MOST_SCOPES:
        raise InvalidInput("Ask for at least one scope.", field="scopes")
    for scope in scopes:
        try:
            parse_scope(scope)
        except InvalidScope as exc:
            raise InvalidInput("This is not a scope: {scope}", field="scopes", scope=scope[:100]) from exc
    if not 1 <= minutes <= MOST_MINUTES:
        raise InvalidInput("Ask for 1 to {most} minutes.", field="minutes", most=MOST_MINUTES)
    if not 1 <= start_within_minutes <= MOST_START_MINUTES:
        raise InvalidInput("The session must start within 1 minute to 7 days.", field="start_within_minutes")
    if recording != "full":
        raise InvalidInput("Sessions are recorded in full; nothing else can be asked for.", field="recording")
    if method != "link":
        raise InvalidInput("Only the method \"link\" can be used.", field="method")


def check_endpoint(endpoint: EndpointFacts, *, organisation_id: str | None) -> None:
    """Raise EndpointNotReady or ConsentHere when no session may be asked for on this machine."""
    if endpoint.organisation_id != organisation_id:
        raise EndpointNotReady("The machine does not belong to the ticket's organisation.")
    if endpoint.state != "accepted":
        raise EndpointNotReady("The machine is not accepted.")
    if endpoint.endpoint_class is None or not endpoint.has_responsible:
        raise EndpointNotReady("The machine has no class or no responsible person.")
    if endpoint.consent_mode != "server":
        raise ConsentHere("This machine wants the person at the machine to approve, which this release cannot ask for.")


def check_account(endpoint: EndpointFacts, os_user: str, scopes: Collection[str]) -> bool:
    """Return whether the OS user may become root; raise InvalidInput when a shell as this user cannot be asked for.

    An unprotected agent runs shells as its own user only. Who may become root needs ``terminal.admin``.
    """
    if not endpoint.protected and os_user != endpoint.agent_user:
        raise InvalidInput("The agent on this machine runs unprotected: only its own user {user} can be used.",
                           field="user", user=endpoint.agent_user)
    account = endpoint.accounts.get(os_user)
    if account is None:
        raise InvalidInput("The machine has not reported the account {user}.", field="user", user=os_user[:64])
    if not account.login_allowed:
        raise InvalidInput("The account {user} cannot be used on this machine: {reason}", field="user", user=os_user,
                           reason=account.reason or "no login")
    administrator = account.may_become_root or os_user == "root"
    if administrator and "terminal" in scopes and "terminal.admin" not in scopes:
        raise InvalidInput("{user} may become administrator: ask for terminal.admin.", field="scopes", user=os_user)
    return administrator


@dataclass(frozen=True, slots=True)
class AskedBefore:
    """What was asked of an approver lately: open requests, mails within the hour, and the last decisions about this ticket
    (newest first: decision and when)."""

    open_mails: int
    mails_within_hour: int
    decisions: Sequence[tuple[str, datetime]]


def check_rates(before: AskedBefore, now: datetime) -> None:
    """Raise TooManyRequests when this approver must be left alone for now."""
    if is_paused(before.decisions, now):
        raise TooManyRequests("This approver has denied twice in a row. Wait an hour, or talk to them.")
    if before.open_mails >= OPEN_MAILS:
        raise TooManyRequests("This approver has {count} open requests already.", count=before.open_mails)
    if before.mails_within_hour >= MAILS_AN_HOUR:
        raise TooManyRequests("This approver was sent {count} requests within an hour. Wait, or talk to them.",
                              count=before.mails_within_hour)


def is_paused(decisions: Sequence[tuple[str, datetime]], now: datetime) -> bool:
    """Tell whether the newest two decisions are denials and the last is less than an hour old."""
    newest = decisions[:DENIALS_IN_A_ROW]
    return (len(newest) == DENIALS_IN_A_ROW and all(decision == "deny" for decision, _ in newest)
            and now < newest[0][1] + PAUSE_AFTER_DENIALS)


def narrow(asked_scopes: Sequence[str], asked_minutes: int, *, scopes: Sequence[str] | None, minutes: int | None) -> tuple[list[str], int]:
    """Return the approved scopes and minutes. None means as asked.

    Raises InvalidInput when the answer is wider than the question, or empty.
    """
    chosen = list(asked_scopes) if scopes is None else list(dict.fromkeys(scopes))
    if not chosen:
        raise InvalidInput("Choose at least one permission, or deny.", field="scope")
    if not is_narrowing(asked_scopes, chosen):
        raise InvalidInput("An answer can allow less than was asked, never more.", field="scope")
    if minutes is not None and not 1 <= minutes <= asked_minutes:
        raise InvalidInput("Allow 1 to {most} minutes.", field="minutes", most=asked_minutes)
    return chosen, asked_minutes if minutes is None else minutes


def check_call_back(*, shared_mailbox: bool, scopes: Collection[str], called_back: bool) -> None:
    """Raise CallBackNeeded when a shared mailbox alone would give administrator rights."""
    if shared_mailbox and "terminal.admin" in scopes and not called_back:
        raise CallBackNeeded("A shared mailbox cannot give administrator rights before a lead has called back.")
