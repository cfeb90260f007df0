"""One-time tokens, own certificates, open doors, messages of viewers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from ssl import PEM_cert_to_DER_cert

import pytest

from agents.protocol.errors import MalformedMessage
from orchestrator.core.settings import Settings
from sessions.live.certificates import OwnCertificates
from sessions.live.doors import Door, OpenDoors
from sessions.live.tokens import LIFE_SECONDS, ChannelTokens
from sessions.live.viewer_messages import Attach, NewSize, Shown, read_viewer_message
from tests.certificates import make_certificates


def test_a_channel_token_works_once_for_its_channel_and_a_short_time() -> None:
    now = [0.0]
    tokens = ChannelTokens(lambda: now[0])
    secret = tokens.issue("channel", "endpoint")
    assert tokens.take(secret, "channel") == "endpoint"
    assert tokens.take(secret, "channel") is None
    assert tokens.take(tokens.issue("channel", "endpoint"), "another") is None
    late = tokens.issue("channel", "endpoint")
    now[0] += LIFE_SECONDS + 1
    assert tokens.take(late, "channel") is None


def test_a_fresh_token_voids_the_one_before() -> None:
    tokens = ChannelTokens(lambda: 0.0)
    old, new = tokens.issue("channel", "endpoint"), tokens.issue("channel", "endpoint")
    assert tokens.take(old, "channel") is None
    assert tokens.take(new, "channel") == "endpoint"
    gone = tokens.issue("channel", "endpoint")
    tokens.void("channel")
    assert tokens.take(gone, "channel") is None


@pytest.mark.parametrize("secret", ["", " ", "null", "x" * 43])
def test_a_missing_or_made_up_token_is_worth_nothing(secret: str) -> None:
    tokens = ChannelTokens(lambda: 0.0)
    tokens.issue("channel", "endpoint")
    assert tokens.take(secret, "channel") is None


def digest(path: Path) -> str:
    return hashlib.sha256(PEM_cert_to_DER_cert(path.read_text().split("-----END")[0] + "-----END CERTIFICATE-----\n")).hexdigest()


def test_our_certificates_are_known_by_their_digest_and_a_strangers_is_not(tmp_path: Path) -> None:
    ours = make_certificates(tmp_path)
    known = OwnCertificates(Settings(tls_cert=ours.certificate, data_dir=tmp_path))
    assert known.is_own(digest(ours.certificate), from_loopback=False)
    assert not known.is_own("0" * 64, from_loopback=False)


def test_a_renewed_certificate_is_known_at_once_and_the_old_one_for_a_while(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first, second = make_certificates(tmp_path / "first"), make_certificates(tmp_path / "second")
    used = tmp_path / "proxy.pem"
    used.write_bytes(first.certificate.read_bytes())
    known = OwnCertificates(Settings(public_certs=str(used), data_dir=tmp_path))
    assert known.is_own(digest(first.certificate), from_loopback=False)
    assert not known.is_own(digest(second.certificate), from_loopback=False)
    used.write_bytes(second.certificate.read_bytes() + b"\n")
    assert known.is_own(digest(second.certificate), from_loopback=False)
    assert known.is_own(digest(first.certificate), from_loopback=False)


def test_no_certificate_at_all_counts_on_loopback_only(tmp_path: Path) -> None:
    assert OwnCertificates(Settings(data_dir=tmp_path)).is_own("", from_loopback=True)
    assert not OwnCertificates(Settings(data_dir=tmp_path)).is_own("", from_loopback=False)
    assert OwnCertificates(Settings(data_dir=tmp_path, allow_plain_http=True)).is_own("", from_loopback=False)


def test_a_door_is_shut_by_login_user_or_token_and_by_nothing_else() -> None:
    doors, shut = OpenDoors(), []
    with doors.hold(Door("jana", login_id="l1"), lambda: shut.append("login")), doors.hold(Door("jana", token_id="t1"), lambda: shut.append("token")):
        assert doors.shut(user_id="lea", login_id="l2", token_id="t2") == 0
        assert doors.shut() == 0
        assert doors.shut(login_id="l1") == 1
        assert doors.shut(token_id="t1") == 1
        assert doors.shut(user_id="jana") == 2
    assert doors.shut(user_id="jana") == 0
    assert shut == ["login", "token", "login", "token"]


def test_messages_of_viewers_are_read() -> None:
    assert read_viewer_message('{"type":"attach","client":"a"}') == Attach("a")
    assert read_viewer_message('{"type":"ack","raw":5}') == Shown(5)
    assert read_viewer_message('{"type":"resize","columns":80,"rows":24}') == NewSize(80, 24)
    assert read_viewer_message('{"type":"from-the-future","x":1}') is None


@pytest.mark.parametrize("text", [
    "", "[]", "{}", "nonsense", '{"type":1}', '{"type":"ack"}', '{"type":"ack","raw":-1}', '{"type":"ack","raw":true}', '{"type":"ack","raw":1.5}',
    '{"type":"ack","raw":1e99}', '{"type":"resize","columns":0,"rows":24}', '{"type":"resize","columns":80}', '{"type":"attach","client":""}',
    '{"type":"attach","client":5}', '{"type":"ack","raw":1,"raw":2}', '{"type":"ack","raw":' + "9" * 5000 + "}",
])
def test_malformed_messages_of_viewers_are_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        read_viewer_message(text)
