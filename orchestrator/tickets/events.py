"""What happens to tickets, told to other rooms."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.events import Event


@dataclass(frozen=True, slots=True)
class TicketOpened(Event):
    ticket_id: str
    organisation_id: str | None
    queue_id: str


@dataclass(frozen=True, slots=True)
class EntryAdded(Event):
    ticket_id: str
    entry_id: str
    queue_id: str = ""


@dataclass(frozen=True, slots=True)
class TicketChanged(Event):
    """``fields`` names the columns that changed; ``queue_ids`` the queues whose lists look different now."""

    ticket_id: str
    fields: tuple[str, ...]
    queue_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TicketClosed(Event):
    ticket_id: str


@dataclass(frozen=True, slots=True)
class TicketOrganisationChanged(Event):
    """The ticket now belongs to another organisation, or to none: what hung on the old one ends."""

    ticket_id: str
    organisation_id: str | None


@dataclass(frozen=True, slots=True)
class QueueChanged(Event):
    """``user_ids`` are those whose membership changed: their next request must see other queues."""

    queue_id: str
    user_ids: tuple[str, ...] = ()
