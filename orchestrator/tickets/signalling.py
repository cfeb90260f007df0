"""Hints after the commit: pages that show a ticket, a list or a queue read their rows again."""

from __future__ import annotations

from orchestrator.core.events import Events
from orchestrator.core.signals import Signals
from orchestrator.tickets.events import EntryAdded, QueueChanged, TicketChanged, TicketClosed, TicketOpened


def register(events: Events, signals: Signals) -> None:
    """Publish ``ticket:ID``, ``tickets``, ``queue:ID`` and ``user:ID`` for what happens in this room."""

    def opened(happened: TicketOpened) -> None:
        _publish(signals, happened.ticket_id, (happened.queue_id,))

    def entry_added(happened: EntryAdded) -> None:
        signals.publish(f"ticket:{happened.ticket_id}")

    def changed(happened: TicketChanged) -> None:
        _publish(signals, happened.ticket_id, happened.queue_ids)
        if "wait_until" in happened.fields:
            signals.publish("jobs")

    def closed(happened: TicketClosed) -> None:
        _publish(signals, happened.ticket_id, ())

    def queue_changed(happened: QueueChanged) -> None:
        signals.publish(f"queue:{happened.queue_id}")
        for user_id in happened.user_ids:
            signals.publish(f"user:{user_id}")

    events.after_commit(TicketOpened, opened)
    events.after_commit(EntryAdded, entry_added)
    events.after_commit(TicketChanged, changed)
    events.after_commit(TicketClosed, closed)
    events.after_commit(QueueChanged, queue_changed)


def _publish(signals: Signals, ticket_id: str, queue_ids: tuple[str, ...]) -> None:
    signals.publish(f"ticket:{ticket_id}")
    signals.publish("tickets")
    for queue_id in queue_ids:
        signals.publish(f"queue:{queue_id}")
