"""Shapes of what search and audit find."""

from __future__ import annotations

from datetime import datetime

from web.api.shapes.base import Shape


class HitShape(Shape):
    """``kind``: ticket, entry, article, contact, organisation, endpoint, command. ``id`` is that of the thing found."""

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
