"""When a grant holds for an agent, and each reason why it does not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agents.protocol.codec import encode_record
from agents.protocol.errors import GrantRefusal, GrantRefused, MalformedMessage, SignatureRefused
from agents.protocol.grants import Recording, check_grant, hash_grant, read_grant, read_request, sign_grant, sign_request
from agents.protocol.signatures import DocumentType, SigningKey, make_jws
from agents.protocol.tokens import EnrolmentToken, parse_enrolment_token
from agents.protocol.words import Word, read_word, sign_word
from tests.agents.protocol.builders import NOW, build_grant, build_nonce, build_view

SERVER = SigningKey.generate()
AGENT = SigningKey.generate()
NONCE = build_nonce()
VIEW = build_view(SERVER, AGENT, NONCE)
GRANT = build_grant(VIEW.request, VIEW.request_sha256, NONCE)


def test_a_grant_holds_for_the_request_and_the_agent_it_was_made_for() -> None:
    token = sign_grant(SERVER, GRANT)
    assert read_grant(token, SERVER.public) == GRANT
    check_grant(GRANT, VIEW)
    check_grant(replace(GRANT, scopes=("terminal",), max_seconds=60), VIEW)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"version": 2}, GrantRefusal.OTHER_VERSION),
        ({"server_instance": "server-2"}, GrantRefusal.OTHER_SERVER),
        ({"epoch": 2}, GrantRefusal.OTHER_EPOCH),
        ({"audience": SERVER.public.fingerprint}, GrantRefusal.OTHER_ENDPOINT),
        ({"endpoint_id": "endpoint-2"}, GrantRefusal.OTHER_ENDPOINT),
        ({"session_id": "session-2"}, GrantRefusal.OTHER_SESSION),
        ({"nonce": build_nonce()}, GrantRefusal.UNKNOWN_NONCE),
        ({"request_sha256": "0" * 64}, GrantRefusal.OTHER_REQUEST),
        ({"ticket": "another"}, GrantRefusal.OTHER_REQUEST),
        ({"technician": "another"}, GrantRefusal.OTHER_REQUEST),
        ({"recording": Recording.NONE}, GrantRefusal.RECORDING),
        ({"recording": Recording.COMMANDS}, GrantRefusal.RECORDING),
        ({"scopes": ()}, GrantRefusal.SCOPE),
        ({"scopes": ("terminal", "anything")}, GrantRefusal.SCOPE),
        ({"scopes": ("terminal", "desktop.view")}, GrantRefusal.WIDENED),
        ({"user": "postgres"}, GrantRefusal.WIDENED),
        ({"max_seconds": 1801}, GrantRefusal.WIDENED),
        ({"expires_at": NOW - timedelta(minutes=11), "not_before_at": NOW - timedelta(hours=1)}, GrantRefusal.EXPIRED),
        ({"not_before_at": NOW + timedelta(minutes=11)}, GrantRefusal.NOT_YET_VALID),
        ({"expires_at": NOW}, GrantRefusal.TIMES),
    ],
    ids=lambda item: item.value if isinstance(item, GrantRefusal) else next(iter(item)),
)
def test_a_grant_that_differs_in_one_thing_is_refused_with_the_reason(change: dict[str, Any], refusal: GrantRefusal) -> None:
    with pytest.raises(GrantRefused) as refused:
        check_grant(replace(GRANT, **change), VIEW)
    assert refused.value.refusal is refusal


@pytest.mark.parametrize("minutes", [-9, 9, 38])
def test_ten_minutes_of_clock_skew_are_allowed(minutes: int) -> None:
    check_grant(GRANT, replace(VIEW, now=NOW + timedelta(minutes=minutes)))


def test_a_clock_known_to_be_wrong_does_not_count() -> None:
    years_off = replace(VIEW, now=NOW - timedelta(days=4000))
    with pytest.raises(GrantRefused):
        check_grant(GRANT, years_off)
    check_grant(replace(GRANT, clock_is_wrong=True), years_off)


def test_an_unknown_critical_field_is_a_refusal_and_an_unknown_one_is_not() -> None:
    payload = encode_record(GRANT)
    token = make_jws(SERVER, DocumentType.GRANT, payload | {"later": 1})
    assert read_grant(token, SERVER.public) == GRANT
    for addition in ({"later": 1, "crit": ["later"]}, {"crit": ["absent"]}, {"type": "grant"}):
        with pytest.raises(GrantRefused) as refused:
            read_grant(make_jws(SERVER, DocumentType.GRANT, payload | addition), SERVER.public)
        assert refused.value.refusal is GrantRefusal.UNREADABLE


def test_a_grant_with_a_field_missing_is_unreadable() -> None:
    payload = encode_record(GRANT)
    for name in payload:
        without = {key: value for key, value in payload.items() if key != name}
        if name in ("clock_is_wrong", "approvals"):
            read_grant(make_jws(SERVER, DocumentType.GRANT, without), SERVER.public)
            continue
        with pytest.raises(GrantRefused):
            read_grant(make_jws(SERVER, DocumentType.GRANT, without), SERVER.public)


def test_a_request_is_not_a_grant_and_has_its_own_hash() -> None:
    token = sign_request(SERVER, VIEW.request)
    assert read_request(token, SERVER.public) == VIEW.request
    assert hash_grant(token) == VIEW.request_sha256
    with pytest.raises(GrantRefused):
        read_grant(token, SERVER.public)
    with pytest.raises(SignatureRefused):
        read_request(token, AGENT.public)


def test_the_agents_word_is_read_with_the_agents_key_only() -> None:
    word = Word(
        version=1,
        endpoint_id="endpoint-1",
        session_id="session-1",
        channel_id="channel-1",
        grant_id="grant-1",
        grant_sha256="a" * 64,
        output_bytes=12,
        output_sha256="b" * 64,
        exit_status=None,
        cause="revoked",
        closed_at=NOW,
    )
    token = sign_word(AGENT, word)
    assert read_word(token, AGENT.public) == word
    with pytest.raises(SignatureRefused):
        read_word(token, SERVER.public)


def test_an_enrolment_token_survives_being_printed_and_never_shows_its_secret_in_logs() -> None:
    token = EnrolmentToken("tok1", "s" * 43, SERVER.public.fingerprint)
    assert parse_enrolment_token(f"  {token.text}\n") == token
    assert token.secret not in repr(token)
    for broken in ("", "a.b", token.text[:-1], token.text + "x", token.text.replace(".", ":")):
        with pytest.raises(MalformedMessage):
            parse_enrolment_token(broken)
