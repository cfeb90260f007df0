"""Reading customers: by id, by address, domain or number; lists; and who may approve remote access right now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from orchestrator.accounts.actor import Actor, ActorKind, Right
from orchestrator.accounts.desk import read_own_addresses
from orchestrator.accounts.models import User
from orchestrator.accounts.queries import single_person_desk
from orchestrator.core.cursors import decode_cursor, encode_cursor
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import NotFound
from orchestrator.core.i18n import find_language
from orchestrator.core.ids import parse_id
from orchestrator.core.settings import Settings
from orchestrator.core.text import one_line, storable
from orchestrator.customers.addresses import FREE_MAIL_DOMAINS, domain_of, find_phone
from orchestrator.customers.models import ApproverRight, Contact, Organisation, OrganisationDomain
from orchestrator.customers.policy import (
    PersonFacts,
    ScopeRule,
    UsableRight,
    check_address,
    check_person,
    choose_usable,
    same_scope,
)

MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class OrganisationPage:
    items: list[Organisation]
    next: str | None


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A contact as lists show it; ``is_approver`` says that a right is in force (not whether it serves a request)."""

    contact: Contact
    organisation: Organisation | None
    is_approver: bool = False


@dataclass(frozen=True, slots=True)
class ContactPage:
    items: list[ContactRow]
    next: str | None


def get_organisation(unit: ReadUnit, actor: Actor, organisation_id: str) -> Organisation:
    """Return an organisation that the actor may see. Raises ``NotFound``."""
    organisation_id = parse_id(organisation_id)
    if actor.kind is ActorKind.CONTACT and actor.organisation_id != organisation_id:
        raise NotFound()
    if actor.kind is not ActorKind.CONTACT:
        actor.require(Right.CUSTOMERS_READ)
    organisation = unit.db.get(Organisation, organisation_id)
    if organisation is None:
        raise NotFound()
    return organisation


def get_contact(unit: ReadUnit, actor: Actor, contact_id: str) -> Contact:
    """Return a contact that the actor may see: people of the desk all, a contact only itself. Raises ``NotFound``."""
    contact_id = parse_id(contact_id)
    if actor.kind is ActorKind.CONTACT and actor.id != contact_id:
        raise NotFound()
    if actor.kind is not ActorKind.CONTACT:
        actor.require(Right.CUSTOMERS_READ)
    contact = unit.db.get(Contact, contact_id)
    if contact is None:
        raise NotFound()
    return contact


def find_contact_by_address(unit: ReadUnit, address: str) -> Contact | None:
    """Find the contact with this mail address, in any case of letters."""
    return unit.db.scalar(select(Contact).where(Contact.email == one_line(address, 254).lower()))


def find_contacts_by_phone(unit: ReadUnit, number: str) -> Sequence[Contact]:
    """Find who can be reached under a number, written in any way."""
    normal = find_phone(number)
    if normal is None:
        return []
    return unit.db.scalars(select(Contact).where(Contact.phone == normal, Contact.left_at.is_(None)).order_by(Contact.name).limit(20)).all()


def find_organisation_by_domain(unit: ReadUnit, domain: str) -> Organisation | None:
    """Find the organisation that owns a mail domain, or a domain above it; never for free-mail domains."""
    name = one_line(domain, 300).lower().rpartition("@")[2].rstrip(".")
    candidates: list[str] = []
    while "." in name and len(candidates) < 10:
        if name in FREE_MAIL_DOMAINS:
            break
        candidates.append(name)
        name = name.partition(".")[2]
    if not candidates:
        return None
    rows = unit.db.execute(
        select(OrganisationDomain.domain, Organisation).join(Organisation, Organisation.id == OrganisationDomain.organisation_id)
        .where(OrganisationDomain.domain.in_(candidates))
    ).all()
    found = {row.domain: row.Organisation for row in rows}
    return next((found[candidate] for candidate in candidates if candidate in found), None)


