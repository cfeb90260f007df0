"""The consent matrix: who × what × state × kind of channel × scopes, written by hand from the design (remote.md 6 and 8)."""

from __future__ import annotations

import itertools

import pytest

from agents.protocol.messages import ChannelKind
from agents.protocol.scopes import covers
from orchestrator.accounts.actor import Actor, ActorKind, Right, Role, rights_of
from orchestrator.core.errors import AppError, Conflict, Forbidden, InvalidInput
from sessions.lifecycle.models import SessionState as S
from sessions.lifecycle.policy import ScopeMissing, SessionAction, SessionFacts, check_channel, may, scope_of_channel

QUEUE = frozenset({"queue"})


def user(user_id: str, *roles: Role, queues: frozenset[str] = QUEUE, rights: frozenset[Right] | None = None) -> Actor:
    return Actor(ActorKind.USER, user_id, user_id, frozenset(roles), rights_of(frozenset(roles)) if rights is None else rights, queues)


ACTORS: dict[str, Actor] = {
    "anonymous": Actor(ActorKind.LINK, None, ""),
    "link holder": Actor(ActorKind.LINK, "link", ""),
    "holder of another link": Actor(ActorKind.LINK, "other-link", ""),
    "contact": Actor(ActorKind.CONTACT, "contact", ""),
    "responsible contact": Actor(ActorKind.CONTACT, "responsible", ""),
    "other contact": Actor(ActorKind.CONTACT, "stranger", ""),
    "leading": user("leading", Role.TECHNICIAN),
    "leading, moved out of the queue": user("leading", Role.TECHNICIAN, queues=frozenset()),
    "leading, out of the queue, follows": user("leading", Role.TECHNICIAN, queues=frozenset()),
    "leading, read-only token": user("leading", Role.TECHNICIAN, rights=frozenset({Right.SESSIONS_READ})),
    "other technician, same queue": user("other", Role.TECHNICIAN),
    "other technician": user("other", Role.TECHNICIAN, queues=frozenset({"elsewhere"})),
    "lead": user("lead", Role.LEAD),
    "administrator": user("admin", Role.ADMINISTRATOR, queues=frozenset()),
    "auditor": user("auditor", Role.AUDITOR, queues=frozenset()),
    "agent": Actor(ActorKind.AGENT, "endpoint", ""),
    "other agent": Actor(ActorKind.AGENT, "other-endpoint", ""),
}
# what:                                     see  more open watch replay end
MAY: dict[str, str] = {
    "anonymous":                           " -    -    -    -    -    - ",
    "link holder":                         " -    -    -    -    -    x ",
    "holder of another link":              " -    -    -    -    -    - ",
    "contact":                             " x    -    -    x    x    x ",
    "responsible contact":                 " x    -    -    x    x    x ",
    "other contact":                       " -    -    -    -    -    - ",
    "leading":                             " x    x    x    x    x    x ",
    "leading, moved out of the queue":     " x    -    -    x    x    x ",
    "leading, out of the queue, follows":  " x    x    x    x    x    x ",
    "leading, read-only token":            " x    -    -    x    -    - ",
    "other technician, same queue":        " x    -    -    -    -    - ",
    "other technician":                    " -    -    -    -    -    - ",
    "lead":                                " x    -    -    x    x    x ",
    "administrator":                       " x    -    -    -    -    x ",
    "auditor":                             " x    -    -    -    x    - ",
    "agent":                               " x    -    -    -    -    x ",
    "other agent":                         " -    -    -    -    -    - ",
}
COLUMNS = (SessionAction.SEE, SessionAction.ASK_MORE, SessionAction.OPEN_CHANNEL, SessionAction.WATCH, SessionAction.REPLAY,
           SessionAction.END)


def facts(state: S = S.LIVE, *, scopes: tuple[str, ...] = ("terminal",), administrator: bool = False, who: str = "") -> SessionFacts:
    return SessionFacts(state, "leading", "contact", "endpoint", "queue", "responsible", scopes, administrator, frozenset({"link"}),
                        frozenset({"leading"} if who.endswith("follows") else ()))


