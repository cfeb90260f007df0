"""Enrolment: tokens, the agent's first words, and acceptance after the fingerprints were compared."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from agents.protocol.errors import MalformedMessage
from agents.protocol.messages import Enrolment, HostFacts
from agents.protocol.signatures import PublicKey
from agents.protocol.tokens import EnrolmentToken as TokenText
from agents.protocol.tokens import parse_enrolment_token
from orchestrator.accounts.actor import SYSTEM, Actor, Right
from orchestrator.audit.service import record_audit
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput, NotFound
from orchestrator.core.ids import new_id, new_secret, parse_id
from orchestrator.customers.models import Organisation
from sessions.endpoints.errors import ClassDiffers, FingerprintDiffers, KeyKnown, TokenRefused
from sessions.endpoints.events import EndpointAccepted, EndpointChanged
from sessions.endpoints.facts import store_host_facts, store_inventory
from sessions.endpoints.models import Endpoint, EnrolmentToken
from sessions.endpoints.responsible import find_responsible

CLASSES = ("server", "client")
DEFAULT_LIFE = timedelta(hours=1)
LONGEST_LIFE = timedelta(days=7)
MOST_USES = 100


def create_enrolment_token(
    unit: WriteUnit, actor: Actor, *, organisation_id: str, server_fingerprint: str, uses: int = 1, expires: timedelta = DEFAULT_LIFE,
    auto_accept: bool = False, endpoint_class: str | None = None, responsible: str | None = None,
) -> str:
    """Make a token and return its printed form ``id.secret.server-key-fingerprint``: shown once, its secret is not stored.

    ``auto_accept`` needs a lead, one use, a class and a responsible person (mail address or id). Raises Forbidden, InvalidInput.
    """
    actor.require(Right.ENDPOINTS_ENROL)
    organisation = unit.db.get(Organisation, parse_id(organisation_id))
    if organisation is None:
        raise NotFound()
    if not 1 <= uses <= MOST_USES:
        raise InvalidInput("A token can be used 1 to {most} times.", field="uses", most=MOST_USES)
    if not timedelta(minutes=1) <= expires <= LONGEST_LIFE:
        raise InvalidInput("A token lives for 1 minute to 7 days.", field="expires")
    person = None
    if auto_accept:
        actor.require(Right.ENDPOINTS_ACCEPT)
        if uses != 1:
            raise InvalidInput("A token that accepts by itself works once only.", field="uses")
        _check_class(endpoint_class)
        person = find_responsible(unit, responsible or "", organisation_id=organisation.id)
    secret = new_secret()
    token = EnrolmentToken(
        id=new_id(), secret_hash=_hash(secret), organisation_id=organisation.id, uses_left=uses, auto_accept=auto_accept,
        auto_class=endpoint_class if auto_accept else None, responsible_kind=person.kind if person else None,
        responsible_id=person.id if person else None, created_by_id=actor.user_id, created_at=unit.now, expires_at=unit.now + expires,
    )
    unit.db.add(token)
    unit.db.flush()
    record_audit(unit, actor, "enrolment-token.created", subject=f"organisation {organisation.id}",
                 summary=f"Enrolment token for {organisation.name}, {uses} use(s){', accepts by itself' if auto_accept else ''}",
                 details={"token": token.id, "uses": uses, "expires_at": token.expires_at.isoformat(), "auto_accept": auto_accept})
    return TokenText(token.id, secret, server_fingerprint).text


def revoke_enrolment_token(unit: WriteUnit, actor: Actor, token_id: str) -> None:
    """Let a token work no more. Raises NotFound."""
    actor.require(Right.ENDPOINTS_ENROL)
    token = unit.db.get(EnrolmentToken, parse_id(token_id))
    if token is None:
        raise NotFound()
    if token.revoked_at is None:
        token.revoked_at = unit.now
        record_audit(unit, actor, "enrolment-token.revoked", subject=f"organisation {token.organisation_id}", details={"token": token.id})


def enrol(unit: WriteUnit, *, public_key: str, enrolment: Enrolment, host: HostFacts, address: str | None = None,
          clock_offset_seconds: float = 0.0) -> Endpoint:
    """Enrol an agent whose proof has been checked; the endpoint waits, or is accepted by an auto-accept token.

    ``public_key`` is the text form of the key that signed. Raises TokenRefused, KeyKnown, ClassDiffers.
    """
    key = PublicKey.from_text(public_key)
    token = _use_token(unit, enrolment)
    if unit.db.scalar(select(Endpoint.id).where(Endpoint.fingerprint == key.fingerprint)) is not None:
        raise KeyKnown()
    name = host.host_name.strip() or "unnamed"
    endpoint = Endpoint(
        id=new_id(), organisation_id=token.organisation_id, name=name[:200], state="waiting", claimed_class=host.host_class.value,
        consent_mode=host.consent.value, public_key=key.text, fingerprint=key.fingerprint, duplicate_name=_is_taken(unit, token, name),
        clock_offset_seconds=clock_offset_seconds, enrolled_at=unit.now, last_seen_at=unit.now,
    )
    unit.db.add(endpoint)
    store_host_facts(endpoint, host)
    store_inventory(endpoint, enrolment.inventory)
    try:
        unit.db.flush()
    except IntegrityError as exc:  # the same key enrolled at the same moment
        raise KeyKnown() from exc
    agent = Actor(kind=SYSTEM.kind, id=None, name=f"agent on {endpoint.name}", address=address)
    record_audit(unit, agent, "endpoint.enrolled", subject=f"endpoint {endpoint.id}", summary=f"{endpoint.name} enrolled and waits",
                 details={"fingerprint": endpoint.fingerprint, "token": token.id, "duplicate_name": endpoint.duplicate_name})
    unit.emit(EndpointChanged(endpoint.id, endpoint.organisation_id))
    if token.auto_accept:
        if token.auto_class != endpoint.claimed_class:
            raise ClassDiffers(endpoint.claimed_class or "")
        endpoint.responsible_kind, endpoint.responsible_id = token.responsible_kind, token.responsible_id
        _accept(unit, agent, endpoint, token.auto_class, by_id=token.created_by_id, how="token")
    return endpoint


def accept_endpoint(unit: WriteUnit, actor: Actor, endpoint_id: str, *, fingerprint: str, endpoint_class: str,
                    responsible: str) -> Endpoint:
    """Accept a waiting endpoint after its fingerprint was compared on the machine.

    ``fingerprint`` is what the person read there. Raises Forbidden, NotFound, FingerprintDiffers, ClassDiffers, InvalidInput,
    and Conflict unless it waits.
    """
    actor.require(Right.ENDPOINTS_ACCEPT)
    endpoint = unit.db.get(Endpoint, parse_id(endpoint_id), with_for_update={"key_share": True}, populate_existing=True)
    if endpoint is None:
        raise NotFound()
    if endpoint.state != "waiting":
        raise Conflict("This endpoint does not wait to be accepted.")
    if not hmac.compare_digest(_bare(fingerprint).encode(), _bare(endpoint.fingerprint).encode()):
        raise FingerprintDiffers()
    _check_class(endpoint_class)
    if endpoint.claimed_class is not None and endpoint.claimed_class != endpoint_class:
        raise ClassDiffers(endpoint.claimed_class)
    person = find_responsible(unit, responsible, organisation_id=endpoint.organisation_id)
    endpoint.responsible_kind, endpoint.responsible_id = person.kind, person.id
    _accept(unit, actor, endpoint, endpoint_class, by_id=actor.user_id, how="compared")
    return endpoint


def _accept(unit: WriteUnit, actor: Actor, endpoint: Endpoint, endpoint_class: str | None, *, by_id: str | None, how: str) -> None:
    endpoint.state, endpoint.endpoint_class = "accepted", endpoint_class
    endpoint.accepted_at, endpoint.accepted_by_id = unit.now, by_id
    endpoint.version += 1
    unit.db.flush()
    record_audit(unit, actor, "endpoint.accepted", subject=f"endpoint {endpoint.id}",
                 summary=f"{endpoint.name} accepted as {endpoint_class}",
                 details={"fingerprint": endpoint.fingerprint, "class": endpoint_class, "how": how,
                          "responsible": f"{endpoint.responsible_kind} {endpoint.responsible_id}"})
    unit.emit(EndpointChanged(endpoint.id, endpoint.organisation_id, ("state", "endpoint_class", "responsible_id")))
    unit.emit(EndpointAccepted(endpoint.id))


def _use_token(unit: WriteUnit, enrolment: Enrolment) -> EnrolmentToken:
    try:
        token_id = parse_id(enrolment.token_id)
    except NotFound as exc:
        raise TokenRefused() from exc
    token = unit.db.scalars(select(EnrolmentToken).where(EnrolmentToken.id == token_id).with_for_update(key_share=True).execution_options(
        populate_existing=True)).one_or_none()
    good = token is not None and hmac.compare_digest(token.secret_hash.encode(), _hash(enrolment.secret).encode())
    if token is None or not good or token.uses_left < 1 or token.revoked_at is not None or token.expires_at <= unit.now:
        raise TokenRefused()
    token.uses_left -= 1
    unit.db.flush()
    return token


def _is_taken(unit: WriteUnit, token: EnrolmentToken, name: str) -> bool:
    return unit.db.scalar(select(Endpoint.id).where(
        Endpoint.organisation_id == token.organisation_id, func.lower(Endpoint.name) == name[:200].lower(),
        Endpoint.state != "disabled").limit(1)) is not None


def _check_class(endpoint_class: str | None) -> None:
    if endpoint_class not in CLASSES:
        raise InvalidInput("Say whether the machine is a server or a client.", field="class")


def _bare(fingerprint: str) -> str:
    return "".join(fingerprint.split()).removeprefix("SHA256:").rstrip("=")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def read_token(text: str) -> TokenText:
    """Read a printed token. Raises InvalidInput."""
    try:
        return parse_enrolment_token(text)
    except MalformedMessage as exc:
        raise InvalidInput("This is not a whole enrolment token.", field="token") from exc
