"""Who gets in: origins, logins, tokens, roles; and that sockets die with what let them in."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from agents.protocol.version import CHANNEL_TOKEN_HEADER
from orchestrator.accounts.actor import ROLE_RIGHTS, SYSTEM, Role
from orchestrator.accounts.events import UserDisabled
from orchestrator.accounts.logins import begin_login, prove_login, revoke_login, revoke_logins_of
from orchestrator.accounts.models import User
from orchestrator.accounts.tokens import create_token
from orchestrator.core.db import WriteUnit
from orchestrator.core.ids import new_id
from sessions.consent.links import open_link
from sessions.consent.viewers import cookie_name
from sessions.lifecycle.models import ChannelRow, RemoteSession
from tests import builders
from tests.web.sockets.program import EVERYTHING, Console, Program, until


@pytest.fixture
def opened(program: Program) -> tuple[RemoteSession, ChannelRow, Console]:
    """A live session to knock at."""
    return program.shell()


def status_of(program: Program, url: str, headers: dict[str, str]) -> int:
    """The HTTP status of a refused handshake."""
    with pytest.raises(InvalidStatus) as caught:
        connect(url, additional_headers=headers, compression=None, legacy=True)
    return caught.value.response.status_code


def code_of(program: Program, url: str, cookie: str) -> int:
    """The close code that a page of ours is given."""
    socket = program.browse(url, cookie=cookie)
    with pytest.raises(ConnectionClosed):
        socket.recv(timeout=10)
    assert socket.protocol.close_rcvd is not None
    return socket.protocol.close_rcvd.code


ORIGINS = [None, "null", "https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "http://localhost:{port}", "https://127.0.0.1:{port}",
           "http://127.0.0.1:{port}.evil.example", "http://127.0.0.1:{port}/"]


@pytest.mark.parametrize("what", ["console", "watch", "live"])
@pytest.mark.parametrize("origin", ORIGINS)
def test_a_cookie_with_a_foreign_or_missing_origin_opens_nothing(
    program: Program, opened: tuple[RemoteSession, ChannelRow, Console], what: str, origin: str | None,
) -> None:
    url = f"{program.sockets}/live" if what == "live" else program.path(opened[1], what)
    headers = {"Cookie": f"__Host-fernwart-login={program.cookie}"}
    if origin is not None:
        headers["Origin"] = origin.format(port=program.port)
    assert status_of(program, url, headers) == 403


@pytest.mark.parametrize("path", ["/agent/v1/link", "/p/0/agent/v1/channels/x"])
@pytest.mark.parametrize("header", [{"Origin": "http://127.0.0.1"}, {"Cookie": "a=b"}])
def test_paths_of_agents_refuse_everything_that_looks_like_a_browser(program: Program, path: str, header: dict[str, str]) -> None:
    assert status_of(program, program.sockets + path, header) == 403


@pytest.mark.parametrize("token", [None, "", " ", "null", "undefined", "x" * 43])
def test_a_channel_without_its_token_does_not_exist(
    program: Program, opened: tuple[RemoteSession, ChannelRow, Console], token: str | None,
) -> None:
    headers = {} if token is None else {CHANNEL_TOKEN_HEADER: token}
    assert status_of(program, f"{program.sockets}/p/0/agent/v1/channels/{opened[1].id}", headers) == 404


def test_a_channel_token_in_the_query_string_is_worth_nothing(program: Program, opened: tuple[RemoteSession, ChannelRow, Console]) -> None:
    token = program.on_loop(lambda: program.services.live.hub.tokens.issue(opened[1].id, program.endpoint_id))
    assert status_of(program, f"{program.sockets}/p/0/agent/v1/channels/{opened[1].id}?token={token}", {}) == 404


@pytest.mark.parametrize("what", ["console", "watch"])
def test_nobody_known_is_told_to_log_in(program: Program, opened: tuple[RemoteSession, ChannelRow, Console], what: str) -> None:
    url = program.path(opened[1], what)
    assert status_of(program, url, {"Authorization": "Bearer nonsense"}) == 401
    assert status_of(program, f"{url}?token={program.token}", {}) == 403
    assert code_of(program, url, "nonsense") == 4401


def test_page_updates_close_with_a_code_that_says_log_in(program: Program) -> None:
    assert code_of(program, f"{program.sockets}/live", "nonsense") == 4401


def make_other(program: Program, role: Role) -> tuple[User, str, str]:
    """Another user with a login and a token; a member of no queue."""
    def make(unit: WriteUnit) -> tuple[User, str, str]:
        user = builders.make_user(unit, name=f"Other {role}", roles=(role,))
        named = [right for right in EVERYTHING if right == "all" or right in ROLE_RIGHTS[role]]
        return user, make_login(unit, user)[1], create_token(unit, SYSTEM, user=user, rights=named, hours=1)
    return program.write(make)


def make_login(unit: WriteUnit, user: User) -> tuple[str, str]:
    login, _ = begin_login(unit, user, address="127.0.0.1", agent_name="test")
    return login.id, prove_login(unit, login, hours=1)


@pytest.mark.parametrize(("role", "console", "watch"), [
    (Role.TECHNICIAN, 4404, 4404),  # not a member of the queue: not yours looks like not there
    (Role.LEAD, 4403, None),
    (Role.ADMINISTRATOR, 4403, 4403),
    (Role.AUDITOR, 4403, 4403),
])
def test_who_does_not_lead_gets_no_console_and_only_leads_watch(
    program: Program, opened: tuple[RemoteSession, ChannelRow, Console], role: Role, console: int, watch: int | None,
) -> None:
    _, cookie, token = make_other(program, role)
    assert code_of(program, program.path(opened[1]), cookie) == console
    assert status_of(program, program.path(opened[1]), {"Authorization": f"Bearer {token}"}) == console - 4000
    if watch is not None:
        assert code_of(program, program.path(opened[1], "watch"), cookie) == watch
        return
    viewer = Console(program.browse(program.path(opened[1], "watch"), cookie=cookie)).start(client="lead")
    viewer.wait("attached")
    viewer.close()


def test_another_sessions_channel_or_label_is_not_found(program: Program, opened: tuple[RemoteSession, ChannelRow, Console]) -> None:
    session, channel, _ = opened
    for path in (f"/p/0/sessions/{new_id()}/channels/{channel.id}/console", f"/p/0/sessions/{session.id}/channels/{new_id()}/console",
                 f"/p/1/sessions/{session.id}/channels/{channel.id}/console", f"/p/0/sessions/x/channels/{channel.id}/console"):
        assert code_of(program, program.sockets + path, program.cookie) == 4404


def test_a_revoked_login_ends_its_sockets_and_the_session_it_leads_in_under_a_second(program: Program) -> None:
    session, channel, console = program.shell()
    actor = program.actor

    login_id, cookie = program.write(lambda unit: make_login(unit, program.scene.technician))
    second = Console(program.browse(program.path(channel), cookie=cookie)).start(client="second")
    updates = program.browse(f"{program.sockets}/live", cookie=cookie)
    second.wait("attached")
    begun = time.monotonic()
    program.write(lambda unit: revoke_login(unit, replace(actor, login_id=program.login_id), login_id))
    assert second.wait_closed(seconds=1) == 4401
    with pytest.raises(ConnectionClosed):
        updates.recv(timeout=1)
    assert updates.protocol.close_rcvd is not None and updates.protocol.close_rcvd.code == 4401
    assert time.monotonic() - begun < 1
    assert console.closed is None
    program.end(session)


def test_a_disabled_user_loses_everything_in_under_a_second(program: Program) -> None:
    session, _, console = program.shell()

    def disable(unit: WriteUnit) -> None:
        revoke_logins_of(unit, program.scene.technician.id, except_login_id=program.login_id)
        unit.emit(UserDisabled(program.scene.technician.id))

    program.write(disable)
    assert console.wait_closed(seconds=1) == 4401
    assert program.session(session.id).end_reason == "user_disabled"
    until(lambda: program.services.live.hub.relays_of(session.id)[0].is_over, "the channel over", seconds=1)


def test_the_contacts_browser_watches_with_its_cookie_and_sees_no_commands(program: Program) -> None:
    contact_cookie: list[str] = []
    decide = program.scene.decide

    def keep(token: str, **answer: object) -> object:
        decided = decide(token, **answer)  # type: ignore[arg-type]  # a table of keywords
        with program.services.database.read() as unit:
            contact_cookie.append(f"{cookie_name(open_link(unit, token).link)}={decided.cookie_secret}")
        return decided

    program.scene.decide = keep  # type: ignore[method-assign, assignment]  # to see the cookie of the deciding browser
    try:
        session, channel, console = program.shell()
    finally:
        del program.scene.decide
    headers = {"Origin": program.url, "Cookie": contact_cookie[-1]}
    watcher = Console(connect(program.path(channel, "watch"), additional_headers=headers, compression=None, legacy=True)).start(client="phone")
    console.type("echo for-the-customer\n")
    watcher.see("for-the-customer\r\n")
    watcher.socket.send(b"echo from-the-customer\n")
    until(lambda: console.told("command"), "a command")
    assert until(lambda: [one["names"] for one in console.told("watchers") if one["names"]], "the watcher's name")[-1] == ["Erika Beispiel"]
    assert not watcher.told("command")
    assert status_of(program, program.path(channel), headers | {"Origin": "https://evil.example"}) == 403
    refused = connect(program.path(channel), additional_headers=headers, compression=None, legacy=True)
    with pytest.raises(ConnectionClosed):
        refused.recv(timeout=5)
    program.end(session)
    watcher.wait_closed()
    assert b"from-the-customer" not in program.record(channel.id)
