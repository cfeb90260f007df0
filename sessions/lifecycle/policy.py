"""Who may do what with a remote session, and which scope a channel needs. Pure functions over plain facts.

Server and agent judge scopes with the same ``covers``; who may *approve* a session is in ``sessions/consent/policy.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from agents.protocol.messages import ChannelKind
from agents.protocol.scopes import covers
from orchestrator.accounts.actor import Actor, ActorKind, Right
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput
from sessions.lifecycle.models import SessionState

BUILT_KINDS = frozenset({ChannelKind.SHELL})
"""The kinds of channels this release opens; the others are known and refused."""


class SessionAction(StrEnum):
    SEE = "see"
    ASK_MORE = "ask_more"
    OPEN_CHANNEL = "open_channel"
    WATCH = "watch"
    REPLAY = "replay"
    END = "end"


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What decides. ``granted_scopes`` is empty before a consent; ``administrator``: the OS user may become root;
    ``link_ids`` are the consent links of this session, ``involved_ids`` the users who have or follow the ticket."""

    state: SessionState
    technician_id: str
    contact_id: str
    endpoint_id: str
    queue_id: str
    responsible_contact_id: str | None = None
    granted_scopes: tuple[str, ...] = ()
    administrator: bool = False
    link_ids: frozenset[str] = frozenset()
    involved_ids: frozenset[str] = frozenset()


class ScopeMissing(Forbidden):
    """The channel is outside what was approved: more needs a new request."""

    code = "scope_missing"

    def __init__(self, scope: str) -> None:
        super().__init__("This was not approved: {scope}. Ask for more first.", scope=scope)
        self.scope = scope


def leads(actor: Actor, facts: SessionFacts) -> bool:
    """Tell whether this is the leading technician."""
    return actor.kind is ActorKind.USER and actor.id == facts.technician_id


def works_on(actor: Actor, facts: SessionFacts) -> bool:
    """Tell whether the session's ticket is this technician's business: by its queue, by having or following it, or by a right."""
    return facts.queue_id in actor.queue_ids or actor.id in facts.involved_ids or actor.may(Right.ALL_QUEUES)


def see_all_sessions(actor: Actor) -> bool:
    """Tell whether no session is hidden from this actor."""
    if actor.kind is ActorKind.SYSTEM:
        return True
    return actor.kind is ActorKind.USER and actor.may(Right.SESSIONS_READ) and (
        actor.may(Right.ALL_QUEUES) or actor.may(Right.SESSIONS_END_ANY))


def may(actor: Actor, action: SessionAction, facts: SessionFacts) -> bool:
    """Tell whether the actor may do this with the session, whatever state it is in (remote.md 8)."""
    match actor.kind:
        case ActorKind.SYSTEM:
            return action in (SessionAction.SEE, SessionAction.END)
        case ActorKind.USER:
            return _user_may(actor, action, facts)
        case ActorKind.CONTACT:
            own = actor.id is not None and actor.id in (facts.contact_id, facts.responsible_contact_id)
            return own and action in (SessionAction.SEE, SessionAction.WATCH, SessionAction.REPLAY, SessionAction.END)
        case ActorKind.LINK:
            return action is SessionAction.END and actor.id is not None and actor.id in facts.link_ids
        case ActorKind.AGENT:
            return actor.id == facts.endpoint_id and action in (SessionAction.SEE, SessionAction.END)
        case _:
            assert_never(actor.kind)


def _user_may(actor: Actor, action: SessionAction, facts: SessionFacts) -> bool:
    leading = leads(actor, facts)
    match action:
        case SessionAction.SEE:
            return actor.may(Right.SESSIONS_READ) and (
                leading or facts.queue_id in actor.queue_ids or see_all_sessions(actor))
        case SessionAction.ASK_MORE:
            return leading and works_on(actor, facts) and actor.may(Right.SESSIONS_REQUEST)
        case SessionAction.OPEN_CHANNEL:
            return leading and works_on(actor, facts) and actor.may(Right.CHANNELS_OPEN)
        case SessionAction.WATCH:
            return (leading and actor.may(Right.SESSIONS_READ)) or actor.may(Right.WATCH_ALL)
        case SessionAction.REPLAY:
            return (leading and actor.may(Right.RECORDINGS_READ)) or actor.may(Right.RECORDINGS_READ_ALL)
        case SessionAction.END:
            return (leading and actor.may(Right.SESSIONS_END)) or actor.may(Right.SESSIONS_END_ANY)
        case _:
            assert_never(action)


def scope_of_channel(kind: ChannelKind, *, target: str = "", administrator: bool = False, writes: bool = False) -> str:
    """Write the scope that a channel needs; ``target`` is the host, path or HOST:PORT, ``writes`` is for files and desktop."""
    match kind:
        case ChannelKind.SHELL:
            return "terminal.admin" if administrator else "terminal"
        case ChannelKind.SSH | ChannelKind.WINRM:
            return f"terminal:{target}"
        case ChannelKind.FILES:
            return f"files.write:{target}" if writes else f"files.read:{target}"
        case ChannelKind.DIAGNOSTICS:
            return "diagnostics"
        case ChannelKind.DESKTOP:
            return "desktop.control" if writes else "desktop.view"
        case ChannelKind.TUNNEL:
            return f"tunnel:{target}"
        case _:
            assert_never(kind)


def check_channel(actor: Actor, facts: SessionFacts, kind: str, *, target: str = "") -> str:
    """Return the scope under which the actor may open this channel now.

    Raises Forbidden (not the leading technician, or outside the approved scopes), InvalidInput (a kind that is unknown or
    not built), Conflict (the session is neither approved nor live).
    """
    if not may(actor, SessionAction.OPEN_CHANNEL, facts):
        raise Forbidden()
    try:
        known = ChannelKind(kind)
    except ValueError as exc:
        raise InvalidInput("There is no such kind of channel.", field="kind") from exc
    if known not in BUILT_KINDS:
        raise InvalidInput("This release opens shells only.", field="kind")
    if facts.state not in (SessionState.APPROVED, SessionState.LIVE):
        raise Conflict("The session is {state}; no channel can be opened now.", state=str(facts.state))
    scope = scope_of_channel(known, target=target, administrator=facts.administrator)
    if not covers(facts.granted_scopes, scope):
        raise ScopeMissing(scope)
    return scope
