"""Who wrote? The contact of a sender's address, made when it is new; the organisation by the mail domain.

Here: finding and making contacts for what comes in. Not here: what the sender may do (`mail/follow_up.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.accounts.actor import SYSTEM
from orchestrator.accounts.desk import read_own_addresses
from orchestrator.accounts.models import User
from orchestrator.accounts.queries import find_user_by_email
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput
from orchestrator.customers.addresses import normalise_address
from orchestrator.customers.models import Contact, Organisation
from orchestrator.customers.queries import find_contact_by_address, find_organisation_by_domain
from orchestrator.customers.service import create_contact
from orchestrator.intake.mail.follow_up import SenderFacts
from orchestrator.intake.mail.parsed import AutomaticKind, BounceClass, ParsedMail

_SHARED_MAILBOXES = frozenset(
    """
    admin anfrage buchhaltung buero büro edv empfang einkauf hotline info it kontakt mail office post service sekretariat
    support team verwaltung zentrale
    """.split()  # words read better than a list of strings
)


@dataclass(frozen=True, slots=True)
class Sender:
    """Hold who wrote. ``contact`` is None for technicians, for ourselves and for addresses that are none; ``is_new`` says
    that the contact was made for this mail. ``address`` is lower case, empty when there is none."""

    address: str
    name: str
    contact: Contact | None
    organisation: Organisation | None
    technician: User | None
    is_ours: bool = False
    is_new: bool = False

    def facts(self, verified: str) -> SenderFacts:
        """Give what the follow-up decision must know."""
        organisation_id = self.organisation.id if self.organisation is not None else None
        return SenderFacts(self.address, organisation_id, is_technician=self.technician is not None, verified=verified)


def find_sender(unit: WriteUnit, mail: ParsedMail) -> Sender:
    """Find who wrote a mail; make the contact when the address is new and belongs to a person.

    Programs, bounces and our own addresses get no contact.
    """
    stated = mail.from_address
    name = stated.name if stated is not None else ""
    address = _normal(stated.address) if stated is not None else None
    if address is None:
        return Sender("", name, None, None, None)
    if address in read_own_addresses(unit):
        return Sender(address, name or address, None, None, None, is_ours=True)
    contact = find_contact_by_address(unit, address)
    technician = find_user_by_email(unit, address)
    if technician is not None and technician.disabled_at is not None:
        technician = None
    organisation = _organisation_of(unit, contact, address)
    if contact is not None:
        return Sender(address, contact.name, contact, organisation, technician)
    if technician is not None:
        return Sender(address, technician.name, None, None, technician)
    if mail.bounce.bounce_class is not BounceClass.NONE or mail.automatic is AutomaticKind.REPLIED:
        return Sender(address, name or address, None, organisation, None)
    made = _make_contact(unit, name, address, organisation)
    return Sender(address, made.name if made else name or address, made, organisation, None, is_new=made is not None)


def _make_contact(unit: WriteUnit, name: str, address: str, organisation: Organisation | None) -> Contact | None:
    local = address.partition("@")[0]
    try:
        return create_contact(
            unit, SYSTEM, name=name or address, email=address, organisation_id=organisation.id if organisation else None,
            shared_mailbox=local in _SHARED_MAILBOXES,
        )  # fmt: skip
    except Conflict:  # another mail of the same new sender was faster
        return find_contact_by_address(unit, address)
    except InvalidInput:
        return None


def _organisation_of(unit: WriteUnit, contact: Contact | None, address: str) -> Organisation | None:
    if contact is not None and contact.organisation_id is not None:
        return unit.db.get(Organisation, contact.organisation_id)
    return find_organisation_by_domain(unit, address.rpartition("@")[2])


def _normal(address: str) -> str | None:
    try:
        return normalise_address(address)
    except InvalidInput:
        return None
