"""Rows of an agent's link: who it is, welcome, loss, start of the process. Blocking; never on the loop. Links are in ``hub.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from agents.protocol.errors import SignatureRefused
from agents.protocol.messages import HostClass, LinkRefusal
from orchestrator.accounts.actor import SYSTEM, Actor, ActorKind
from orchestrator.audit.service import record_audit
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import AppError
from sessions.endpoints.errors import ClassDiffers, KeyKnown, TokenRefused
from sessions.endpoints.models import Endpoint
from sessions.endpoints.queries import find_by_fingerprint
from sessions.endpoints.service import enrol, hold_link, release_link, reset_presence
from sessions.lifecycle.models import RemoteSession
from sessions.lifecycle.queries import list_running_of_endpoint, list_void_grants
from sessions.lifecycle.reasons import EndReason
from sessions.lifecycle.service import end_session, resume_session, suspend_holder
from sessions.live.agent_link import Introduction, LinkRefusedError

log = structlog.get_logger(__name__)

VOID_GRANTS_FOR = timedelta(days=7)
_CAUSES = {"time": EndReason.TIME_LIMIT, "grace": EndReason.AGENT_LOST}


@dataclass(frozen=True, slots=True)
class KnownAgent:
    """An endpoint as its link needs it."""

    endpoint_id: str
    fingerprint: str
    state: str
    host_class: HostClass


@dataclass(frozen=True, slots=True)
class Held:
    """What the welcome says. ``running`` are the ids of sessions that the agent may hold channels of."""

    holder_epoch: int
    revoked: tuple[str, ...]
    running: frozenset[str]


def identify_agent(unit: WriteUnit, introduction: Introduction, *, address: str) -> KnownAgent:
    """Find the endpoint of a proved key, or enrol it. Raises LinkRefusedError."""
    proof = introduction.proof
    if proof.enrol is not None:
        try:
            endpoint = enrol(unit, public_key=introduction.key.text, enrolment=proof.enrol, host=proof.host, address=address,
                             clock_offset_seconds=introduction.clock_offset_seconds)
        except TokenRefused as exc:
            raise LinkRefusedError(LinkRefusal.TOKEN, str(exc)) from exc
        except KeyKnown as exc:
            raise LinkRefusedError(LinkRefusal.KNOWN_KEY, str(exc)) from exc
        except ClassDiffers as exc:
            raise LinkRefusedError(LinkRefusal.HOST_CLASS, str(exc)) from exc
        except SignatureRefused as exc:
            raise LinkRefusedError(LinkRefusal.PROOF, str(exc)) from exc
        return describe_agent(endpoint)
    return find_agent(unit, introduction)


def find_agent(unit: ReadUnit, introduction: Introduction) -> KnownAgent:
    """Find the endpoint of a proved key. Raises LinkRefusedError for an unknown or disabled one."""
    endpoint = find_by_fingerprint(unit, introduction.key.fingerprint)
    if endpoint is None:
        raise LinkRefusedError(LinkRefusal.UNKNOWN_KEY, "this server does not know the key of this agent", retry_seconds=300)
    if endpoint.state == "disabled":
        raise LinkRefusedError(LinkRefusal.REJECTED, "this endpoint is disabled", retry_seconds=300)
    return describe_agent(endpoint)


def describe_agent(endpoint: Endpoint) -> KnownAgent:
    return KnownAgent(endpoint.id, endpoint.fingerprint, endpoint.state, HostClass(endpoint.endpoint_class or endpoint.claimed_class))


def hold_agent(unit: WriteUnit, endpoint_id: str, introduction: Introduction, *, label: str) -> Held:
    """The link is welcome: write presence, and bring suspended sessions back to life. Raises Conflict when it is disabled."""
    epoch = hold_link(unit, endpoint_id, label=label, host=introduction.proof.host, clock_offset_seconds=introduction.clock_offset_seconds)
    for session in list_running_of_endpoint(unit, endpoint_id):
        resume_session(unit, session.id)
    running = frozenset(session.id for session in list_running_of_endpoint(unit, endpoint_id))
    void = tuple(list_void_grants(unit, endpoint_id, since=unit.now - VOID_GRANTS_FOR))
    return Held(epoch, void, running)


def lose_agent(unit: WriteUnit, endpoint_id: str, *, epoch: int) -> None:
    """The link is gone: write presence and suspend what runs, unless a newer link stands."""
    if release_link(unit, endpoint_id, epoch=epoch):
        suspend_holder(unit, [endpoint_id])


def begin_process(unit: WriteUnit, *, label: str) -> Sequence[str]:
    """The process starts: nobody is linked to it yet. Returns the ids of sessions suspended now."""
    reset_presence(unit, label=label)
    return suspend_holder(unit)


def note_second_link(unit: WriteUnit, endpoint_id: str, *, address: str, old_address: str) -> None:
    """Two runs of an agent use one key at the same time: the newer wins, and somebody must look at it."""
    endpoint = unit.db.get(Endpoint, endpoint_id)
    name = endpoint.name if endpoint is not None else endpoint_id
    record_audit(unit, SYSTEM, "endpoint.key-used-twice", subject=f"endpoint {endpoint_id}",
                 summary=f"Two running agents use the key of {name}; the newer connection was taken",
                 details={"address": address, "old_address": old_address})
    log.error("two running agents use one key", endpoint=endpoint_id, address=address, old_address=old_address)


def end_by_agent(unit: WriteUnit, endpoint_id: str, session_id: str, *, cause: str, reason: str) -> None:
    """The agent has ended a session by itself. Does nothing for one that is over, or not on this endpoint."""
    session = unit.db.get(RemoteSession, session_id)
    endpoint = unit.db.get(Endpoint, endpoint_id)
    if session is None or endpoint is None or session.endpoint_id != endpoint_id:
        return
    agent = Actor(kind=ActorKind.AGENT, id=endpoint_id, name=endpoint.name)
    try:
        end_session(unit, agent, session, reason=_CAUSES.get(cause, EndReason.AGENT_STOPPED))
    except AppError as exc:
        log.info("the agent ended a session that was over", session=session_id, reason=str(exc), told=reason)
