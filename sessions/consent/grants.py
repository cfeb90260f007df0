"""Signing a grant: the signed form of a consent, for one agent, over the nonce it has just issued.

Called when the technician opens, after ``open_session``, never at the decision: an endpoint that was away then needs none.
The agent checks everything again; what a grant says is defined in ``agents/protocol/grants.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from agents.protocol.grants import DOCUMENT_VERSION, ConsentMethod, Grant, Recording
from agents.protocol.signatures import hash_document
from orchestrator.accounts.actor import Actor
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict
from orchestrator.core.ids import new_id
from orchestrator.customers.models import Contact
from sessions.consent.checks import find_change
from sessions.consent.models import Consent, ConsentRequest
from sessions.endpoints.models import Endpoint
from sessions.keys import ServerKeys
from sessions.lifecycle.models import RemoteSession, SessionState
from sessions.lifecycle.queries import find_consent_in_force
from sessions.lifecycle.reasons import EndReason
from sessions.lifecycle.steps import lock_session, record_event


class ConsentOver(Conflict):
    """The yes was given, but what it stood on holds no more. The session must end for ``end_reason``."""

    code = "consent_over"

    def __init__(self, end_reason: EndReason, change: str) -> None:
        super().__init__("The consent cannot be used: {reason}", reason=change)
        self.end_reason = end_reason


@dataclass(frozen=True, slots=True)
class SignedGrant:
    """A grant as it is sent. ``sha256`` is how agent and word name it; ``request_token`` the request it refers to."""

    grant_id: str
    consent_id: str
    token: str
    sha256: str
    request_token: str
    scopes: tuple[str, ...]
    max_seconds: int


def sign_grant(unit: WriteUnit, actor: Actor, session: RemoteSession, *, nonce: str, keys: ServerKeys) -> SignedGrant:
    """Sign a grant for the newest consent of a session.

    For an approved session the grant becomes the session's own at once. For a live one (a follow-up was approved, or the
    agent asks anew) the old grant stays until the agent has taken the new one: call ``renew_grant`` then. Without a newer
    consent the remaining time is granted, never more. Raises Conflict when nothing may be granted; ConsentOver when right,
    address, ticket or machine changed since the yes: then the caller ends the session.
    """
    locked = lock_session(unit, session.id)
    if locked.state not in (SessionState.APPROVED, SessionState.LIVE):
        raise Conflict("The session is {state}; nothing can be granted.", state=str(locked.state))
    found = find_consent_in_force(unit, locked)
    endpoint = unit.db.get_one(Endpoint, locked.endpoint_id)
    if found is None:
        raise Conflict("There is no consent that this session could use.")
    request, consent = found
    contact = unit.db.get_one(Contact, request.contact_id, populate_existing=True)
    change = find_change(unit, locked, request, keys.read_request(request.request_jws), contact, tuple(consent.scopes))
    if change:
        raise ConsentOver(*change)
    grant = _make_grant(unit, locked, request, consent, endpoint, nonce, keys)
    token = keys.sign_grant(grant)
    signed = SignedGrant(grant.grant_id, consent.id, token, hash_document(token), request.request_jws, grant.scopes, grant.max_seconds)
    if locked.state == SessionState.APPROVED:
        locked.grant_id, locked.grant_jws, locked.consent_id = signed.grant_id, token, consent.id
        locked.granted_scopes, locked.granted_seconds = list(grant.scopes), grant.max_seconds
    record_event(unit, actor, locked, "grant.signed", {
        "grant": signed.grant_id, "grant_sha256": signed.sha256, "request_sha256": request.request_hash,
        "scopes": list(signed.scopes), "seconds": signed.max_seconds})
    unit.db.flush()
    return signed


def _make_grant(unit: WriteUnit, session: RemoteSession, request: ConsentRequest, consent: Consent, endpoint: Endpoint,
                nonce: str, keys: ServerKeys) -> Grant:
    asked = keys.read_request(request.request_jws)
    seconds = _seconds_left(unit, session, consent)
    return Grant(
        version=DOCUMENT_VERSION, grant_id=new_id(), session_id=session.id, server_instance=keys.instance_id,
        epoch=keys.epoch, audience=endpoint.fingerprint, endpoint_id=endpoint.id, nonce=nonce,
        request_sha256=request.request_hash, ticket=asked.ticket, technician=asked.technician, approver=asked.approver,
        method=ConsentMethod(consent.method), scopes=tuple(consent.scopes), user=asked.user, recording=Recording.FULL,
        max_seconds=seconds, grace_seconds=session.grace_seconds, not_before_at=unit.now,
        expires_at=unit.now + timedelta(seconds=seconds), clock_is_wrong=consent.clock_is_wrong,
    )


def _seconds_left(unit: WriteUnit, session: RemoteSession, consent: Consent) -> int:
    """A consent that the session has not used yet gives its whole time; one in use gives what is left of it."""
    if session.state == SessionState.LIVE and session.ends_at is not None and session.consent_id == consent.id:
        left = int((session.ends_at - unit.now).total_seconds())
        if left < 1:
            raise Conflict("The approved time is over.")
        return min(left, consent.max_seconds)
    return consent.max_seconds