@pytest.mark.parametrize("who", list(ACTORS))
def test_who_may_do_what_is_as_the_table_says_in_every_state(who: str) -> None:
    allowed = {action for action, mark in zip(COLUMNS, MAY[who].split(), strict=True) if mark == "x"}
    assert set(COLUMNS) == set(SessionAction)
    for state in S:
        assert {action for action in SessionAction if may(ACTORS[who], action, facts(state, who=who))} == allowed


# One row for each kind: a target, and for every scope whether it covers that channel. What is not "x" must be refused.
SCOPES = ("terminal", "terminal.admin", "terminal:web-01", "files.read:/var", "files.write:/var", "diagnostics", "desktop.view",
          "desktop.control", "tunnel:db:5432")
CHANNELS: list[tuple[str, str, bool, bool, str]] = [
    # kind        target       admin  writes  terminal .admin :web-01 f.read f.write diag d.view d.control tunnel
    ("shell",       "",          False, False, "x x - - - - - - -"),
    ("shell",       "",          True,  False, "- x - - - - - - -"),
    ("ssh",         "web-01",    False, False, "- - x - - - - - -"),
    ("winrm",       "web-01",    False, False, "- - x - - - - - -"),
    ("ssh",         "web-02",    False, False, "- - - - - - - - -"),
    ("files",       "/var/log",  False, False, "- - - x - - - - -"),
    ("files",       "/var/log",  False, True,  "- - - - x - - - -"),
    ("files",       "/etc",      False, False, "- - - - - - - - -"),
    ("diagnostics", "",          False, False, "- - - - - x - - -"),
    ("desktop",     "",          False, False, "- - - - - - x x -"),
    ("desktop",     "",          False, True,  "- - - - - - - x -"),
    ("tunnel",      "db:5432",   False, False, "- - - - - - - - x"),
    ("tunnel",      "db:5433",   False, False, "- - - - - - - - -"),
]


def outcome(actor: Actor, session: SessionFacts, kind: str, target: str) -> type[AppError] | str:
    try:
        return check_channel(actor, session, kind, target=target)
    except AppError as error:
        return type(error)


@pytest.mark.parametrize("row", CHANNELS, ids=lambda row: f"{row[0]} {row[1]} {'admin ' if row[2] else ''}{'writes' if row[3] else ''}")
def test_each_channel_needs_its_own_scope_and_this_release_opens_shells_only(row: tuple[str, str, bool, bool, str]) -> None:


    kind, target, administrator, writes, marks = row
    needed = scope_of_channel(ChannelKind(kind), target=target, administrator=administrator, writes=writes)
    for scope, mark in zip(SCOPES, marks.split(), strict=True):
        assert covers((scope,), needed) is (mark == "x"), (kind, scope)
        for (who, actor), state in itertools.product(ACTORS.items(), S):
            found = outcome(actor, facts(state, scopes=(scope,), administrator=administrator, who=who), kind, target)
            if MAY[who].split()[2] != "x":
                assert found is Forbidden, (who, state)
            elif kind != "shell":
                assert found is InvalidInput
            elif state not in (S.APPROVED, S.LIVE):
                assert found is Conflict
            else:
                assert found == needed if mark == "x" else found is ScopeMissing


def test_without_a_consent_no_scope_covers_anything() -> None:
    for state in (S.APPROVED, S.LIVE):
        assert outcome(ACTORS["leading"], facts(state, scopes=()), "shell", "") is ScopeMissing
    assert outcome(ACTORS["leading"], facts(), "teleport", "") is InvalidInput


def test_every_actor_of_the_table_has_a_row() -> None:
    assert set(MAY) == set(ACTORS)
    assert {actor.kind for actor in ACTORS.values()} == set(ActorKind) - {ActorKind.SYSTEM}
