"""Shapes of remote sessions, their requests, channels, commands and events."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from web.api.shapes.base import Body, Identifier, Shape, SomeText

Scope = Annotated[str, Field(min_length=1, max_length=300)]


class NewSession(Body):
    """``contact_id`` is the ticket's contact unless given; ``user`` the account on the machine; ``minutes`` count from the
    first channel on; the approved session must begin within ``start_within_minutes``."""

    endpoint_id: Identifier
    contact_id: Identifier | None = None
    purpose: Annotated[SomeText, Field(max_length=1000)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=30)]
    user: Annotated[str, Field(max_length=64)] = ""
    minutes: Annotated[int, Field(ge=1, le=1440)]
    start_within_minutes: Annotated[int, Field(ge=1, le=10_080)] = 480
    recording: Annotated[str, Field(max_length=20)] = "full"
    method: Annotated[str, Field(max_length=20)] = "link"


class SessionShape(Shape):
    """``state``: requested, approved, live, suspended, paused; over: denied, expired, cancelled, ended."""

    id: str
    ticket_number: str
    organisation_id: str
    endpoint_id: str
    contact_id: str
    contact_name: str
    technician_id: str
    technician_name: str
    state: str
    purpose: str
    scopes: list[str]
    granted_scopes: list[str] | None
    os_user: str
    recording: str
    max_seconds: int
    granted_seconds: int | None
    start_by_at: datetime | None
    started_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    end_reason: str
    summary: str
    version: int
    created_at: datetime


class ConsentShape(Shape):
    """One question to an approver. ``state``: open, approved, denied, expired, withdrawn. ``follow_up`` asks for more in a
    running session. The answer's fields are null until there is one."""

    id: str
    session_id: str
    contact_id: str
    method: str
    follow_up: bool
    state: str
    sent_to: str
    expires_at: datetime
    created_at: datetime
    decided_at: datetime | None
    decision: str | None
    scopes: list[str] | None
    max_seconds: int | None
    approver_name: str | None
    withdrawn_at: datetime | None


class SessionEnd(Body):
    """``summary`` is what the technician wants to keep on the ticket."""

    summary: Annotated[str, Field(max_length=4000)] = ""


class NewChannel(Body):
    kind: Annotated[str, Field(min_length=1, max_length=20)] = "shell"
    columns: Annotated[int, Field(ge=1, le=1000)] = 80
    rows: Annotated[int, Field(ge=1, le=1000)] = 24


class ChannelShape(Shape):
    """``console`` and ``watch`` are the paths of its WebSockets, with the label of the process that holds it.
    ``state``: opening, live, away, exited, closed, failed."""

    id: str
    session_id: str
    kind: str
    state: str
    os_user: str
    shell: str
    marked: bool
    columns: int
    rows: int
    exit_status: int | None
    close_reason: str
    output_bytes: int
    output_sha256: str
    word_differs: bool
    opened_at: datetime
    closed_at: datetime | None
    console: str
    watch: str


class CommandShape(Shape):
    """``line`` is null when the shell did not say; ``source`` tells how the row is known; offsets are raw output bytes of the
    channel's recording."""

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


class SessionEventShape(Shape):
    """One entry of the session's event chain; ``facts`` is empty when its content was erased."""

    seq: int
    kind: str
    happened_at: datetime
    facts: dict[str, object]
