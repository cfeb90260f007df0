"""Two people write at once: the second is shown what the first wrote before his own text leaves."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from orchestrator.accounts.actor import Actor
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import Conflict
from orchestrator.tickets.models import Entry, EntryKind, Ticket

MAX_SHOWN = 20


class WrittenMeanwhile(Conflict):
    """Others wrote after the page was loaded; ``entries`` are theirs, the oldest first. Sending again with the number of
    the last one says that it was read."""

    code = "written_meanwhile"

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__("While you wrote, {names} wrote too. Read that first, then send again.",
                         names=", ".join(dict.fromkeys(entry.author_name for entry in entries)))
        self.entries = tuple(entries)


def require_nothing_new(unit: ReadUnit, actor: Actor, ticket: Ticket, seen_seq: int | None) -> None:
    """Raise ``WrittenMeanwhile`` when somebody else wrote a message or a note after entry ``seen_seq``.

    Asked with the ticket locked, so that nothing slips in between the question and the answer.
    """
    if seen_seq is None:
        return
    entries = unit.db.scalars(
        select(Entry).where(Entry.ticket_id == ticket.id, Entry.seq > seen_seq, Entry.kind.in_((EntryKind.MESSAGE, EntryKind.NOTE)))
        .order_by(Entry.seq).limit(MAX_SHOWN)
    ).all()
    others = [entry for entry in entries if (entry.author_kind, entry.author_id) != (str(actor.kind), actor.id)]
    if others:
        raise WrittenMeanwhile(others)
