"""The right to approve remote access: giving, ending, suspending; and what a new address or a departure does to it.

Who may hold it is decided in ``policy.py``; who may use it now in ``queries.usable_approver_rights``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM, Actor, ActorKind, Right
from orchestrator.accounts.desk import read_desk_facts
from orchestrator.audit.service import record_audit
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from orchestrator.core.i18n import _
from orchestrator.core.ids import new_id, parse_id
from orchestrator.customers.events import ApproverGiven, ApproverWithdrawn
from orchestrator.customers.models import ApproverRight, Contact, Organisation
from orchestrator.customers.policy import Obstacle, check_address, check_new_right
from orchestrator.customers.queries import language_of, list_approvers, person_facts
from orchestrator.notifications.moments import write_day
from orchestrator.notifications.outbox import enqueue_mail
from orchestrator.notifications.texts import Purpose, render_text
from orchestrator.tickets.models import Ticket

MAX_SCOPES = 30

OBSTACLES = {
    Obstacle.NO_ADDRESS: _("This contact has no mail address."),
    Obstacle.LEFT: _("This person has left."),
    Obstacle.TECHNICIAN: _("A person with a technician login cannot approve remote access."),
    Obstacle.DESK_MAILBOX: _("A mailbox of this desk cannot approve remote access."),
    Obstacle.OWN_DOMAIN: _("An address of our own domain can only approve in an organisation that is marked internal."),
    Obstacle.NO_ORGANISATION: _("This contact belongs to no organisation."),
    Obstacle.TOO_LONG: _("The right can be given for at most 12 months."),
    Obstacle.PAST: _("The end of the right lies in the past."),
    Obstacle.NO_SCOPES: _("Say what may be approved."),
    Obstacle.REASON_MISSING: _("A right for one ticket needs a reason."),
}


class NotAnApprover(Conflict):
    """The rules do not allow this person to hold the right; ``obstacle`` says which one."""

    code = "not_an_approver"

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(OBSTACLES[obstacle])
        self.obstacle = obstacle


def set_approver(unit: WriteUnit, actor: Actor, contact_id: str, *, scopes: Sequence[str], until: datetime, ticket_id: str | None = None,
                 reason: str = "") -> ApproverRight:
    """Give the right, in general or for one ticket; a general one takes the place of the contact's earlier general one.

    The contact is told by mail; of a one-ticket right the organisation's other approvers are told, with the reason.
    Raises ``Forbidden``, ``NotFound``, ``InvalidInput``, ``NotAnApprover``.
    """
    actor.require(Right.APPROVERS_WRITE)
    if actor.user_id is None:
        raise Forbidden()  # never automatically
    if until.tzinfo is None:
        raise InvalidInput("The end of the right needs a time zone.", field="until")
    contact = lock_contact(unit, contact_id)
    organisation = unit.db.get(Organisation, contact.organisation_id) if contact.organisation_id else None
    wanted = list(dict.fromkeys(scope.strip() for scope in scopes if scope.strip()))
    if len(wanted) > MAX_SCOPES:
        raise InvalidInput("These are too many scopes.", field="scopes")
    ticket = unit.db.get(Ticket, parse_id(ticket_id)) if ticket_id else None
    if ticket_id and ticket is None:
        raise NotFound()
    obstacle = check_new_right(contact, organisation, person_facts(unit, contact), scopes=wanted, until=until, now=unit.now,
                               ticket_id=ticket_id, reason=reason)
    if obstacle is not None:
        raise NotAnApprover(obstacle)
    assert organisation is not None and contact.email is not None  # check_new_right has seen both
    others = [one for one in list_approvers(unit, organisation.id) if one.id != contact.id]
    if ticket is None:
        _end(unit, actor, [right for right in _rights_in_force(unit, contact.id) if right.ticket_id is None], reason="replaced")
    right = ApproverRight(
        id=new_id(), contact_id=contact.id, scopes=wanted, until=until, ticket_id=ticket.id if ticket else None,
        reason=reason.strip()[:500], granted_by_id=actor.user_id, granted_by_name=actor.name, created_at=unit.now)
    unit.db.add(right)
    unit.db.flush()
    record_audit(unit, actor, "approver.given", subject=f"contact {contact.id}", ticket_number=ticket.number if ticket else None,
                 summary=f"{contact.name} may approve remote access of {organisation.name}.",
                 details={"right": right.id, "scopes": wanted, "until": until.isoformat(), "reason": right.reason,
                          "address": contact.email})
    _tell_given(unit, actor, right, contact, organisation)
    if ticket is not None:
        for other in others:
            _tell_other(unit, actor, right, contact, organisation, ticket, other)
    unit.emit(ApproverGiven(contact.id, right.id))
    return right


def end_approver(unit: WriteUnit, actor: Actor, right_id: str, *, reason: str = "") -> ApproverRight:
    """End a right; open requests that hang on it end with it (``ApproverWithdrawn``). Ending twice changes nothing."""
    actor.require(Right.APPROVERS_WRITE)
    right = unit.db.scalar(select(ApproverRight).where(ApproverRight.id == parse_id(right_id)).with_for_update(key_share=True)
                           .execution_options(populate_existing=True))
    if right is None:
        raise NotFound()
    if right.ended_at is None:
        _end(unit, actor, [right], reason=reason.strip() or "ended")
        _tell_ended(unit, right, reason.strip() or "–")
    return right


def end_all_approvers(unit: WriteUnit, actor: Actor, contact_id: str, reason: str) -> None:
    """End every right of a contact: the person has left, or belongs to another organisation now."""
    _end(unit, actor, _rights_in_force(unit, contact_id, with_suspended=True), reason=reason)


def suspend_approvers(unit: WriteUnit, contact_id: str, reason: str, *, actor: Actor = SYSTEM) -> list[ApproverRight]:
    """Suspend every right of a contact (a permanent bounce); what hangs on them ends."""
    rights = _rights_in_force(unit, contact_id)
    for right in rights:
        right.suspended_at, right.suspended_reason = unit.now, reason[:200]
    unit.db.flush()
    if rights:
        record_audit(unit, actor, "approver.suspended", subject=f"contact {contact_id}",
                     summary="The right to approve remote access rests.",
                     details={"rights": [right.id for right in rights], "reason": reason})
        unit.emit(ApproverWithdrawn(contact_id, tuple(right.id for right in rights), reason))
    return rights


def resume_approvers(unit: WriteUnit, actor: Actor, contact_id: str) -> list[ApproverRight]:
    """Let suspended rights count again, after a lead or administrator made sure of the address.

    Raises ``Conflict`` while the stored address is one that bounced.
    """
    actor.require(Right.APPROVERS_WRITE)
    contact = lock_contact(unit, contact_id)
    if check_address(contact, unit.now) is Obstacle.ADDRESS_BOUNCED:
        raise Conflict("Mail to {address} came back. Enter the right address first.", address=contact.email)
    rights = [right for right in _rights_in_force(unit, contact_id, with_suspended=True) if right.suspended_at is not None]
    for right in rights:
        right.suspended_at, right.suspended_reason = None, ""
    unit.db.flush()
    if rights:
        record_audit(unit, actor, "approver.resumed", subject=f"contact {contact_id}",
                     summary="The right to approve remote access counts again.", details={"rights": [right.id for right in rights]})
    return rights


def confirm_address(unit: WriteUnit, actor: Actor, contact_id: str) -> Contact:
    """Another approver of the same organisation says that a changed address is right, so it need not wait 24 hours.

    ``actor`` is that contact. Raises ``Forbidden`` for anybody else, and for the contact itself.
    """
    contact = lock_contact(unit, contact_id)
    approvers = list_approvers(unit, contact.organisation_id) if contact.organisation_id else []
    known = next((one for one in approvers if one.id != contact.id and actor.kind is ActorKind.CONTACT and one.id == actor.id), None)
    if known is None or check_address(known, unit.now) is not None:
        raise Forbidden("Only another approver of the organisation can confirm a new address.")
    contact.email_confirmed_at = unit.now
    contact.version += 1
    unit.db.flush()
    record_audit(unit, actor, "contact.address_confirmed", subject=f"contact {contact.id}",
                 summary=f"{known.name} confirmed the new address of {contact.name}.", details={"address": contact.email})
    return contact


def lock_contact(unit: WriteUnit, contact_id: str) -> Contact:
    """Hold a contact's row until the unit ends. Raises ``NotFound``."""
    contact = unit.db.scalar(select(Contact).where(Contact.id == parse_id(contact_id)).with_for_update(key_share=True)
                             .execution_options(populate_existing=True))
    if contact is None:
        raise NotFound()
    return contact


