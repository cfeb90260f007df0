"""Opening tickets and adding to their timeline. Everything else that changes a ticket ends in ``add_entry`` too.

Here no right is asked for: whoever calls these has decided that already (a getter, a form, intake, a session's step).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Insert, func, select
from sqlalchemy.dialects import postgresql, sqlite

from orchestrator.accounts.actor import Actor, ActorKind
from orchestrator.accounts.desk import read_desk_facts
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import InvalidInput, NotFound
from orchestrator.core.ids import new_id
from orchestrator.core.text import one_line, storable
from orchestrator.customers.models import Contact, Organisation
from orchestrator.search.index import touch
from orchestrator.tickets.blobs import NewAttachment, add_attachment
from orchestrator.tickets.events import EntryAdded, TicketOpened
from orchestrator.tickets.models import (
    Entry,
    EntryKind,
    Kind,
    Level,
    Medium,
    Participant,
    Queue,
    Status,
    Ticket,
    TicketCounter,
    Visibility,
)
from orchestrator.tickets.notices import NOTICES
from orchestrator.tickets.numbers import format_number
from orchestrator.tickets.priority import priority_of


def open_ticket(
    unit: WriteUnit, actor: Actor, *, subject: str, text: str, queue_id: str, contact_id: str | None, organisation_id: str | None,
    medium: Medium, kind: Kind = Kind.INCIDENT, impact: Level = Level.MEDIUM, urgency: Level = Level.MEDIUM, language: str,
    html: str = "", folded: str = "", author: Contact | None = None, attachments: Sequence[NewAttachment] = (),
    data: Mapping[str, Any] | None = None,
) -> tuple[Ticket, Entry]:
    """Open a ticket with a new number and its first entry, visible to the customer.

    ``author`` is the contact who wrote; without one the entry carries the actor's name. The organisation defaults to the
    contact's. Raises ``InvalidInput`` for a queue or customer that is not there.
    """
    if unit.db.get(Queue, queue_id) is None:
        raise InvalidInput("There is no such queue.", field="queue")
    contact = unit.db.get(Contact, contact_id) if contact_id else None
    if contact_id and contact is None:
        raise InvalidInput("There is no such contact.", field="contact_id")
    organisation_id = organisation_id or (contact.organisation_id if contact else None)
    organisation = unit.db.get(Organisation, organisation_id) if organisation_id else None
    if organisation_id and organisation is None:
        raise InvalidInput("There is no such organisation.", field="organisation_id")
    ticket = Ticket(
        id=new_id(), number=draw_number(unit), subject=one_line(subject, 500) or "–", kind=kind, status=Status.NEW, impact=impact,
        urgency=urgency, priority=priority_of(impact, urgency, organisation.priority_matrix if organisation else None),
        language=language, organisation_id=organisation_id, contact_id=contact_id, queue_id=queue_id, created_at=unit.now,
        changed_at=unit.now,
    )
    unit.db.add(ticket)
    unit.db.flush()
    if contact is not None and contact.email:
        add_participant(unit, ticket, contact.email)
    entry = add_entry(
        unit, actor, ticket, kind=EntryKind.MESSAGE, visibility=Visibility.CUSTOMER, medium=medium, text=text, folded=folded, html=html,
        subject=subject, author_kind=str(ActorKind.CONTACT) if author else str(actor.kind), author_id=author.id if author else actor.id,
        author_name=author.name if author else actor.name, attachments=attachments, data=data,
    )
    touch(unit, "ticket", ticket.id)
    unit.emit(TicketOpened(ticket.id, ticket.organisation_id, ticket.queue_id))
    return ticket, entry


def add_entry(
    unit: WriteUnit, actor: Actor, ticket: Ticket, *, kind: EntryKind, visibility: Visibility, medium: Medium, text: str,
    author_kind: str, author_id: str | None, author_name: str, subject: str = "", folded: str = "", html: str = "",
    data: Mapping[str, Any] | None = None, attachments: Sequence[NewAttachment] = (),
) -> Entry:
    """Add one item to the timeline, numbered without gaps, and note the time of change on the ticket.

    When the actor is not the author (a technician enters a call), ``data['entered_by']`` names the actor.
    """
    lock_ticket(unit, ticket)
    last = unit.db.scalar(select(func.max(Entry.seq)).where(Entry.ticket_id == ticket.id)) or 0
    kept = dict(data or {})
    if actor.kind is ActorKind.USER and (author_kind, author_id) != (str(actor.kind), actor.id):
        kept.setdefault("entered_by", actor.name)
    entry = Entry(
        id=new_id(), ticket_id=ticket.id, seq=last + 1, kind=kind, visibility=visibility, medium=medium, author_kind=author_kind,
        author_id=author_id, author_name=one_line(author_name, 200), subject=one_line(subject, 500), text=storable(text),
        folded=storable(folded), html=storable(html), data=kept, happened_at=unit.now,
    )
    unit.db.add(entry)
    ticket.changed_at = unit.now
    unit.db.flush()
    for attachment in attachments:
        add_attachment(unit, entry, attachment)
    if kind in (EntryKind.MESSAGE, EntryKind.NOTE):
        touch(unit, "entry", entry.id)
    unit.emit(EntryAdded(ticket.id, entry.id, ticket.queue_id))
    return entry


def add_change(unit: WriteUnit, actor: Actor, ticket: Ticket, *, what: str, before: object, after: object, reason: str = "",
               names: Mapping[str, str] | None = None) -> Entry:
    """Write a CHANGE entry: ``data`` says what changed from what to what, with readable ``names`` where ids changed."""
    return add_entry(
        unit, actor, ticket, kind=EntryKind.CHANGE, visibility=Visibility.INTERNAL, medium=medium_of(actor), text=reason,
        author_kind=str(actor.kind), author_id=actor.id, author_name=actor.name,
        data={"what": what, "from": before, "to": after, **({"names": dict(names)} if names else {})},
    )


def add_notice(unit: WriteUnit, ticket: Ticket, *, code: str, values: Mapping[str, object] | None = None, text: str = "",
               actor: Actor | None = None) -> Entry:
    """Write a NOTICE entry of the program. ``text`` is the English sentence, by default the one of ``code`` (a key of
    ``notices.NOTICES``), which pages show translated."""
    from_whom = actor or PROGRAM
    return add_entry(
        unit, from_whom, ticket, kind=EntryKind.NOTICE, visibility=Visibility.INTERNAL, medium=Medium.PROGRAM,
        text=text or NOTICES[code] % dict(values or {}), author_kind=str(from_whom.kind), author_id=from_whom.id,
        author_name=from_whom.name, data={"code": code, "values": dict(values or {})},
    )


def lock_ticket(unit: WriteUnit, ticket: Ticket) -> Ticket:
    """Hold the ticket's row until the unit ends and bring ``ticket`` up to date. Decide on its state only after this."""
    statement = select(Ticket).where(Ticket.id == ticket.id).execution_options(populate_existing=True)
    found = unit.db.scalar(statement.with_for_update(key_share=True))
    if found is None:
        raise NotFound()
    return found


