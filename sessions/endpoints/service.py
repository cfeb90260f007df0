"""Changing endpoints: presence and facts of the agent's link, responsible person, disabling. Enrolment is in ``enrolment.py``."""

from __future__ import annotations

from sqlalchemy import select

from agents.protocol.messages import HostFacts, Inventory, UserFacts
from orchestrator.accounts.actor import Actor, Right
from orchestrator.audit.service import record_audit
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, NotFound
from orchestrator.core.ids import parse_id
from sessions.endpoints.enrolment import accept_endpoint, create_enrolment_token, enrol, revoke_enrolment_token
from sessions.endpoints.errors import StaleHolder
from sessions.endpoints.events import EndpointChanged, EndpointDisabled, PresenceChanged
from sessions.endpoints.facts import store_accounts, store_host_facts, store_inventory
from sessions.endpoints.models import Endpoint
from sessions.endpoints.responsible import find_responsible

__all__ = [
    "accept_endpoint", "change_responsible", "create_enrolment_token", "disable_endpoint", "enrol", "hold_link", "lock_endpoint", "note_accounts",
    "note_inventory", "release_link", "reset_presence", "revoke_enrolment_token", "set_presence",
]


def lock_endpoint(unit: WriteUnit, endpoint_id: str) -> Endpoint:
    """Hold an endpoint's row until the unit ends, brought up to date. Raises NotFound."""
    endpoint = unit.db.scalars(select(Endpoint).where(Endpoint.id == endpoint_id).with_for_update(key_share=True).execution_options(
        populate_existing=True)).one_or_none()
    if endpoint is None:
        raise NotFound()
    return endpoint


def hold_link(unit: WriteUnit, endpoint_id: str, *, label: str, host: HostFacts, clock_offset_seconds: float) -> int:
    """This process holds the agent's control link from now on; returns the holder epoch that its later writes must name.

    Raises Conflict when the endpoint is disabled.
    """
    endpoint = lock_endpoint(unit, endpoint_id)
    if endpoint.state == "disabled":
        raise Conflict("This endpoint is disabled.")
    fields = store_host_facts(endpoint, host)
    endpoint.clock_offset_seconds = clock_offset_seconds
    epoch = endpoint.holder_epoch + 1
    _write_presence(unit, endpoint, online=True, label=label, epoch=epoch)
    if fields:
        unit.emit(EndpointChanged(endpoint.id, endpoint.organisation_id, fields))
    return epoch


def set_presence(unit: WriteUnit, endpoint_id: str, *, online: bool, label: str, epoch: int) -> Endpoint:
    """Write whether the agent's link stands. Raises StaleHolder when another process holds it with a higher epoch."""
    endpoint = lock_endpoint(unit, endpoint_id)
    if epoch < endpoint.holder_epoch:
        raise StaleHolder()
    _write_presence(unit, endpoint, online=online, label=label, epoch=epoch)
    return endpoint


def release_link(unit: WriteUnit, endpoint_id: str, *, epoch: int) -> bool:
    """The link is gone; returns False (and changes nothing) when a newer one stands already."""
    endpoint = lock_endpoint(unit, endpoint_id)
    if epoch < endpoint.holder_epoch:
        return False
    _write_presence(unit, endpoint, online=False, label=endpoint.holder_label or "", epoch=epoch)
    return True


def reset_presence(unit: WriteUnit, *, label: str) -> list[str]:
    """A process with this label starts: no link of its earlier life stands. Returns the endpoints concerned."""
    rows = unit.db.scalars(select(Endpoint).where(Endpoint.online.is_(True), Endpoint.holder_label == label).order_by(
        Endpoint.id).with_for_update(key_share=True)).all()
    for endpoint in rows:
        _write_presence(unit, endpoint, online=False, label=label, epoch=endpoint.holder_epoch)
    return [endpoint.id for endpoint in rows]


def _write_presence(unit: WriteUnit, endpoint: Endpoint, *, online: bool, label: str, epoch: int) -> None:
    changed = endpoint.online != online
    endpoint.online, endpoint.holder_label, endpoint.holder_epoch, endpoint.last_seen_at = online, label, epoch, unit.now
    unit.db.flush()
    if changed:
        unit.emit(PresenceChanged(endpoint.id, endpoint.organisation_id, online))


def note_inventory(unit: WriteUnit, endpoint_id: str, inventory: Inventory) -> Endpoint:
    """Store what the agent tells of its machine; its name stays the one it was enrolled under."""
    endpoint = lock_endpoint(unit, endpoint_id)
    store_inventory(endpoint, inventory)
    unit.db.flush()
    unit.emit(EndpointChanged(endpoint.id, endpoint.organisation_id, ("inventory", "accounts")))
    return endpoint


def note_accounts(unit: WriteUnit, endpoint_id: str, users: list[UserFacts]) -> Endpoint:
    """Store the agent's answer about OS accounts (``ask_user``)."""
    endpoint = lock_endpoint(unit, endpoint_id)
    store_accounts(endpoint, users)
    unit.db.flush()
    unit.emit(EndpointChanged(endpoint.id, endpoint.organisation_id, ("accounts",)))
    return endpoint


def change_responsible(unit: WriteUnit, actor: Actor, endpoint_id: str, *, responsible: str) -> Endpoint:
    """Make somebody else responsible for the machine."""
    actor.require(Right.ENDPOINTS_ACCEPT)
    endpoint = lock_endpoint(unit, parse_id(endpoint_id))
    person = find_responsible(unit, responsible, organisation_id=endpoint.organisation_id)
    endpoint.responsible_kind, endpoint.responsible_id = person.kind, person.id
    endpoint.version += 1
    unit.db.flush()
    record_audit(unit, actor, "endpoint.responsible-changed", subject=f"endpoint {endpoint.id}",
                 summary=f"Another person is responsible for {endpoint.name}", details={"responsible": f"{person.kind} {person.id}"})
    unit.emit(EndpointChanged(endpoint.id, endpoint.organisation_id, ("responsible_id",)))
    return endpoint


def disable_endpoint(unit: WriteUnit, actor: Actor, endpoint_id: str, *, reason: str = "") -> Endpoint:
    """Disable an endpoint (or refuse a waiting one): its sessions end, its link closes, its key is refused for ever."""
    actor.require(Right.ENDPOINTS_ACCEPT)
    endpoint = lock_endpoint(unit, parse_id(endpoint_id))
    if endpoint.state == "disabled":
        raise Conflict("This endpoint is disabled already.")
    was = endpoint.state
    endpoint.state = "disabled"
    endpoint.version += 1
    unit.db.flush()
    unit.emit(EndpointDisabled(endpoint.id, endpoint.organisation_id))
    unit.emit(EndpointChanged(endpoint.id, endpoint.organisation_id, ("state",)))
    record_audit(unit, actor, "endpoint.disabled", subject=f"endpoint {endpoint.id}", summary=f"{endpoint.name} disabled",
                 details={"reason": reason[:500], "was": was})
    return endpoint
