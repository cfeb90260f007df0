"""Who is responsible for a machine: a contact of its organisation, or somebody who works with the desk."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from orchestrator.accounts.models import User
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import InvalidInput
from orchestrator.customers.models import Contact


@dataclass(frozen=True, slots=True)
class Responsible:
    """``kind`` is contact or technician, ``id`` that of the contact or the user."""

    kind: str
    id: str


def find_responsible(unit: ReadUnit, text: str, *, organisation_id: str) -> Responsible:
    """Find the person by mail address or id. Raises InvalidInput when nobody fits, also for a contact of another organisation."""
    wanted = text.strip()
    if "@" in wanted:
        contact = unit.db.scalars(select(Contact).where(Contact.email == wanted.lower())).one_or_none()
        user = unit.db.scalars(select(User).where(User.email == wanted.lower())).one_or_none()
    else:
        contact = unit.db.get(Contact, wanted) if len(wanted) == 36 else None
        user = unit.db.get(User, wanted) if len(wanted) == 36 else None
    if contact is not None and contact.organisation_id == organisation_id and contact.left_at is None:
        return Responsible("contact", contact.id)
    if user is not None and user.disabled_at is None:
        return Responsible("technician", user.id)
    raise InvalidInput("Name a contact of this organisation, or somebody of the desk, by mail address.", field="responsible")
