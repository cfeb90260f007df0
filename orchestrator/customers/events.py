"""What happens to customers, told to other rooms."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.events import Event


@dataclass(frozen=True, slots=True)
class OrganisationChanged(Event):
    """Made (``fields`` is empty) or changed."""

    organisation_id: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContactChanged(Event):
    """Made (``fields`` is empty) or changed. A changed ``email`` makes open consent links to the old address void."""

    contact_id: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApproverGiven(Event):
    contact_id: str
    right_id: str


@dataclass(frozen=True, slots=True)
class ApproverWithdrawn(Event):
    """Rights ended or were suspended: what hangs on them (open requests, unused consents) ends too."""

    contact_id: str
    right_ids: tuple[str, ...]
    reason: str
