"""Who may approve remote access: the rules as pure functions over facts. Reading the facts: queries; applying: service.

The rules: the right is given by a lead or administrator, never automatically, for at most 12 months, never to a person
with a technician login or to a mailbox of the desk; an address of our own domains only in an organisation marked internal.
It rests while the person's address is new, bounced or gone. Whoever gave it may not lead the session that uses it, unless
that rule rests (one-person desk, or a right for this one ticket given with a reason).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.customers.addresses import domain_of
from orchestrator.customers.models import ApproverRight, Contact, Organisation

MAX_RIGHT = timedelta(days=366)
ADDRESS_WAIT = timedelta(hours=24)

ScopeRule = Callable[[str, str], bool]
"""``covers(given, asked)``; the grammar of scopes belongs to the wire, so whoever knows it passes it in."""


class Obstacle(StrEnum):
    """Why somebody may not approve, or may not become an approver."""

    NO_ADDRESS = "no_address"
    LEFT = "left"
    TECHNICIAN = "technician"
    DESK_MAILBOX = "desk_mailbox"
    OWN_DOMAIN = "own_domain"
    NO_ORGANISATION = "no_organisation"
    ADDRESS_BOUNCED = "address_bounced"
    ADDRESS_NEW = "address_new"
    TOO_LONG = "too_long"
    PAST = "past"
    NO_SCOPES = "no_scopes"
    REASON_MISSING = "reason_missing"
    ENDED = "ended"
    SUSPENDED = "suspended"
    OTHER_TICKET = "other_ticket"
    SCOPE_MISSING = "scope_missing"
    GIVEN_BY_LEADER = "given_by_leader"


class Rested(StrEnum):
    """Why the rule "given by somebody who does not lead the session" did not apply; the receipt says it."""

    SINGLE_PERSON = "single_person"
    ONE_TICKET = "one_ticket"


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What the rules must know about a contact besides its row."""

    is_technician: bool
    own_addresses: frozenset[str]
    own_domains: frozenset[str]


@dataclass(frozen=True, slots=True)
class UsableRight:
    """A right that may be used now, and whether a rule rested for it."""

    right: ApproverRight
    rested: Rested | None = None


def check_person(contact: Contact, organisation: Organisation | None, facts: PersonFacts) -> Obstacle | None:
    """Say why this person can never hold the right, or None. Asked when it is given and again at each use."""
    if contact.left_at is not None:
        return Obstacle.LEFT
    if not contact.email:
        return Obstacle.NO_ADDRESS
    if organisation is None:
        return Obstacle.NO_ORGANISATION
    if contact.email in facts.own_addresses:
        return Obstacle.DESK_MAILBOX
    if facts.is_technician:
        return Obstacle.TECHNICIAN
    if domain_of(contact.email) in facts.own_domains and not organisation.internal:
        return Obstacle.OWN_DOMAIN
    return None


def check_new_right(contact: Contact, organisation: Organisation | None, facts: PersonFacts, *, scopes: Collection[str], until: datetime,
                    now: datetime, ticket_id: str | None, reason: str) -> Obstacle | None:
    """Say why the right cannot be given, or None."""
    if obstacle := check_person(contact, organisation, facts):
        return obstacle
    if not scopes:
        return Obstacle.NO_SCOPES
    if until <= now:
        return Obstacle.PAST
    if until > now + MAX_RIGHT:
        return Obstacle.TOO_LONG
    if ticket_id is not None and not reason.strip():
        return Obstacle.REASON_MISSING
    return None


def check_address(contact: Contact, now: datetime) -> Obstacle | None:
    """Say why the stored address cannot be used for consent right now, or None."""
    if contact.email_bounced_at is not None:
        return Obstacle.ADDRESS_BOUNCED
    changed, confirmed = contact.email_changed_at, contact.email_confirmed_at
    if changed is not None and now < changed + ADDRESS_WAIT and (confirmed is None or confirmed < changed):
        return Obstacle.ADDRESS_NEW
    return None


def check_right(right: ApproverRight, *, now: datetime, ticket_id: str | None, scopes: Iterable[str], covers: ScopeRule) -> Obstacle | None:
    """Say why this right does not serve this request, or None."""
    if right.ended_at is not None or right.until <= now:
        return Obstacle.ENDED
    if right.suspended_at is not None:
        return Obstacle.SUSPENDED
    if right.ticket_id is not None and right.ticket_id != ticket_id:
        return Obstacle.OTHER_TICKET
    if not all(any(covers(given, asked) for given in right.scopes) for asked in scopes):
        return Obstacle.SCOPE_MISSING
    return None


def check_giver(right: ApproverRight, *, leader_id: str | None, single_person: bool) -> tuple[Obstacle | None, Rested | None]:
    """Apply the rule about the giver: an obstacle, or None with the reason why it rested (if it did)."""
    if leader_id is None or right.granted_by_id != leader_id:
        return None, None
    if single_person:
        return None, Rested.SINGLE_PERSON
    if right.ticket_id is not None and right.reason.strip():
        return None, Rested.ONE_TICKET
    return Obstacle.GIVEN_BY_LEADER, None


def choose_usable(rights: Sequence[ApproverRight], *, now: datetime, ticket_id: str | None, scopes: Collection[str], covers: ScopeRule,
                  leader_id: str | None, single_person: bool) -> list[UsableRight]:
    """Keep the rights that serve, those for which no rule had to rest first."""
    usable: list[UsableRight] = []
    for right in rights:
        if check_right(right, now=now, ticket_id=ticket_id, scopes=scopes, covers=covers):
            continue
        obstacle, rested = check_giver(right, leader_id=leader_id, single_person=single_person)
        if obstacle is None:
            usable.append(UsableRight(right, rested))
    return sorted(usable, key=lambda one: (one.rested is not None, one.right.created_at))


def same_scope(given: str, asked: str) -> bool:
    """The strictest rule: a scope covers itself. Callers who know the grammar pass its ``covers`` instead."""
    return given == asked


def needs_call_back(contact: Contact, scopes: Iterable[str]) -> bool:
    """A shared mailbox alone never gives administrator rights: a lead must have called back for this request."""
    return contact.shared_mailbox and "terminal.admin" in scopes
