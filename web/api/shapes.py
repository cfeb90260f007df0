"""Shapes of the API: what comes in (strict, bounded) and what goes out. Times are ISO 8601 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Item = TypeVar("Item", bound=BaseModel)

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=200)]
Identifier = Annotated[str, Field(min_length=1, max_length=40)]
Line = Annotated[str, Field(min_length=1, max_length=300)]
Text = Annotated[str, Field(max_length=200_000)]


class Body(BaseModel):
    """What comes in: unknown fields are an error, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid")


class Shape(BaseModel):
    """What goes out."""

    model_config = ConfigDict(from_attributes=True)


class Page(BaseModel, Generic[Item]):
    """One page of a list; ``next`` is the cursor of the following one."""

    items: list[Item]
    next: str | None


class NewOrganisation(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    domains: list[Annotated[str, Field(max_length=253)]] = []
    language: Literal["de", "en"] | None = None


class OrganisationShape(Shape):
    id: str
    number: str
    name: str
    domains: list[str]
    language: str | None
    internal: bool
    created_at: datetime


class NewContact(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    email: Annotated[str, Field(max_length=254)] | None = None
    phone: Annotated[str, Field(max_length=40)] | None = None
    organisation_id: Identifier | None = None
    language: Literal["de", "en"] | None = None
    shared_mailbox: bool = False


class ContactShape(Shape):
    id: str
    name: str
    email: str | None
    phone: str | None
    organisation_id: str | None
    language: str | None
    shared_mailbox: bool
    version: int
    created_at: datetime


class NewApprover(Body):
    scopes: list[Annotated[str, Field(max_length=300)]]
    until: AwareDatetime
    ticket: Identifier | None = None
    reason: Annotated[str, Field(max_length=500)] = ""


class ApproverShape(Shape):
    id: str
    contact_id: str
    scopes: list[str]
    until: datetime
    ticket_id: str | None
    granted_by_name: str
    created_at: datetime


class Caller(Body):
    """A person never entered before: a name, and an address or a number."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    email: Annotated[str, Field(max_length=254)] | None = None
    phone: Annotated[str, Field(max_length=40)] | None = None


class NewTicket(Body):
    subject: Line
    text: Text
    queue: Annotated[str, Field(max_length=100)] | None = None
    contact_id: Identifier | None = None
    contact: Caller | None = None
    organisation_id: Identifier | None = None
    kind: Literal["incident", "request", "complaint", "claim", "problem"] = "incident"
    impact: Literal["high", "medium", "low"] = "medium"
    urgency: Literal["high", "medium", "low"] = "medium"


class TicketChange(Body):
    """What may be changed in one step; fields left out stay as they are."""

    status: Literal["new", "open", "waiting_customer", "waiting_until", "resolved", "closed"] | None = None
    wait_until: AwareDatetime | None = None
    queue: Annotated[str, Field(max_length=100)] | None = None
    assignee: Annotated[str, Field(max_length=254)] | None = None
    priority: Annotated[int, Field(ge=1, le=5)] | None = None
    reason: Annotated[str, Field(max_length=500)] = ""


class TicketShape(Shape):
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
    assignee_id: str | None
    version: int
    created_at: datetime
    changed_at: datetime


class NewEntry(Body):
    """``reply`` goes to the customer by mail; ``note`` stays internal."""

    kind: Literal["reply", "note"]
    text: Annotated[str, Field(min_length=1, max_length=200_000)]


class AttachmentShape(Shape):
    id: str
    name: str
    media_type: str
    size: int
    sha256: str


class EntryShape(Shape):
    id: str
    seq: int
    kind: str
    visibility: str
    medium: str
    author_name: str
    subject: str
    text: str
    data: dict[str, object]
    happened_at: datetime


class TakenTicket(BaseModel):
    """``why`` is a code with values: priority, deadline, waiting since."""

    ticket: TicketShape
    why: str


class EndpointShape(Shape):
    id: str
    name: str
    organisation_id: str
    state: str
    endpoint_class: str | None = Field(serialization_alias="class")
    fingerprint: str
    protected: bool
    consent_mode: str
    responsible_kind: str | None
    responsible_id: str | None
    online: bool
    last_seen_at: datetime | None
    agent_version: str
    version: int


class EndpointAcceptance(Body):
    """``fingerprint`` is what the agent showed; ``responsible`` the mail address of a contact or technician."""

    fingerprint: Annotated[str, Field(max_length=100)]
    endpoint_class: Literal["server", "client"] = Field(alias="class")
    responsible: Annotated[str, Field(max_length=254)]


class NewEnrolmentToken(Body):
    organisation_id: Identifier
    uses: Annotated[int, Field(ge=1, le=100)] = 1
    expires_minutes: Annotated[int, Field(ge=1, le=10_080)] = 60
    auto_accept: bool = False
    endpoint_class: Literal["server", "client"] | None = Field(default=None, alias="class")
    responsible: Annotated[str, Field(max_length=254)] | None = None


class EnrolmentTokenShape(BaseModel):
    """``token`` is shown this once."""

    token: str


class NewSession(Body):
    endpoint_id: Identifier
    contact_id: Identifier | None = None
    purpose: Annotated[str, Field(min_length=1, max_length=2000)]
    scopes: list[Annotated[str, Field(max_length=300)]]
    user: Annotated[str, Field(max_length=64)] = ""
    minutes: Annotated[int, Field(ge=1, le=1440)]
    start_within_minutes: Annotated[int, Field(ge=1, le=10_080)] = 480
    recording: str = "full"
    method: str = "link"


class SessionShape(Shape):
    id: str
    ticket_number: str
    endpoint_id: str
    contact_id: str
    technician_id: str
    state: str
    purpose: str
    scopes: list[str]
    granted_scopes: list[str] | None
    os_user: str
    max_seconds: int
    granted_seconds: int | None
    start_by_at: datetime | None
    started_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    end_reason: str
    created_at: datetime


class SessionEnd(Body):
    summary: Annotated[str, Field(max_length=4000)] = ""


class NewChannel(Body):
    kind: Annotated[str, Field(max_length=20)] = "shell"
    columns: Annotated[int, Field(ge=1, le=1000)] = 80
    rows: Annotated[int, Field(ge=1, le=1000)] = 24


class ChannelShape(Shape):
    """``console`` and ``watch`` are the paths of its WebSockets, with the label of the process that holds it."""

    id: str
    session_id: str
    kind: str
    state: str
    os_user: str
    shell: str
    marked: bool
    exit_status: int | None
    close_reason: str
    output_bytes: int
    opened_at: datetime
    closed_at: datetime | None
    console: str
    watch: str


class CommandShape(Shape):
    line: str | None
    directory: str | None
    directory_after: str | None
    exit_status: int | None
    started_at: datetime | None
    seconds: float | None
    offset_start: int
    offset_end: int | None
    shell: str
    source: str
    flags: list[str]
    channel_id: str


class SessionEventShape(BaseModel):
    seq: int
    kind: str
    happened_at: datetime
    facts: dict[str, object]


class NewArticle(Body):
    title: Line
    problem: Text = ""
    body: Text = ""
    language: Literal["de", "en"]
    internal: bool = True
    publish: bool = False


class ArticleChange(Body):
    title: Line
    problem: Text = ""
    body: Text = ""
    internal: bool = True
    version: Annotated[int, Field(ge=1)]


class ArticleShape(Shape):
    id: str
    group_id: str
    language: str
    title: str
    problem: str
    body: str
    internal: bool
    state: str
    version: int
    created_at: datetime
    changed_at: datetime
    published_at: datetime | None


class HitShape(BaseModel):
    kind: str
    id: str
    title: str
    snippet: str
    ticket: str | None
    happened_at: datetime


class AuditShape(Shape):
    seq: int
    kind: str
    actor_kind: str
    actor_name: str
    subject: str
    ticket_number: str | None
    summary: str
    address: str | None
    happened_at: datetime
