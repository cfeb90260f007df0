"""Enrolment: the token's server and no other, waiting, acceptance, and an identity that is never written over."""

import json
import stat
from pathlib import Path

import pytest

from agents.enrolment import enrol, prepare_enrolment
from agents.errors import ConfigurationError, EnrolmentError
from agents.identity import find_key, find_server
from agents.protocol.messages import ConsentPlace, HostClass, Inventory
from agents.protocol.signatures import SigningKey
from agents.protocol.tokens import EnrolmentToken
from tests.agents.certificates import Authority
from tests.agents.desk import Desk, enrol_at, in_loop, running_agent, until

pytestmark = pytest.mark.timeout(60)


def prepare(desk: Desk, state: Path, token: EnrolmentToken, ca_file: str = "", url: str = ""):
    return prepare_enrolment(state, url or desk.url, token, host_class=HostClass.SERVER, consent=ConsentPlace.SERVER, ca_file=ca_file)


@in_loop
async def test_an_enrolled_agent_waits_and_comes_online_when_accepted(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    desk.accepting = False
    token = desk.make_token()
    folder, key, record = prepare(desk, tmp_path / "state", token)
    outcome = await enrol(folder, key, record, token)
    assert not outcome.accepted
    assert outcome.fingerprint == key.public.fingerprint
    assert desk.enrolled[0].enrol is not None
    assert isinstance(desk.enrolled[0].enrol.inventory, Inventory)
    async with running_agent(folder) as agent:
        await until(lambda: agent.describe()["link"] == "waiting", "waiting")
        desk.accepting = True
        await until(lambda: agent.describe()["link"] == "online", "online")
    known = find_server(folder)
    assert known is not None and (known.endpoint_id, known.epoch) == ("endpoint-1", desk.epoch)
    assert known.pins.recovery_fingerprint == desk.recovery.public.fingerprint
    await desk.stop()


@in_loop
async def test_another_server_than_the_tokens_is_refused_and_never_hears_the_secret(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    token = desk.make_token()
    desk.key = SigningKey.generate()
    folder, key, record = prepare(desk, tmp_path / "state", token)
    with pytest.raises(EnrolmentError, match="not the server"):
        await enrol(folder, key, record, token)
    assert desk.all_hellos and not desk.enrolled
    assert token.secret not in repr(desk.all_hellos)
    await desk.stop()


@in_loop
async def test_a_used_token_is_refused_and_a_fresh_one_works_with_the_same_key(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    token = desk.make_token()
    desk.secrets.clear()
    folder, key, record = prepare(desk, tmp_path / "state", token)
    with pytest.raises(EnrolmentError, match="token"):
        await enrol(folder, key, record, token)
    fresh = desk.make_token()
    folder, again, record = prepare(desk, tmp_path / "state", fresh)
    assert again.public == key.public
    await enrol(folder, again, record, fresh)
    with pytest.raises(ConfigurationError, match="enrolled already"):
        prepare(desk, tmp_path / "state", desk.make_token())
    await desk.stop()


@in_loop
async def test_acceptance_under_another_class_is_refused(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    desk.host_class = HostClass.CLIENT
    token = desk.make_token()
    folder, key, record = prepare(desk, tmp_path / "state", token)
    with pytest.raises(EnrolmentError):
        await enrol(folder, key, record, token)
    desk.host_class = HostClass.SERVER
    token = desk.make_token()
    folder, key, record = prepare(desk, tmp_path / "state", token)
    await enrol(folder, key, record, token)
    desk.host_class = HostClass.CLIENT
    async with running_agent(folder) as agent:
        await until(lambda: "client" in agent.describe()["problem"], "the agent says what is wrong")
        assert agent.describe()["link"] == "offline"
    await desk.stop()


@in_loop
async def test_state_is_private_and_the_policy_explains_itself(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    folder = await enrol_at(desk, tmp_path / "state")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in folder.path.iterdir())
    assert 'consent = "server"' in (folder.path / "policy.toml").read_text()
    key = find_key(folder)
    assert key is not None
    assert key.to_bytes().hex() not in (folder.path / "server.json").read_text()
    await desk.stop()


@in_loop
async def test_over_tls_both_sides_bind_the_link_to_the_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "own")
    desk = Desk()
    desk.trust, digest = authority.issue()
    desk.certificates = {digest}
    await desk.start()
    folder = await enrol_at(desk, tmp_path / "state", ca_file=str(authority.file))
    async with running_agent(folder):
        link = await desk.link()
        assert link.hello.certificate_sha256 == digest
    await desk.stop()


@in_loop
async def test_a_certificate_of_an_unknown_authority_is_refused_before_a_word_is_said(tmp_path: Path) -> None:
    own, other = Authority(tmp_path, "own"), Authority(tmp_path, "other")
    desk = Desk()
    desk.trust, _ = other.issue()
    await desk.start()
    token = desk.make_token()
    folder, key, record = prepare(desk, tmp_path / "state", token, str(own.file))
    with pytest.raises(EnrolmentError, match="--ca"):
        await enrol(folder, key, record, token)
    assert not desk.all_hellos
    await desk.stop()


@pytest.mark.parametrize(
    "url", ["http://desk.example.org", "ws://192.0.2.1", "ftp://127.0.0.1", "desk.example.org", "https://", "https://u@h", "https://h:x"]
)
def test_an_address_without_tls_or_sense_is_refused(tmp_path: Path, url: str) -> None:
    token = EnrolmentToken("id", "s" * 43, SigningKey.generate().public.fingerprint)
    with pytest.raises(ConfigurationError):
        prepare(Desk(), tmp_path / "state", token, url=url)
    assert not (tmp_path / "state").exists()


@in_loop
async def test_a_server_that_is_not_there_is_told_in_one_sentence(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    url, token = desk.url, desk.make_token()
    await desk.stop()
    folder, key, record = prepare(desk, tmp_path / "state", token, url=url)
    with pytest.raises(EnrolmentError, match="cannot be reached"):
        await enrol(folder, key, record, token)
    assert json.loads((folder.path / "server.json").read_text())["endpoint_id"] == ""