def holds_right(unit: WriteUnit, contact_id: str) -> bool:
    """Tell whether a contact holds any right to approve now, also one that rests."""
    return bool(_rights_in_force(unit, contact_id, with_suspended=True))


def _rights_in_force(unit: WriteUnit, contact_id: str, *, with_suspended: bool = False) -> list[ApproverRight]:
    statement = select(ApproverRight).where(ApproverRight.contact_id == contact_id, ApproverRight.ended_at.is_(None),
                                            ApproverRight.until > unit.now)
    if not with_suspended:
        statement = statement.where(ApproverRight.suspended_at.is_(None))
    return list(unit.db.scalars(statement.order_by(ApproverRight.created_at)))


def _end(unit: WriteUnit, actor: Actor, rights: Sequence[ApproverRight], *, reason: str) -> None:
    for right in rights:
        right.ended_at = unit.now
    unit.db.flush()
    for contact_id in dict.fromkeys(right.contact_id for right in rights):
        ids = tuple(right.id for right in rights if right.contact_id == contact_id)
        record_audit(unit, actor, "approver.ended", subject=f"contact {contact_id}", summary="The right to approve remote access ended.",
                     details={"rights": list(ids), "reason": reason})
        unit.emit(ApproverWithdrawn(contact_id, ids, reason))


