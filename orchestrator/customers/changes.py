"""Changing a contact: name, number, organisation, a new mail address (which waits before it may approve), and departure."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError

from orchestrator.accounts.actor import Actor, Right
from orchestrator.accounts.desk import read_desk_facts
from orchestrator.audit.service import record_audit
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput
from orchestrator.customers.addresses import normalise_address, normalise_phone
from orchestrator.customers.approvers import end_all_approvers, holds_right, lock_contact
from orchestrator.customers.events import ContactChanged
from orchestrator.customers.models import Contact, Organisation
from orchestrator.customers.policy import ADDRESS_WAIT
from orchestrator.customers.queries import language_of
from orchestrator.customers.service import clean_name, known_language, require_free_address, require_version
from orchestrator.notifications.moments import write_moment
from orchestrator.notifications.outbox import enqueue_mail
from orchestrator.notifications.texts import Purpose, render_text
from orchestrator.search.index import touch

_GUARDED = frozenset({"shared_mailbox", "phone"})
"""What decides whether and where an approver is called back."""


@dataclass(frozen=True, slots=True)
class ContactChange:
    """None leaves a field as it is; an empty text removes it (address, number, organisation, language)."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    organisation_id: str | None = None
    language: str | None = None
    shared_mailbox: bool | None = None


def change_contact(unit: WriteUnit, actor: Actor, contact_id: str, *, name: str | None = None, email: str | None = None,
                   phone: str | None = None, organisation_id: str | None = None, language: str | None = None,
                   shared_mailbox: bool | None = None, version: int | None = None) -> Contact:
    """Change what is given (an empty text removes it). ``version`` is what the editor saw.

    A changed address cannot approve for 24 hours, and the old address is told. Another organisation ends the right to
    approve. Of somebody who holds that right, number and *shared mailbox* are changed only by who may give it: a lead rings
    the stored number. Raises ``NotFound``, ``InvalidInput``, ``Conflict``, ``Forbidden``.
    """
    actor.require(Right.CUSTOMERS_WRITE)
    contact = lock_contact(unit, contact_id)
    require_version(contact.version, version)
    wanted = ContactChange(name, email, phone, organisation_id, language, shared_mailbox)
    before = {field: getattr(contact, field) for field in _GUARDED}
    fields = _apply_plain(contact, wanted)
    guarded = sorted(_GUARDED & set(fields))
    if guarded and holds_right(unit, contact.id):
        actor.require(Right.APPROVERS_WRITE)
        record_audit(unit, actor, "contact.changed", subject=f"contact {contact.id}",
                     summary=f"{contact.name}, who may approve remote access, was changed.",
                     details={"before": {field: before[field] for field in guarded},
                              "after": {field: getattr(contact, field) for field in guarded}})
    if wanted.organisation_id is not None and (wanted.organisation_id or None) != contact.organisation_id:
        _move(unit, actor, contact, wanted.organisation_id or None)
        fields.append("organisation_id")
    if wanted.email is not None:
        address = normalise_address(wanted.email) if wanted.email.strip() else None
        if address != contact.email:
            _change_address(unit, actor, contact, address)
            fields.append("email")
    if not (contact.name or contact.email or contact.phone):
        raise InvalidInput("A contact needs a name, a mail address or a phone number.", field="name")
    if fields:
        contact.version += 1
        unit.db.flush()
        touch(unit, "contact", contact.id)
        unit.emit(ContactChanged(contact.id, tuple(fields)))
    return contact


def mark_left(unit: WriteUnit, actor: Actor, contact_id: str, *, left: bool = True) -> Contact:
    """Note that a person has left the company (every right to approve ends), or came back (no right returns)."""
    actor.require(Right.CUSTOMERS_WRITE)
    contact = lock_contact(unit, contact_id)
    if (contact.left_at is not None) is left:
        return contact
    contact.left_at = unit.now if left else None
    contact.version += 1
    if left:
        end_all_approvers(unit, actor, contact.id, "left")
    unit.db.flush()
    record_audit(unit, actor, "contact.left" if left else "contact.returned", subject=f"contact {contact.id}",
                 summary=f"{contact.name} {'has left' if left else 'is back'}.")
    touch(unit, "contact", contact.id)
    unit.emit(ContactChanged(contact.id, ("left_at",)))
    return contact


def _apply_plain(contact: Contact, wanted: ContactChange) -> list[str]:
    values: dict[str, object] = {}
    if wanted.name is not None:
        values["name"] = clean_name(wanted.name)
    if wanted.phone is not None:
        values["phone"] = normalise_phone(wanted.phone) if wanted.phone.strip() else None
    if wanted.language is not None:
        values["language"] = known_language(wanted.language)
    if wanted.shared_mailbox is not None:
        values["shared_mailbox"] = wanted.shared_mailbox
    changed = [field for field, value in values.items() if getattr(contact, field) != value]
    for field in changed:
        setattr(contact, field, values[field])
    return changed


def _move(unit: WriteUnit, actor: Actor, contact: Contact, organisation_id: str | None) -> None:
    if organisation_id is not None and unit.db.get(Organisation, organisation_id) is None:
        raise InvalidInput("There is no such organisation.", field="organisation_id")
    contact.organisation_id = organisation_id
    end_all_approvers(unit, actor, contact.id, "organisation_changed")


def _change_address(unit: WriteUnit, actor: Actor, contact: Contact, address: str | None) -> None:
    if address is not None:
        require_free_address(unit, address)
    old = contact.email
    contact.email, contact.email_changed_at = address, unit.now
    contact.email_confirmed_at = contact.email_bounced_at = None
    try:
        with unit.db.begin_nested():
            unit.db.flush()
    except IntegrityError as exc:  # two at once entered the same address
        raise Conflict("The address {address} belongs to somebody else already.", address=address) from exc
    record_audit(unit, actor, "contact.address_changed", subject=f"contact {contact.id}",
                 summary=f"The address of {contact.name} was changed.", details={"from": old, "to": address})
    if old is not None:
        _tell_old_address(unit, actor, contact, old)


def _tell_old_address(unit: WriteUnit, actor: Actor, contact: Contact, old: str) -> None:
    facts = read_desk_facts(unit)
    organisation = unit.db.get(Organisation, contact.organisation_id) if contact.organisation_id else None
    language = language_of(contact, organisation, None, facts.default_language)
    zone = facts.time_zone
    subject, text = render_text(
        Purpose.ADDRESS_CHANGED, language, name=contact.name, desk=facts.mail_name, actor=actor.name, old=old, new=contact.email or "–",
        moment=write_moment(unit.now, zone=zone, language=language),
        usable=write_moment(unit.now + ADDRESS_WAIT, zone=zone, language=language))
    enqueue_mail(unit, purpose=Purpose.ADDRESS_CHANGED, to_address=old, to_name=contact.name, subject=subject, text=text, automatic=True,
                 language=language, reference_id=contact.id)
