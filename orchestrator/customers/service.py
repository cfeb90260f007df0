"""Entering organisations and contacts, and changing organisations. Contacts change in ``changes.py``, rights to approve in
``approvers.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from orchestrator.accounts.actor import Actor, Right
from orchestrator.accounts.desk import read_own_addresses
from orchestrator.audit.service import record_audit
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput, NotFound
from orchestrator.core.i18n import find_language
from orchestrator.core.ids import new_id, parse_id
from orchestrator.core.text import storable
from orchestrator.customers.addresses import FREE_MAIL_DOMAINS, normalise_address, normalise_domain, normalise_phone
from orchestrator.customers.events import ContactChanged, OrganisationChanged
from orchestrator.customers.models import Contact, CustomerCounter, Organisation, OrganisationDomain
from orchestrator.search.index import touch
from orchestrator.tickets.priority import check_matrix

FIRST_NUMBER = 10001


def create_organisation(unit: WriteUnit, actor: Actor, *, name: str, domains: Sequence[str] = (), language: str | None = None,
                        internal: bool = False, note: str = "") -> Organisation:
    """Enter a customer company with the mail domains by which its people are recognised.

    Raises ``InvalidInput`` for an empty name or a free-mail domain, ``Conflict`` for a domain that belongs to another.
    """
    actor.require(Right.CUSTOMERS_WRITE)
    if internal:
        actor.require(Right.APPROVERS_WRITE)
    organisation = Organisation(id=new_id(), number=_draw_number(unit), name=clean_name(name), language=known_language(language),
                                internal=internal, note=storable(note)[:4000], created_at=unit.now)
    unit.db.add(organisation)
    unit.db.flush()
    _set_domains(unit, organisation, domains)
    touch(unit, "organisation", organisation.id)
    unit.emit(OrganisationChanged(organisation.id))
    return organisation


def change_organisation(unit: WriteUnit, actor: Actor, organisation_id: str, *, name: str | None = None,
                        domains: Sequence[str] | None = None, language: str | None = None, internal: bool | None = None,
                        note: str | None = None, priority_matrix: Mapping[str, object] | None = None,
                        version: int | None = None) -> Organisation:
    """Change what is given (``language=""`` removes it, an empty ``priority_matrix`` returns to the default one).

    ``version`` is what the editor saw: raises ``Conflict`` when somebody else changed it since. Only who may give the right
    to approve may mark an organisation internal: addresses of our own domains become possible approvers there.
    """
    actor.require(Right.CUSTOMERS_WRITE)
    organisation = lock_organisation(unit, organisation_id)
    require_version(organisation.version, version)
    before = {field: getattr(organisation, field) for field in ("name", "language", "internal", "note", "priority_matrix")}
    if name is not None:
        organisation.name = clean_name(name)
    if language is not None:
        organisation.language = known_language(language)
    if note is not None:
        organisation.note = storable(note)[:4000]
    if priority_matrix is not None:
        organisation.priority_matrix = check_matrix(priority_matrix) if priority_matrix else None
    if internal is not None and internal != organisation.internal:
        actor.require(Right.APPROVERS_WRITE)
        organisation.internal = internal
        record_audit(unit, actor, "organisation.internal_changed", subject=f"organisation {organisation.id}",
                     summary=f"{organisation.name} is {'now' if internal else 'no longer'} marked internal.")
    fields = [field for field, value in before.items() if getattr(organisation, field) != value]
    if domains is not None and _set_domains(unit, organisation, domains):
        fields.append("domains")
    if fields:
        organisation.version += 1
        unit.db.flush()
        touch(unit, "organisation", organisation.id)
        unit.emit(OrganisationChanged(organisation.id, tuple(fields)))
    return organisation


def lock_organisation(unit: WriteUnit, organisation_id: str) -> Organisation:
    """Hold an organisation's row until the unit ends, brought up to date. Raises ``NotFound``."""
    organisation = unit.db.scalar(select(Organisation).where(Organisation.id == parse_id(organisation_id)).with_for_update(key_share=True)
                                  .execution_options(populate_existing=True))
    if organisation is None:
        raise NotFound()
    return organisation


