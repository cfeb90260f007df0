"""Both sides prove themselves over one transcript; every difference is a refusal."""

from dataclasses import replace
from typing import Any

import pytest

from agents.protocol.errors import HandshakeRefused
from agents.protocol.handshake import (
    Direction,
    ServerIdentity,
    ServerPins,
    Transcript,
    check_challenge,
    check_proof,
    make_challenge,
    make_proof,
)
from agents.protocol.messages import Challenge, Hello
from agents.protocol.signatures import SigningKey, encode_base64url
from tests.agents.protocol.builders import build_hello, build_host, build_nonce

AGENT = SigningKey.generate()
SERVER = SigningKey.generate()
RECOVERY = SigningKey.generate()
IDENTITY = ServerIdentity(key=SERVER, recovery=RECOVERY.public, server_instance="server-1", epoch=3)
PINS = ServerPins(SERVER.public.fingerprint, RECOVERY.public.fingerprint, "server-1", 3)


def exchange(**changes: Any) -> tuple[Hello, Challenge, Transcript]:
    hello = build_hello(AGENT, **changes)
    challenge, transcript = make_challenge(hello, IDENTITY, nonce=build_nonce())
    return hello, challenge, transcript


def test_both_sides_accept_each_other_over_one_transcript() -> None:
    hello, challenge, transcript = exchange()
    assert check_challenge(hello, challenge, PINS) == transcript
    proof = make_proof(AGENT, transcript, build_host())
    assert check_proof(hello, proof, transcript, is_own_certificate=lambda seen: seen == "") == AGENT.public


def test_at_enrolment_the_fingerprint_of_the_token_suffices() -> None:
    hello, challenge, _ = exchange()
    check_challenge(hello, challenge, ServerPins(SERVER.public.fingerprint))


@pytest.mark.parametrize(
    "pins",
    [
        replace(PINS, server_fingerprint=AGENT.public.fingerprint),
        replace(PINS, recovery_fingerprint=AGENT.public.fingerprint),
        replace(PINS, server_instance="server-2"),
        replace(PINS, lowest_epoch=4),
    ],
    ids=["other key", "other recovery key", "other instance", "lower epoch"],
)
def test_a_server_that_differs_from_what_is_pinned_is_refused(pins: ServerPins) -> None:
    hello, challenge, _ = exchange()
    with pytest.raises(HandshakeRefused):
        check_challenge(hello, challenge, pins)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 4},
        {"nonce": build_nonce()},
        {"server_instance": "server-2"},
        {"recovery_key": AGENT.public.text},
        {"recovery_key": SERVER.public.text},
        {"version": 2},
        {"signature": encode_base64url(bytes(64))},
        {"server_key": "A" * 42 + "B"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_challenge_altered_on_the_way_is_refused(change: dict[str, Any]) -> None:
    hello, challenge, _ = exchange()
    pins = ServerPins(SERVER.public.fingerprint)
    with pytest.raises(HandshakeRefused):
        check_challenge(hello, replace(challenge, **change), pins)


def test_a_relay_with_a_certificate_of_its_own_is_found_by_the_agent() -> None:
    seen = build_hello(AGENT, certificate_sha256="a" * 64)
    told = replace(seen, certificate_sha256="b" * 64)
    challenge, _ = make_challenge(told, IDENTITY, nonce=build_nonce())
    with pytest.raises(HandshakeRefused):
        check_challenge(seen, challenge, PINS)


def test_a_relay_with_a_certificate_of_its_own_is_found_by_the_server() -> None:
    hello, _, transcript = exchange(certificate_sha256="a" * 64)
    proof = make_proof(AGENT, transcript, build_host())
    with pytest.raises(HandshakeRefused):
        check_proof(hello, proof, transcript, is_own_certificate=lambda seen: seen == "b" * 64)


def test_a_proof_of_another_link_or_another_key_is_refused() -> None:
    hello, _, transcript = exchange()
    old = make_proof(AGENT, exchange()[2], build_host())
    stranger = make_proof(SigningKey.generate(), transcript, build_host())
    for proof in (old, stranger):
        with pytest.raises(HandshakeRefused):
            check_proof(hello, proof, transcript, is_own_certificate=lambda seen: True)


def test_the_servers_own_proof_cannot_be_sent_back_as_the_agents() -> None:
    same = SigningKey.generate()
    identity = replace(IDENTITY, key=same)
    hello = build_hello(same)
    challenge, transcript = make_challenge(hello, identity, nonce=build_nonce())
    proof = replace(make_proof(same, transcript, build_host()), signature=challenge.signature)
    with pytest.raises(HandshakeRefused):
        check_proof(hello, proof, transcript, is_own_certificate=lambda seen: True)
    assert transcript.text_for(Direction.AGENT) != transcript.text_for(Direction.SERVER)


def test_no_shared_version_is_refused() -> None:
    with pytest.raises(HandshakeRefused):
        exchange(versions=(7,))
