"""Shapes of organisations, contacts, and the right to approve remote access."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from web.api.shapes.base import Address, Body, Identifier, Name, Shape

Domain = Annotated[str, Field(max_length=253)]
Phone = Annotated[str, Field(max_length=40)]
Language = Literal["de", "en"]


class NewOrganisation(Body):
    name: Name
    domains: Annotated[list[Domain], Field(max_length=100)] = []
    language: Language | None = None
    internal: bool = False


class OrganisationChange(Body):
    """Fields left out stay as they are; ``language: null`` removes it."""

    name: Name | None = None
    domains: Annotated[list[Domain], Field(max_length=100)] | None = None
    language: Language | None = None
    internal: bool | None = None


class OrganisationShape(Shape):
    id: str
    number: str
    name: str
    domains: list[str]
    language: str | None
    internal: bool
    version: int
    created_at: datetime


class NewContact(Body):
    name: Name
    email: Address | None = None
    phone: Phone | None = None
    organisation_id: Identifier | None = None
    language: Language | None = None
    shared_mailbox: bool = False


class ContactChange(Body):
    """Fields left out stay as they are; null removes address, number, organisation or language. A new address cannot
    approve for 24 hours. ``left: true`` says that the person has left: every right to approve ends."""

    name: Name | None = None
    email: Address | None = None
    phone: Phone | None = None
    organisation_id: Identifier | None = None
    language: Language | None = None
    shared_mailbox: bool | None = None
    left: bool | None = None


class ContactShape(Shape):
    id: str
    name: str
    email: str | None
    phone: str | None
    organisation_id: str | None
    language: str | None
    shared_mailbox: bool
    left_at: datetime | None
    version: int
    created_at: datetime


class NewApprover(Body):
    """``ticket`` (number or id) makes it a right for that ticket alone, which needs a ``reason``."""

    scopes: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=30)]
    until: AwareDatetime
    ticket: Identifier | None = None
    reason: Annotated[str, Field(max_length=500)] = ""


class ApproverShape(Shape):
    id: str
    contact_id: str
    scopes: list[str]
    until: datetime
    ticket_id: str | None
    reason: str
    granted_by_name: str
    created_at: datetime
    ended_at: datetime | None
    suspended_at: datetime | None
