"""The thread of mails of a ticket: what our next mail answers."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from orchestrator.core.db import ReadUnit
from orchestrator.tickets.models import Entry, EntryKind, Medium, Ticket


@dataclass(frozen=True, slots=True)
class Thread:
    """Empty when the customer has not written by mail. ``subject`` is that mail's own."""

    message_id: str = ""
    references: str = ""
    subject: str = ""


def last_customer_mail(unit: ReadUnit, ticket: Ticket) -> Thread:
    """Find the newest mail that came in; intake keeps its ids in ``data`` (``message_id``, ``references``)."""
    entries = unit.db.scalars(
        select(Entry).where(Entry.ticket_id == ticket.id, Entry.kind == EntryKind.MESSAGE, Entry.medium == Medium.MAIL,
                            Entry.author_kind == "contact").order_by(Entry.seq.desc()).limit(20)
    )
    for entry in entries:
        message_id = str(entry.data.get("message_id") or "").strip()
        if message_id:
            kept = entry.data.get("references") or ""
            references = " ".join(_angled(one) for one in kept) if isinstance(kept, list) else str(kept)
            return Thread(_angled(message_id), references, entry.subject)
    return Thread()


def _angled(message_id: object) -> str:
    text = str(message_id).strip()
    return text if text.startswith("<") else f"<{text}>"