def list_domains(unit: ReadUnit, organisation_id: str) -> list[str]:
    """The mail domains of an organisation, in order."""
    statement = select(OrganisationDomain.domain).where(OrganisationDomain.organisation_id == organisation_id)
    return list(unit.db.scalars(statement.order_by(OrganisationDomain.domain)))


def find_organisation_by_name(unit: ReadUnit, name: str) -> Organisation | None:
    """Find an organisation by its exact name, whatever the case of its letters, or by its customer number."""
    wanted = one_line(name, 200)
    return unit.db.scalar(
        select(Organisation)
        .where(or_(Organisation.name == wanted, Organisation.number == wanted, func.lower(Organisation.name) == wanted.lower()))
        .order_by(Organisation.created_at).limit(1)
    )


def list_organisations(unit: ReadUnit, actor: Actor, *, query: str = "", cursor: str | None = None, limit: int = 50) -> OrganisationPage:
    """List organisations by name; ``query`` words must all occur in name, number or a mail domain."""
    actor.require(Right.CUSTOMERS_READ)
    limit = min(limit, MAX_LIMIT)
    statement = select(Organisation).order_by(Organisation.name, Organisation.id).limit(limit + 1)
    for word in storable(query).split()[:8]:
        statement = statement.where(or_(
            _contains(Organisation.name, word), _contains(Organisation.number, word),
            exists().where(OrganisationDomain.organisation_id == Organisation.id, _contains(OrganisationDomain.domain, word)),
        ))
    if cursor and (last := unit.db.get(Organisation, _row_id(cursor))) is not None:
        statement = statement.where(_behind(Organisation, last))
    rows = list(unit.db.scalars(statement))
    return OrganisationPage(rows[:limit], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None)


def list_contacts(unit: ReadUnit, actor: Actor, *, query: str = "", organisation_id: str | None = None, with_left: bool = False,
                  cursor: str | None = None, limit: int = 50) -> ContactPage:
    """List contacts by name; ``query`` words must all occur in name, mail address, number or organisation. A query that is
    a phone number finds who has it, however it is written."""
    actor.require(Right.CUSTOMERS_READ)
    limit = min(limit, MAX_LIMIT)
    statement = select(Contact, Organisation).outerjoin(Organisation, Organisation.id == Contact.organisation_id)
    statement = statement.order_by(Contact.name, Contact.id).limit(limit + 1)
    if organisation_id:
        statement = statement.where(Contact.organisation_id == parse_id(organisation_id))
    if not with_left:
        statement = statement.where(Contact.left_at.is_(None))
    statement = statement.where(*_contact_conditions(query))
    if cursor and (last := unit.db.get(Contact, _row_id(cursor))) is not None:
        statement = statement.where(_behind(Contact, last))
    rows = unit.db.execute(statement).all()
    approvers = _approver_ids(unit, [row.Contact.id for row in rows])
    items = [ContactRow(row.Contact, row.Organisation, row.Contact.id in approvers) for row in rows[:limit]]
    return ContactPage(items, encode_cursor(items[-1].contact.id) if len(rows) > limit else None)


def _row_id(cursor: str) -> str:
    (row_id,) = decode_cursor(cursor, str)
    return parse_id(row_id)


def _behind(table: type[Contact] | type[Organisation], last: Contact | Organisation) -> ColumnElement[bool]:
    """What comes after ``last`` in the order of names."""
    return or_(table.name > last.name, and_(table.name == last.name, table.id > last.id))


def _contact_conditions(query: str) -> list[ColumnElement[bool]]:
    digits = "".join(character for character in query if character in "0123456789")
    if len(digits) >= 4 and not any(character.isalpha() or character in "@._%" for character in query):
        whole = find_phone(query) if query.strip().startswith(("+", "00")) else None
        return [Contact.phone.contains(whole or digits.lstrip("0"), autoescape=True)]
    return [or_(_contains(Contact.name, word), _contains(Contact.email, word), _contains(Organisation.name, word))
            for word in storable(query).split()[:8]]


def _contains(column: Any, word: str) -> ColumnElement[bool]:
    return or_(column.icontains(word, autoescape=True), column.contains(word, autoescape=True))


