"""Builders of rows for tests: each makes one thing with sensible values, and takes what the test cares about."""

from __future__ import annotations

import itertools
from datetime import timedelta

from orchestrator.accounts.actor import Actor, ActorKind, Role, rights_of
from orchestrator.accounts.models import User
from orchestrator.core.db import WriteUnit
from orchestrator.core.ids import new_id
from orchestrator.customers.models import ApproverRight, Contact, Organisation, OrganisationDomain
from orchestrator.tickets.models import Entry, EntryKind, Medium, Queue, QueueMember, Ticket, Visibility
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import RemoteSession, SessionState

_numbers = itertools.count(1)


def make_user(unit: WriteUnit, *, name: str = "Jana Roth", roles: tuple[Role, ...] = (Role.TECHNICIAN,), email: str = "",
              language: str = "en") -> User:
    serial = next(_numbers)
    user = User(id=new_id(), email=email or f"user{serial}@desk.example", name=name, roles=[str(role) for role in roles],
                language=language, created_at=unit.now)
    unit.db.add(user)
    unit.db.flush()
    return user


def actor_of(user: User, *, queues: tuple[Queue, ...] = (), proved: bool = True, unit: WriteUnit | None = None) -> Actor:
    """The actor a user is after a full login, a member of ``queues``."""
    roles = frozenset(Role(role) for role in user.roles)
    return Actor(kind=ActorKind.USER, id=user.id, name=user.name, roles=roles, rights=rights_of(roles),
                 queue_ids=frozenset(queue.id for queue in queues), language=user.language,
                 proved_at=unit.now if proved and unit is not None else None)


def make_organisation(unit: WriteUnit, *, name: str = "", domain: str = "", language: str | None = "de", internal: bool = False) -> Organisation:
    serial = next(_numbers)
    organisation = Organisation(id=new_id(), number=f"K-{1000 + serial}", name=name or f"Muster {serial} GmbH", language=language,
                                internal=internal, created_at=unit.now)
    unit.db.add(organisation)
    unit.db.flush()
    if domain:
        unit.db.add(OrganisationDomain(domain=domain, organisation_id=organisation.id))
        unit.db.flush()
    return organisation


def make_contact(unit: WriteUnit, organisation: Organisation | None = None, *, name: str = "Erika Beispiel", email: str | None = "",
                 phone: str | None = None, language: str | None = None, shared_mailbox: bool = False) -> Contact:
    serial = next(_numbers)
    contact = Contact(id=new_id(), organisation_id=organisation.id if organisation else None, name=name, phone=phone, language=language,
                      email=f"contact{serial}@muster.example" if email == "" else email, shared_mailbox=shared_mailbox, created_at=unit.now)
    unit.db.add(contact)
    unit.db.flush()
    return contact


def make_approver(unit: WriteUnit, contact: Contact, granted_by: User, *, scopes: tuple[str, ...] = ("terminal",), days: int = 90,
                  ticket_id: str | None = None, reason: str = "") -> ApproverRight:
    right = ApproverRight(id=new_id(), contact_id=contact.id, scopes=list(scopes), until=unit.now + timedelta(days=days), ticket_id=ticket_id,
                          reason=reason, granted_by_id=granted_by.id, granted_by_name=granted_by.name, created_at=unit.now)
    unit.db.add(right)
    unit.db.flush()
    return right


def make_queue(unit: WriteUnit, *members: User, name: str = "", address: str | None = None) -> Queue:
    queue = Queue(id=new_id(), name=name or f"Queue {next(_numbers)}", address=address, created_at=unit.now)
    unit.db.add(queue)
    unit.db.flush()
    for member in members:
        unit.db.add(QueueMember(queue_id=queue.id, user_id=member.id))
    unit.db.flush()
    return queue


def make_ticket(unit: WriteUnit, queue: Queue, *, contact: Contact | None = None, organisation: Organisation | None = None,
                subject: str = "The print queue is stuck", text: str = "Nothing prints since the update.", number: str = "",
                assignee: User | None = None, priority: int = 3) -> Ticket:
    serial = next(_numbers)
    ticket = Ticket(id=new_id(), number=number or f"2026-{serial:06d}-0", subject=subject, queue_id=queue.id, priority=priority,
                    contact_id=contact.id if contact else None, assignee_id=assignee.id if assignee else None,
                    organisation_id=organisation.id if organisation else (contact.organisation_id if contact else None),
                    created_at=unit.now, changed_at=unit.now)
    unit.db.add(ticket)
    unit.db.flush()
    unit.db.add(Entry(id=new_id(), ticket_id=ticket.id, seq=1, kind=EntryKind.MESSAGE, visibility=Visibility.CUSTOMER, medium=Medium.MAIL,
                      author_kind="contact", author_id=contact.id if contact else None, author_name=contact.name if contact else "Somebody",
                      subject=subject, text=text, happened_at=unit.now))
    unit.db.flush()
    return ticket


def make_endpoint(unit: WriteUnit, organisation: Organisation, *, name: str = "srv-print-01", state: str = "accepted",
                  endpoint_class: str = "server", responsible: Contact | User | None = None, protected: bool = False,
                  agent_user: str = "support", online: bool = True, accounts: dict[str, object] | None = None) -> Endpoint:
    serial = next(_numbers)
    kind = None if responsible is None else ("contact" if isinstance(responsible, Contact) else "technician")
    endpoint = Endpoint(id=new_id(), organisation_id=organisation.id, name=name, state=state, endpoint_class=endpoint_class,
                        responsible_kind=kind, responsible_id=responsible.id if responsible else None,
                        public_key=f"key-{serial}", fingerprint=f"SHA256:test-{serial}", protected=protected, agent_user=agent_user,
                        online=online, accounts=accounts or {}, enrolled_at=unit.now, accepted_at=unit.now)
    unit.db.add(endpoint)
    unit.db.flush()
    return endpoint


def make_session(unit: WriteUnit, ticket: Ticket, endpoint: Endpoint, technician: User, contact: Contact, *,
                 state: SessionState = SessionState.REQUESTED, scopes: tuple[str, ...] = ("terminal",), minutes: int = 30,
                 os_user: str = "support") -> RemoteSession:
    session = RemoteSession(id=new_id(), ticket_id=ticket.id, ticket_number=ticket.number, organisation_id=endpoint.organisation_id,
                            endpoint_id=endpoint.id, technician_id=technician.id, technician_name=technician.name, contact_id=contact.id,
                            contact_name=contact.name, state=state, purpose="Look at the print queue", scopes=list(scopes), os_user=os_user,
                            max_seconds=minutes * 60, created_at=unit.now)
    unit.db.add(session)
    unit.db.flush()
    return session