def create_contact(unit: WriteUnit, actor: Actor, *, name: str, email: str | None = None, phone: str | None = None,
                   organisation_id: str | None = None, language: str | None = None, shared_mailbox: bool = False) -> Contact:
    """Enter a person. Needs a name, an address or a number; an address belongs to one contact only.

    Raises ``InvalidInput``, or ``Conflict`` when the address is known already.
    """
    actor.require(Right.CUSTOMERS_WRITE)
    address = normalise_address(email) if email and email.strip() else None
    number = normalise_phone(phone) if phone and phone.strip() else None
    shown = " ".join(storable(name).split())[:200] or address or number
    if not shown:
        raise InvalidInput("A contact needs a name, a mail address or a phone number.", field="name")
    if organisation_id is not None and unit.db.get(Organisation, organisation_id) is None:
        raise InvalidInput("There is no such organisation.", field="organisation_id")
    if address is not None:
        require_free_address(unit, address)
    contact = Contact(id=new_id(), organisation_id=organisation_id, name=shown, email=address, phone=number,
                      language=known_language(language), shared_mailbox=shared_mailbox, created_at=unit.now)
    try:
        with unit.db.begin_nested():
            unit.db.add(contact)
    except IntegrityError as exc:  # two at once entered the same address
        raise Conflict("The address {address} belongs to somebody else already.", address=address) from exc
    touch(unit, "contact", contact.id)
    unit.emit(ContactChanged(contact.id))
    return contact


def require_free_address(unit: WriteUnit, address: str) -> None:
    """Raise ``Conflict`` when the address belongs to a contact, ``InvalidInput`` when it is one of ours."""
    if address in read_own_addresses(unit):
        raise InvalidInput("{address} is a mailbox of this desk, not of a customer.", address=address, field="email")
    taken = unit.db.scalar(select(Contact).where(Contact.email == address))
    if taken is not None:
        raise Conflict("The address {address} belongs to {name} already.", address=address, name=taken.name)


def _set_domains(unit: WriteUnit, organisation: Organisation, domains: Sequence[str]) -> bool:
    wanted = {normalise_domain(domain) for domain in domains if domain.strip()}
    for domain in sorted(wanted):
        if domain in FREE_MAIL_DOMAINS:
            raise InvalidInput("Anybody can have an address at {domain}; it says nothing about the organisation.", domain=domain,
                               field="domains")
    own = set(unit.db.scalars(select(OrganisationDomain.domain).where(OrganisationDomain.organisation_id == organisation.id)))
    taken = unit.db.scalars(select(OrganisationDomain.domain).where(
        OrganisationDomain.domain.in_(wanted), OrganisationDomain.organisation_id != organisation.id)).first()
    if taken is not None:
        raise Conflict("The domain {domain} belongs to another organisation.", domain=taken)
    if gone := own - wanted:
        unit.db.execute(delete(OrganisationDomain).where(OrganisationDomain.domain.in_(gone)))
    for domain in sorted(wanted - own):
        unit.db.add(OrganisationDomain(domain=domain, organisation_id=organisation.id))
    unit.db.flush()
    return own != wanted


def _draw_number(unit: WriteUnit) -> str:
    make: Any = postgresql.insert if unit.db.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = make(CustomerCounter).values(id=1, last=FIRST_NUMBER).on_conflict_do_update(
        index_elements=[CustomerCounter.id], set_={"last": CustomerCounter.last + 1}).returning(CustomerCounter.last)
    return f"K-{unit.db.scalar(statement)}"


def clean_name(text: str) -> str:
    """One line of at most 200 characters. Raises ``InvalidInput`` when nothing is left."""
    name = " ".join(storable(text).split())[:200]
    if not name:
        raise InvalidInput("A name is needed.", field="name")
    return name


def known_language(code: str | None) -> str | None:
    """The code of a language that the program speaks, None for an empty one. Raises ``InvalidInput``."""
    if not code:
        return None
    language = find_language(code)
    if language is None:
        raise InvalidInput("The program does not speak {code}.", code=code[:20], field="language")
    return str(language)


def require_version(current: int, seen: int | None) -> None:
    """Raise ``Conflict`` when somebody else changed the row since the editor saw version ``seen``."""
    if seen is not None and seen != current:
        raise Conflict("Somebody else changed this in the meantime. Load it again and repeat your change.")
