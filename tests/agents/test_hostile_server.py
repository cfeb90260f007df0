"""A server that misbehaves in every way open to somebody without the key: nothing is executed, and the agent lives on."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.protocol.codec import dump_json, encode_message, encode_record
from agents.protocol.errors import GrantRefusal
from agents.protocol.grants import Grant, Recording, sign_grant, sign_request
from agents.protocol.messages import AskUser, Challenge, ChannelFailed, Failure, OpenSession, Revoke, Revoked, SessionNonce, SessionRefused
from agents.protocol.signatures import DocumentType, SigningKey, encode_base64url, make_jws
from tests.agents.desk import Desk, desk_and_agent, enrol_at, in_loop, running_agent, until

pytestmark = pytest.mark.timeout(60)
STRANGER = SigningKey.generate()


def with_header(token: str, header: dict[str, Any], key: SigningKey) -> str:
    signed = encode_base64url(json.dumps(header).encode()) + "." + token.split(".")[1]
    return signed + "." + encode_base64url(key.sign(signed.encode()))


def sign_payload(desk: Desk, grant: Grant, **additions: Any) -> str:
    return make_jws(desk.key, DocumentType.GRANT, encode_record(grant) | additions)


def with_duplicate_key(desk: Desk, grant: Grant) -> str:
    text = dump_json(encode_record(grant))
    doubled = text.replace('"scopes":', '"scopes":["diagnostics"],"scopes":', 1)
    header = {"alg": "Ed25519", "typ": DocumentType.GRANT.value, "kid": desk.key.public.fingerprint}
    signed = encode_base64url(json.dumps(header).encode()) + "." + encode_base64url(doubled.encode())
    return signed + "." + encode_base64url(desk.key.sign(signed.encode()))


def flip(token: str) -> str:
    position = token.index(".") + 20
    return token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]


def header_of(desk: Desk, **changes: Any) -> dict[str, Any]:
    return {"alg": "Ed25519", "typ": DocumentType.GRANT.value, "kid": desk.key.public.fingerprint} | changes


NOW = datetime.now(UTC)
GRANTS: dict[str, tuple[Callable[[Desk, Grant], str], GrantRefusal]] = {
    "for another endpoint": (lambda d, g: sign_grant(d.key, replace(g, endpoint_id="endpoint-2")), GrantRefusal.OTHER_ENDPOINT),
    "for another key": (
        lambda d, g: sign_grant(d.key, replace(g, audience=STRANGER.public.fingerprint)),
        GrantRefusal.OTHER_ENDPOINT,
    ),
    "of another epoch": (lambda d, g: sign_grant(d.key, replace(g, epoch=g.epoch - 1)), GrantRefusal.OTHER_EPOCH),
    "of another server": (lambda d, g: sign_grant(d.key, replace(g, server_instance="server-2")), GrantRefusal.OTHER_SERVER),
    "of another session": (lambda d, g: sign_grant(d.key, replace(g, session_id="session-2")), GrantRefusal.OTHER_SESSION),
    "without our nonce": (lambda d, g: sign_grant(d.key, replace(g, nonce="x" * 43)), GrantRefusal.UNKNOWN_NONCE),
    "for another request": (lambda d, g: sign_grant(d.key, replace(g, request_sha256="0" * 64)), GrantRefusal.OTHER_REQUEST),
    "widened in scope": (
        lambda d, g: sign_grant(d.key, replace(g, scopes=(*g.scopes, "files.read:/"))),
        GrantRefusal.WIDENED,
    ),
    "widened in time": (lambda d, g: sign_grant(d.key, replace(g, max_seconds=3 * 3600)), GrantRefusal.WIDENED),
    "widened in user": (lambda d, g: sign_grant(d.key, replace(g, user="somebody")), GrantRefusal.WIDENED),
    "without recording": (lambda d, g: sign_grant(d.key, replace(g, recording=Recording.NONE)), GrantRefusal.RECORDING),
    "expired": (
        lambda d, g: sign_grant(d.key, replace(g, not_before_at=NOW - timedelta(days=1), expires_at=NOW - timedelta(hours=23))),
        GrantRefusal.EXPIRED,
    ),
    "of tomorrow": (
        lambda d, g: sign_grant(d.key, replace(g, not_before_at=NOW + timedelta(days=1), expires_at=NOW + timedelta(days=2))),
        GrantRefusal.NOT_YET_VALID,
    ),
    "signed by a stranger": (lambda d, g: sign_grant(STRANGER, g), GrantRefusal.UNREADABLE),
    "signed by a stranger in our name": (
        lambda d, g: with_header(sign_grant(d.key, g), header_of(d), STRANGER),
        GrantRefusal.UNREADABLE,
    ),
    "with alg none": (lambda d, g: with_header(sign_grant(d.key, g), header_of(d, alg="none"), d.key), GrantRefusal.UNREADABLE),
    "with alg HS256": (lambda d, g: with_header(sign_grant(d.key, g), header_of(d, alg="HS256"), d.key), GrantRefusal.UNREADABLE),
    "of another type": (
        lambda d, g: make_jws(d.key, DocumentType.REQUEST, encode_record(g)),
        GrantRefusal.UNREADABLE,
    ),
    "with an unknown critical field": (lambda d, g: sign_payload(d, g, later=1, crit=["later"]), GrantRefusal.UNREADABLE),
    "with a duplicate key": (with_duplicate_key, GrantRefusal.UNREADABLE),
    "with a flipped byte": (lambda d, g: flip(sign_grant(d.key, g)), GrantRefusal.UNREADABLE),
    "with a scope nobody knows": (lambda d, g: sign_grant(d.key, replace(g, scopes=("everything",))), GrantRefusal.SCOPE),
    "without a scope": (lambda d, g: sign_grant(d.key, replace(g, scopes=())), GrantRefusal.SCOPE),
}


def test_every_bad_grant_opens_nothing_and_a_good_one_still_does(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    @in_loop
    async def scenario() -> None:
        async with desk_and_agent(tmp_path) as (desk, link, opener):
            for name, (make, refusal) in GRANTS.items():
                caplog.clear()
                grant = await desk.make_grant(link)
                await desk.open_channel(link, make(desk, grant))
                failed = await link.expect(ChannelFailed)
                assert failed.refusal == refusal.value, name
                assert failed.code in (Failure.GRANT, Failure.SCOPE), name
                assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1, name
            assert opener.asked == 0
            assert not (tmp_path / "state" / "ledger.jsonl").exists()
            await desk.open_shell(link)
            assert opener.asked == 1

    scenario()


@in_loop
async def test_nothing_opens_without_a_grant(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        await desk.open_channel(link, "")
        assert (await link.expect(ChannelFailed)).code is Failure.GRANT
        await desk.open_session(link, desk.ask(link))
        await desk.open_channel(link, "")
        assert (await link.expect(ChannelFailed)).code is Failure.GRANT
        assert opener.asked == 0


@in_loop
async def test_a_replayed_grant_is_refused_after_its_session_in_this_process_and_in_the_next(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    folder = await enrol_at(desk, tmp_path / "state")
    async with running_agent(folder):
        link = await desk.link()
        token = sign_grant(desk.key, await desk.make_grant(link))
        channel = await desk.open_channel(link, token)
        await until(lambda: channel.socket is not None, "the shell is attached")
        await link.send(Revoke(session_id="session-1", reason="ended"))
        await link.expect(Revoked)
        await desk.open_channel(link, token)
        assert (await link.expect(ChannelFailed)).refusal == GrantRefusal.REVOKED.value
        # The same nonce under another name is no better.
        again = await desk.make_grant(link)
        await desk.open_session(link, desk.ask(link))
        await desk.open_channel(link, sign_grant(desk.key, replace(again, nonce=read_nonce(tmp_path), grant_id="grant-2")))
        assert (await link.expect(ChannelFailed)).refusal == GrantRefusal.USED.value
    desk.channels.clear()
    async with running_agent(folder):
        link = await desk.link(1)
        await desk.open_channel(link, token)
        assert (await link.expect(ChannelFailed)).refusal == GrantRefusal.REVOKED.value
        fresh = await desk.make_grant(link, grant_id="grant-3")
        await desk.open_channel(link, sign_grant(desk.key, replace(fresh, nonce=read_nonce(tmp_path))))
        assert (await link.expect(ChannelFailed)).refusal == GrantRefusal.USED.value
    await desk.stop()


def read_nonce(tmp_path: Path) -> str:
    lines = (tmp_path / "state" / "ledger.jsonl").read_text().splitlines()
    return next(json.loads(line)["nonce"] for line in lines if json.loads(line)["kind"] == "used")


@in_loop
async def test_one_nonce_is_good_for_one_grant(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        grant = await desk.make_grant(link)
        channel = await desk.open_channel(link, sign_grant(desk.key, grant))
        await until(lambda: channel.socket is not None, "the shell is attached")
        await desk.open_channel(link, sign_grant(desk.key, replace(grant, grant_id="grant-2")))
        assert (await link.expect(ChannelFailed)).refusal == GrantRefusal.USED.value
        assert opener.asked == 1


@in_loop
async def test_a_nonce_of_an_earlier_process_is_worth_nothing(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    folder = await enrol_at(desk, tmp_path / "state")
    async with running_agent(folder):
        token = sign_grant(desk.key, await desk.make_grant(await desk.link()))
    async with running_agent(folder):
        link = await desk.link(1)
        await desk.open_channel(link, token)
        assert (await link.expect(ChannelFailed)).refusal == GrantRefusal.UNKNOWN_NONCE.value
        await desk.open_session(link, desk.ask(link))
        await desk.open_channel(link, token)
        assert (await link.expect(ChannelFailed)).refusal == GrantRefusal.UNKNOWN_NONCE.value
    await desk.stop()


@in_loop
async def test_a_request_that_is_not_for_this_agent_gets_no_nonce(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, _):
        request = desk.ask(link)
        tokens = [
            sign_request(STRANGER, request),
            sign_request(desk.key, replace(request, audience=STRANGER.public.fingerprint)),
            sign_request(desk.key, replace(request, endpoint_id="endpoint-2")),
            sign_request(desk.key, replace(request, epoch=4)),
            sign_request(desk.key, replace(request, server_instance="server-2")),
            sign_request(desk.key, replace(request, session_id="session-2")),
            make_jws(desk.key, DocumentType.GRANT, encode_record(request)),
        ]
        for token in tokens:
            await link.send(OpenSession(session_id="session-1", request=token))
            assert (await link.expect(SessionRefused)).code is Failure.GRANT
        assert not any(isinstance(one, SessionNonce) for one in link.inbox)


@in_loop
async def test_the_policy_of_the_machine_beats_a_genuine_grant(tmp_path: Path) -> None:
    policy = tmp_path / "state" / "policy.toml"
    async with desk_and_agent(tmp_path) as (desk, link, opener):

        async def refused_session(text: str) -> SessionRefused:
            policy.write_text(text)
            await link.send(OpenSession(session_id="session-1", request=sign_request(desk.key, desk.ask(link))))
            return await link.expect(SessionRefused)

        assert (await refused_session('consent = "here"')).code is Failure.CONSENT_HERE
        assert (await refused_session("days = []")).code is Failure.POLICY
        assert (await refused_session("sessions_per_hour = 0")).code is Failure.POLICY
        assert (await refused_session("something = 1")).code is Failure.POLICY
        policy.write_text("")
        grant = await desk.make_grant(link)
        policy.write_text('never = ["shell"]')
        await desk.open_channel(link, sign_grant(desk.key, grant))
        assert (await link.expect(ChannelFailed)).code is Failure.POLICY
        policy.write_text("")
        later = await desk.make_grant(link, grant_id="grant-2")
        policy.write_text("days = []")
        await desk.open_channel(link, sign_grant(desk.key, later))
        assert (await link.expect(ChannelFailed)).code is Failure.POLICY
        assert opener.asked == 0


@pytest.mark.parametrize(
    "play",
    ["another key", "another recovery key", "another instance", "a lower epoch"],
)
def test_a_server_that_is_not_ours_gets_no_proof_and_the_right_one_is_served_again(tmp_path: Path, play: str) -> None:
    @in_loop
    async def scenario() -> None:
        async with desk_and_agent(tmp_path) as (desk, link, _):
            was = (desk.key, desk.recovery, desk.server_instance, desk.epoch)
            match play:
                case "another key":
                    desk.key = STRANGER
                case "another recovery key":
                    desk.recovery = STRANGER
                case "another instance":
                    desk.server_instance = "server-2"
                case _:
                    desk.epoch -= 1
            hellos = len(desk.all_hellos)
            link.socket.transport.abort()
            await until(lambda: len(desk.all_hellos) >= hellos + 2, "the agent tries twice")
            assert len(desk.links) == 1
            desk.key, desk.recovery, desk.server_instance, desk.epoch = was
            again = await desk.link(1)
            assert again.key.fingerprint == link.key.fingerprint

    scenario()


@in_loop
async def test_a_raised_epoch_is_kept_and_the_old_one_refused_from_then_on(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, _):
        desk.epoch = 9
        link.socket.transport.abort()
        await desk.link(1)
        assert json.loads((tmp_path / "state" / "server.json").read_text())["epoch"] == 9
        desk.epoch = 8
        hellos = len(desk.all_hellos)
        desk.links[1].socket.transport.abort()
        await until(lambda: len(desk.all_hellos) >= hellos + 2, "the agent tries twice")
        assert len(desk.links) == 2
        assert desk.all_hellos[-1].epoch == 9


TEXTS: dict[str, Callable[[Desk], str]] = {
    "no JSON": lambda desk: "nonsense",
    "an unknown type": lambda desk: '{"type":"execute","command":"id"}',
    "a message of the agent": lambda desk: '{"type":"ping","count":1}',
    "a duplicate key": lambda desk: '{"type":"pong","count":1,"count":2}',
    "a second challenge": lambda desk: encode_message(make_other_challenge(desk)),
    "an unknown critical field": lambda desk: '{"type":"pong","count":1,"crit":["x"],"x":1}',
    "too much": lambda desk: '{"type":"pong","count":1,"x":"' + "x" * 200_000 + '"}',
}


def make_other_challenge(desk: Desk) -> Any:
    return Challenge(
        version=1,
        nonce="n" * 43,
        server_key=desk.key.public.text,
        recovery_key=desk.recovery.public.text,
        server_instance="server-1",
        epoch=5,
        signature="s" * 86,
    )


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_message_ends_the_link_and_the_agent_dials_again(tmp_path: Path, name: str) -> None:
    @in_loop
    async def scenario() -> None:
        async with desk_and_agent(tmp_path) as (desk, link, opener):
            await link.send_text(TEXTS[name](desk))
            await desk.link(1)
            assert link.gone
            assert opener.asked == 0

    scenario()


@in_loop
async def test_bytes_on_the_control_link_end_it(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, _):
        await link.socket.send(b"\x00")
        await desk.link(1)


@in_loop
async def test_orders_before_the_welcome_end_the_link(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    folder = await enrol_at(desk, tmp_path / "state")
    desk.before_welcome = AskUser(query_id="q1", user="root")
    async with running_agent(folder):
        await until(lambda: len(desk.all_hellos) >= 3, "the agent dials again")
        assert all(not link.inbox for link in desk.links)
        desk.before_welcome = None
        seen = len(desk.links)
        await desk.link(seen)
    await desk.stop()