def _tell_given(unit: WriteUnit, actor: Actor, right: ApproverRight, contact: Contact, organisation: Organisation) -> None:
    facts = read_desk_facts(unit)
    language = language_of(contact, organisation, None, facts.default_language)
    subject, text = render_text(
        Purpose.APPROVER_GIVEN, language, name=contact.name, actor=actor.name, desk=facts.mail_name, organisation=organisation.name,
        until=write_day(right.until, zone=facts.time_zone, language=language), scopes=", ".join(right.scopes))
    _send(unit, Purpose.APPROVER_GIVEN, contact, subject, text, language, right.id)


def _tell_other(unit: WriteUnit, actor: Actor, right: ApproverRight, contact: Contact, organisation: Organisation, ticket: Ticket,
                other: Contact) -> None:
    facts = read_desk_facts(unit)
    language = language_of(other, organisation, None, facts.default_language)
    subject, text = render_text(
        Purpose.APPROVER_ONE_TICKET, language, name=other.name, actor=actor.name, desk=facts.mail_name, contact=contact.name,
        address=contact.email or "", organisation=organisation.name, number=ticket.number, reason=right.reason,
        until=write_day(right.until, zone=facts.time_zone, language=language), scopes=", ".join(right.scopes))
    _send(unit, Purpose.APPROVER_ONE_TICKET, other, subject, text, language, right.id)


def _tell_ended(unit: WriteUnit, right: ApproverRight, reason: str) -> None:
    contact = unit.db.get_one(Contact, right.contact_id)
    organisation = unit.db.get(Organisation, contact.organisation_id) if contact.organisation_id else None
    facts = read_desk_facts(unit)
    language = language_of(contact, organisation, None, facts.default_language)
    subject, text = render_text(Purpose.APPROVER_ENDED, language, name=contact.name, desk=facts.mail_name, reason=reason,
                                organisation=organisation.name if organisation else "–")
    _send(unit, Purpose.APPROVER_ENDED, contact, subject, text, language, right.id)


def _send(unit: WriteUnit, purpose: Purpose, contact: Contact, subject: str, text: str, language: str, right_id: str) -> None:
    if contact.email and contact.email_bounced_at is None:
        enqueue_mail(unit, purpose=purpose, to_address=contact.email, to_name=contact.name, subject=subject, text=text, automatic=True,
                     language=language, reference_id=right_id)
