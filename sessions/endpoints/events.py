"""What happens to endpoints, told to other rooms and to what runs live."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.events import Event


@dataclass(frozen=True, slots=True)
class EndpointChanged(Event):
    """Enrolled, accepted, renamed, new inventory, another responsible person. ``fields`` is empty for a new one."""

    endpoint_id: str
    organisation_id: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PresenceChanged(Event):
    """The agent's link came or went."""

    endpoint_id: str
    organisation_id: str
    online: bool


@dataclass(frozen=True, slots=True)
class EndpointAccepted(Event):
    """A waiting agent may have its ``welcome`` now."""

    endpoint_id: str


@dataclass(frozen=True, slots=True)
class EndpointDisabled(Event):
    """Sessions on it end, its link is closed, and it is refused from now on."""

    endpoint_id: str
    organisation_id: str
