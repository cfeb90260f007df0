"""Reading endpoints. Technicians, leads and auditors see all of them; a machine sees itself."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, or_, select

from orchestrator.accounts.actor import Actor, ActorKind, Right
from orchestrator.accounts.models import User
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import NotFound
from orchestrator.core.ids import parse_id
from orchestrator.customers.models import Contact
from sessions.endpoints.models import Endpoint, EnrolmentToken


def may_see(actor: Actor, endpoint: Endpoint) -> bool:
    if actor.kind is ActorKind.AGENT:
        return actor.id == endpoint.id
    if actor.kind is ActorKind.CONTACT:
        return endpoint.responsible_kind == "contact" and endpoint.responsible_id == actor.id
    return actor.kind in (ActorKind.USER, ActorKind.SYSTEM) and actor.may(Right.ENDPOINTS_READ)


def get_endpoint(unit: ReadUnit, actor: Actor, endpoint_id: str) -> Endpoint:
    """Return an endpoint the actor may see. Raises NotFound."""
    endpoint = unit.db.get(Endpoint, parse_id(endpoint_id))
    if endpoint is None or not may_see(actor, endpoint):
        raise NotFound()
    return endpoint


def find_by_fingerprint(unit: ReadUnit, fingerprint: str) -> Endpoint | None:
    """Find the endpoint of a key; for the agent's link, without a permission check."""
    return unit.db.scalars(select(Endpoint).where(Endpoint.fingerprint == fingerprint)).one_or_none()


def list_endpoints(unit: ReadUnit, actor: Actor, *, organisation_id: str | None = None, query: str = "", state: str | None = None,
                   cursor: str | None = None, limit: int = 50) -> tuple[Sequence[Endpoint], str | None]:
    """List endpoints by name; returns the page and the cursor of the next one, or None."""
    actor.require(Right.ENDPOINTS_READ)
    statement = select(Endpoint).order_by(func.lower(Endpoint.name), Endpoint.id).limit(limit + 1)
    if organisation_id is not None:
        statement = statement.where(Endpoint.organisation_id == organisation_id)
    if state is not None:
        statement = statement.where(Endpoint.state == state)
    if query.strip():
        pattern = f"%{_escape(query.strip()[:100].lower())}%"
        statement = statement.where(or_(func.lower(Endpoint.name).like(pattern, escape="\\"), Endpoint.fingerprint == query.strip()))
    if cursor:
        last = unit.db.get(Endpoint, parse_id(cursor))
        if last is None:
            raise NotFound()
        name = last.name.lower()
        statement = statement.where(or_(func.lower(Endpoint.name) > name,
                                        (func.lower(Endpoint.name) == name) & (Endpoint.id > last.id)))
    rows = unit.db.scalars(statement).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def list_endpoints_of_organisation(unit: ReadUnit, actor: Actor, organisation_id: str) -> Sequence[Endpoint]:
    """All endpoints of an organisation that are not disabled, by name; for the ticket's page."""
    actor.require(Right.ENDPOINTS_READ)
    return unit.db.scalars(select(Endpoint).where(
        Endpoint.organisation_id == organisation_id, Endpoint.state != "disabled").order_by(func.lower(Endpoint.name), Endpoint.id)).all()


def list_open_tokens(unit: ReadUnit, actor: Actor) -> Sequence[EnrolmentToken]:
    """Enrolment tokens that still work, the newest first."""
    actor.require(Right.ENDPOINTS_ENROL)
    return unit.db.scalars(select(EnrolmentToken).where(
        EnrolmentToken.revoked_at.is_(None), EnrolmentToken.uses_left > 0, EnrolmentToken.expires_at > unit.now,
    ).order_by(EnrolmentToken.created_at.desc()).limit(100)).all()


def name_of_responsible(unit: ReadUnit, endpoint: Endpoint) -> str:
    """The name of the person responsible for the machine; empty without one."""
    if endpoint.responsible_id is None:
        return ""
    person = unit.db.get(Contact if endpoint.responsible_kind == "contact" else User, endpoint.responsible_id)
    return person.name if person is not None else ""


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
