"""Shapes of endpoints and enrolment tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from web.api.shapes.base import Body, Identifier, Shape

EndpointClass = Literal["server", "client"]
Person = Annotated[str, Field(min_length=1, max_length=254)]


class EndpointShape(Shape):
    """``state``: waiting (enrolled, not accepted), accepted, disabled. ``claimed_class`` is what the agent said at enrolment.
    ``duplicate_name``: another machine of the organisation has this name already."""

    id: str
    name: str
    organisation_id: str
    state: str
    endpoint_class: str | None = Field(serialization_alias="class")
    claimed_class: str | None
    fingerprint: str
    duplicate_name: bool
    protected: bool
    consent_mode: str
    responsible_kind: str | None
    responsible_id: str | None
    online: bool
    last_seen_at: datetime | None
    agent_version: str
    version: int
    enrolled_at: datetime
    accepted_at: datetime | None


class EndpointAcceptance(Body):
    """``fingerprint`` is what the agent showed on the machine; ``responsible`` the mail address (or id) of a contact of the
    machine's organisation or of a technician."""

    fingerprint: Annotated[str, Field(min_length=1, max_length=100)]
    endpoint_class: EndpointClass = Field(alias="class")
    responsible: Person


class EndpointChange(Body):
    responsible: Person


class NewEnrolmentToken(Body):
    """``auto_accept`` needs one use, a ``class`` and a ``responsible``, and the right to accept endpoints."""

    organisation_id: Identifier
    uses: Annotated[int, Field(ge=1, le=100)] = 1
    expires_minutes: Annotated[int, Field(ge=1, le=10_080)] = 60
    auto_accept: bool = False
    endpoint_class: EndpointClass | None = Field(default=None, alias="class")
    responsible: Person | None = None


class EnrolmentTokenShape(Shape):
    """``token`` is the printed form ``id.secret.server-key-fingerprint``; its secret is not stored."""

    token: str