def draw_number(unit: WriteUnit) -> str:
    """Draw the next number of this year (in the desk's zone); its counter is held until the unit ends."""
    facts = read_desk_facts(unit)
    year = unit.now.astimezone(ZoneInfo(facts.time_zone)).year
    counter = unit.db.scalar(_count_up(unit, year))
    assert counter is not None
    return format_number(facts.number_formats[0], year=year, counter=counter)


def _count_up(unit: WriteUnit, year: int) -> Any:
    make = postgresql.insert if unit.db.get_bind().dialect.name == "postgresql" else sqlite.insert
    return make(TicketCounter).values(year=year, last=1).on_conflict_do_update(
        index_elements=[TicketCounter.year], set_={"last": TicketCounter.last + 1}).returning(TicketCounter.last)


def add_participant(unit: WriteUnit, ticket: Ticket, address: str) -> None:
    """Note a mail address that took part in the ticket, so that it may follow up."""
    make = postgresql.insert if unit.db.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement: Insert = make(Participant).values(ticket_id=ticket.id, address=address.strip().lower()[:254]).on_conflict_do_nothing()
    unit.db.execute(statement)


def medium_of(actor: Actor) -> Medium:
    """How an actor's own deeds reach the timeline."""
    if actor.token_id is not None:
        return Medium.API
    return Medium.DESK if actor.kind is ActorKind.USER else Medium.PROGRAM


PROGRAM = Actor(kind=ActorKind.SYSTEM, id=None, name="Fernwart")
