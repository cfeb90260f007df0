"""Shapes of tickets and the entries of their timelines."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, model_validator

from web.api.shapes.base import Address, Body, Identifier, Line, Name, Shape, SomeText
from web.api.shapes.customers import Phone

Status = Literal["new", "open", "waiting_customer", "waiting_until", "resolved", "closed"]
Kind = Literal["incident", "request", "complaint", "claim", "problem"]
Level = Literal["high", "medium", "low"]
QueueName = Annotated[str, Field(min_length=1, max_length=100)]


class Caller(Body):
    """A person never entered before: a name, and an address or a number."""

    name: Name
    email: Address | None = None
    phone: Phone | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Caller:
        if not (self.email or "").strip() and not (self.phone or "").strip():
            raise ValueError("give an email address or a phone number")
        return self


class NewTicket(Body):
    """``queue`` is a queue's name or id, by default the desk's first one. The organisation is the contact's unless given."""

    subject: Line
    text: SomeText
    queue: QueueName | None = None
    contact_id: Identifier | None = None
    contact: Caller | None = None
    organisation_id: Identifier | None = None
    kind: Kind = "incident"
    impact: Level = "medium"
    urgency: Level = "medium"

    @model_validator(mode="after")
    def _one_contact(self) -> NewTicket:
        if self.contact is not None and self.contact_id is not None:
            raise ValueError("give contact_id or contact, not both")
        return self


class TicketChange(Body):
    """What may be changed in one step; fields left out stay as they are. ``assignee`` is a mail address or id, null gives the
    ticket back to the queue. A ``priority`` set by hand needs a ``reason``. The organisation is that of a new contact unless
    given as well."""

    subject: Line | None = None
    kind: Kind | None = None
    status: Status | None = None
    wait_until: AwareDatetime | None = None
    queue: QueueName | None = None
    assignee: Address | None = None
    impact: Level | None = None
    urgency: Level | None = None
    priority: Annotated[int, Field(ge=1, le=5)] | None = None
    contact_id: Identifier | None = None
    organisation_id: Identifier | None = None
    reason: Annotated[str, Field(max_length=500)] = ""


class TicketShape(Shape):
    """``queue`` is the queue's name. ``priority`` 1 is the most urgent."""

    id: str
    number: str
    subject: str
    kind: str
    status: str
    impact: str
    urgency: str
    priority: int
    language: str
    organisation_id: str | None
    contact_id: str | None
    queue_id: str
    queue: str
    assignee_id: str | None
    wait_until: datetime | None
    version: int
    created_at: datetime
    changed_at: datetime
    resolved_at: datetime | None
    closed_at: datetime | None


class NewEntry(Body):
    """``reply`` goes to the customer by mail; ``note`` stays internal."""

    kind: Literal["reply", "note"]
    text: SomeText


class AttachmentShape(Shape):
    id: str
    name: str
    media_type: str
    size: int
    sha256: str


class EntryShape(Shape):
    """``data`` depends on the kind: of a change what, from and to; of a session's step its ``session_id`` and ``step``."""

    id: str
    seq: int
    kind: str
    visibility: str
    medium: str
    author_kind: str
    author_name: str
    subject: str
    text: str
    data: dict[str, object]
    attachments: list[AttachmentShape]
    happened_at: datetime


class TakenTicket(Shape):
    """``why`` says in a sentence why this ticket was the next one."""

    ticket: TicketShape
    why: str