def _approver_ids(unit: ReadUnit, contact_ids: Collection[str]) -> set[str]:
    statement = select(ApproverRight.contact_id).where(ApproverRight.contact_id.in_(contact_ids), *_in_force(unit))
    return set(unit.db.scalars(statement))


def _in_force(unit: ReadUnit) -> tuple[ColumnElement[bool], ...]:
    return ApproverRight.ended_at.is_(None), ApproverRight.suspended_at.is_(None), ApproverRight.until > unit.now


def list_approver_rights(unit: ReadUnit, contact_id: str) -> Sequence[ApproverRight]:
    """All rights that a contact ever had, the newest first."""
    statement = select(ApproverRight).where(ApproverRight.contact_id == contact_id)
    return unit.db.scalars(statement.order_by(ApproverRight.created_at.desc())).all()


def list_approvers(unit: ReadUnit, organisation_id: str) -> Sequence[Contact]:
    """The people of an organisation with a right in force, by name."""
    statement = select(Contact).where(
        Contact.organisation_id == organisation_id, Contact.left_at.is_(None),
        exists().where(ApproverRight.contact_id == Contact.id, *_in_force(unit)),
    )
    return unit.db.scalars(statement.order_by(Contact.name, Contact.id)).all()


def person_facts(unit: ReadUnit, contact: Contact) -> PersonFacts:
    """Read what the rules about approvers must know about this contact."""
    own = read_own_addresses(unit)
    is_technician = contact.email is not None and unit.db.scalar(
        select(exists().where(func.lower(User.email) == contact.email, User.disabled_at.is_(None)))) is True
    return PersonFacts(is_technician, own, frozenset(domain_of(address) for address in own) - FREE_MAIL_DOMAINS)


def usable_approver_rights(unit: ReadUnit, contact: Contact, *, ticket_id: str | None, scopes: Collection[str],
                           leader_id: str | None = None, single_person: bool | None = None,
                           covers: ScopeRule = same_scope) -> list[UsableRight]:
    """Return the rights by which this contact may approve ``scopes`` for this ticket now; empty = may not.

    ``leader_id`` is the technician who leads the session: rights that he gave do not count, unless that rule rests
    (then ``rested`` says why, and the receipt repeats it). ``covers(given, asked)`` is the wire's function for scopes.
    ``single_person`` is read when it is not given.
    """
    organisation = unit.db.get(Organisation, contact.organisation_id) if contact.organisation_id else None
    if check_person(contact, organisation, person_facts(unit, contact)) or check_address(contact, unit.now):
        return []
    rights = unit.db.scalars(select(ApproverRight).where(ApproverRight.contact_id == contact.id, *_in_force(unit))).all()
    if single_person is None:
        single_person = leader_id is not None and single_person_desk(unit)
    return choose_usable(rights, now=unit.now, ticket_id=ticket_id, scopes=scopes, covers=covers, leader_id=leader_id,
                         single_person=single_person)


def language_of(contact: Contact | None, organisation: Organisation | None, detected: str | None, settings: Settings | str) -> str:
    """Choose the language to write in: the contact's, else the organisation's, else the detected one, else the default.

    ``settings`` may also be the default's code (services read it from the desk's facts).
    """
    default = settings if isinstance(settings, str) else settings.default_language
    for code in (contact.language if contact else None, organisation.language if organisation else None, detected):
        language = find_language(code)
        if language is not None:
            return str(language)
    return default


def is_own_address(unit: ReadUnit, address: str) -> bool:
    """Say whether mail to this address is mail to us."""
    return address.strip().lower() in read_own_addresses(unit)


__all__ = [
    "ContactPage", "ContactRow", "OrganisationPage", "domain_of", "find_contact_by_address", "find_contacts_by_phone",
    "find_organisation_by_domain", "find_organisation_by_name", "get_contact", "get_organisation", "is_own_address", "language_of",
    "list_approver_rights", "list_approvers", "list_contacts", "list_domains", "list_organisations", "person_facts",
    "usable_approver_rights",
]
