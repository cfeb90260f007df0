"""Agents that lie: nothing they say reaches another session, splices a stream, or keeps the server busy."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from websockets.exceptions import ConnectionClosed

from agents.protocol.channel_messages import ChannelError, ChannelErrorMessage, ChannelResumed, Exit, Fin, InputAck, OutputAck, Rebased
from agents.protocol.messages import (
    ChannelLost,
    CloseWord,
    HeldChannel,
    LinkRefusal,
    Ping,
    Pong,
    ResumeChannel,
    Revoke,
    SessionStopped,
    Welcome,
    WordStored,
)
from agents.protocol.signatures import SigningKey
from agents.protocol.words import WORD_VERSION, Word, sign_word
from orchestrator.core.ids import new_id
from orchestrator.core.settings import Settings
from sessions.lifecycle.models import RemoteSession
from tests.web.sockets.program import Program, run_program, until
from tests.web.sockets.rogue import NONCE, Refused, RogueAgent, RogueChannel


@pytest.fixture(scope="module")
def bare(module_settings: Settings) -> Generator[Program, None, None]:
    """A program without an agent of its own."""
    with run_program(module_settings) as running:
        yield running


@pytest.fixture
def rogue(bare: Program) -> RogueAgent:
    agent = RogueAgent(bare).enrol()
    bare.endpoint_id, bare.shell_user = agent.endpoint_id, "support"
    return agent


@pytest.fixture
def attached(bare: Program, rogue: RogueAgent) -> tuple[RemoteSession, RogueChannel]:
    """A live session with a channel whose agent may now misbehave."""
    session = bare.approved()
    channel = rogue.open_channel(session.id)
    answer = channel.dial()
    assert answer == ChannelResumed(output=0, input=0)
    until(lambda: bare.session(session.id).state == "live", "the session live")
    return session, channel


def wait_failed(program: Program, channel: RogueChannel) -> None:
    row = until(lambda: (found := program.channel(channel.channel_id)).closed_at and found, "the row closed")
    assert row.state == "failed"


def refusal(answer: object) -> LinkRefusal:
    assert isinstance(answer, Refused), answer
    return answer.code


def test_a_proof_by_another_key_is_refused(bare: Program, rogue: RogueAgent) -> None:
    def spoil(proof: object) -> object:
        return replace(proof, signature="A" * 86)  # type: ignore[type-var]  # a frozen dataclass
    assert refusal(rogue.dial(spoil=spoil)) == LinkRefusal.PROOF


def test_a_key_nobody_enrolled_is_refused(bare: Program) -> None:
    assert refusal(RogueAgent(bare).dial()) == LinkRefusal.UNKNOWN_KEY


def test_an_agent_that_saw_a_strangers_certificate_is_refused(rogue: RogueAgent) -> None:
    assert refusal(rogue.dial(certificate_sha256="a" * 64)) == LinkRefusal.CERTIFICATE


def test_no_shared_version_is_refused(rogue: RogueAgent) -> None:
    assert refusal(rogue.dial(versions=(99,))) == LinkRefusal.VERSION


def test_a_link_that_floods_is_closed_and_may_come_back(rogue: RogueAgent) -> None:
    with suppress(ConnectionClosed):
        for count in range(3000):
            rogue.say(Ping(count=count))
    assert rogue.wait_closed() == 1002
    assert isinstance(rogue.dial(), Welcome)
    rogue.say(Ping(count=7))
    assert rogue.expect(Pong).count == 7


def test_a_second_handshake_on_a_link_ends_it(rogue: RogueAgent) -> None:
    rogue.say_text(type="proof", signature="A" * 86, host={})
    assert rogue.wait_closed() == 1002


@pytest.mark.parametrize(("resume", "error"), [
    ({"agent": "another-endpoint"}, ChannelError.UNKNOWN),
    ({"out_lo": 5, "out_hi": 9}, ChannelError.GAP),
])
def test_a_first_attach_with_impossible_positions_is_refused(bare: Program, rogue: RogueAgent, resume: dict[str, object],
                                                             error: ChannelError) -> None:
    session = bare.approved()
    channel = rogue.open_channel(session.id)
    answer = channel.dial(**resume)
    assert isinstance(answer, ChannelErrorMessage)
    assert answer.code == error


def test_an_older_dial_and_another_run_of_the_agent_are_fenced_off(bare: Program, attached: tuple[RemoteSession, RogueChannel]) -> None:
    session, channel = attached
    first = channel.socket
    for resume, error in (({"conn": 1}, ChannelError.STALE), ({"conn": 9, "instance": "other"}, ChannelError.INSTANCE)):
        answer = channel.dial(token=channel.fresh_token(), **resume)
        assert isinstance(answer, ChannelErrorMessage)
        assert answer.code == error
    channel.socket = first
    channel.send(b"still mine\r\n")
    ack = until(channel.hear, "an acknowledgement")
    while not isinstance(ack, OutputAck):
        ack = channel.hear()
    assert ack.output == 12
    bare.end(session)


def test_a_token_works_once(bare: Program, attached: tuple[RemoteSession, RogueChannel]) -> None:
    session, channel = attached
    with pytest.raises(Exception, match="404"):
        channel.dial(token=channel.token)
    bare.end(session)


def test_after_a_reconnect_a_hole_in_the_output_is_never_spliced(bare: Program, attached: tuple[RemoteSession, RogueChannel]) -> None:
    session, channel = attached
    channel.send(b"x" * 1000)
    until(lambda: len(bare.record(channel.channel_id)) == 1000, "the record")
    answer = channel.dial(token=channel.fresh_token(), conn=2, out_lo=1500, out_hi=2000)
    assert isinstance(answer, ChannelErrorMessage)
    assert answer.code == ChannelError.GAP
    wait_failed(bare, channel)
    assert bare.session(session.id).state == "live"
    assert "gap" in bare.steps(session.id)
    bare.end(session)


LIES = {
    "an exit after other bytes than came": Exit(status=0, output=999),
    "input acknowledged that was never sent": InputAck(applied=5),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_counts_ends_the_channel(bare: Program, attached: tuple[RemoteSession, RogueChannel], lie: str) -> None:
    session, channel = attached
    channel.say(LIES[lie])
    assert channel.expect_error().code == ChannelError.PROTOCOL
    wait_failed(bare, channel)
    bare.end(session)


def test_an_answer_nobody_asked_for_is_ignored(bare: Program, attached: tuple[RemoteSession, RogueChannel]) -> None:
    session, channel = attached
    channel.say(Rebased(generation=3, applied=0))
    channel.send(b"fine\r\n")
    channel.say(Exit(status=0, output=6))
    while not isinstance(channel.hear(), Fin):
        pass
    row = until(lambda: (found := bare.channel(channel.channel_id)).closed_at and found, "the row closed")
    assert (row.state, row.output_bytes) == ("closed", 6)
    bare.end(session)


def test_a_frame_larger_than_the_wire_allows_ends_the_channel(bare: Program, attached: tuple[RemoteSession, RogueChannel]) -> None:
    session, channel = attached
    channel.send(b"x" * (256 * 1024 + 1))
    assert channel.expect_error().code == ChannelError.PROTOCOL
    wait_failed(bare, channel)
    bare.end(session)


def test_an_agent_cannot_stop_or_resume_what_is_another_machines(bare: Program, attached: tuple[RemoteSession, RogueChannel]) -> None:
    session, channel = attached
    other = RogueAgent(bare).enrol()
    other.say(SessionStopped(session_id=session.id, cause="stopped"))
    other.say(ChannelLost(channel_id=channel.channel_id, session_id=session.id))
    assert other.expect(Revoke).channels == (channel.channel_id,)
    welcome = other.dial(channels=(HeldChannel(channel.channel_id, session.id),))
    assert isinstance(welcome, Welcome)
    assert welcome.resume == ()
    assert bare.session(session.id).state == "live"
    channel.agent.say(ChannelLost(channel_id=channel.channel_id, session_id=session.id))
    assert channel.agent.expect(ResumeChannel).channel.channel_id == channel.channel_id
    bare.end(session)


def word_of(rogue: RogueAgent, channel: RogueChannel, *, key: SigningKey, size: int, sha256: str) -> str:
    return sign_word(key, Word(
        version=WORD_VERSION, endpoint_id=rogue.endpoint_id, session_id=channel.session_id, channel_id=channel.channel_id, grant_id=new_id(),
        grant_sha256="0" * 64, output_bytes=size, output_sha256=sha256, exit_status=0, cause="exit", closed_at=datetime.now(UTC)))


def test_a_word_that_differs_is_kept_and_shown_and_a_forged_one_is_not_kept(bare: Program, attached: tuple[RemoteSession, RogueChannel]) -> None:
    session, channel = attached
    channel.send(b"fine\r\n")
    channel.say(Exit(status=0, output=6))
    while not isinstance(channel.hear(), Fin):
        pass
    rogue = channel.agent
    forged = word_of(rogue, channel, key=SigningKey.generate(), size=6, sha256="1" * 64)
    rogue.say(CloseWord(channel_id=channel.channel_id, session_id=session.id, word=forged))
    assert rogue.expect(WordStored).channel_id == channel.channel_id
    assert bare.channel(channel.channel_id).word == ""
    own = word_of(rogue, channel, key=rogue.key, size=5, sha256="1" * 64)
    rogue.say(CloseWord(channel_id=channel.channel_id, session_id=session.id, word=own))
    rogue.expect(WordStored)
    row = bare.channel(channel.channel_id)
    assert row.word == own
    assert row.word_differs
    assert "word-differs" in bare.steps(session.id)
    bare.end(session)


def test_the_secret_of_the_shell_marks_never_reaches_a_viewer(bare: Program, attached: tuple[RemoteSession, RogueChannel]) -> None:
    session, channel = attached
    console = bare.console(bare.channel(channel.channel_id))
    console.wait_live()
    mark = f"\x1b]633;fw1;{NONCE};A;0;/\x07".encode()
    for piece in (b"one" + mark[:9], mark[9:30], mark[30:] + b"two", mark * 3 + b"three\r\n"):
        channel.send(piece)
    console.see("onetwothree\r\n")
    assert NONCE.encode() not in bytes(console.screen)
    assert console.raw == 13 + 4 * len(mark)
    late = bare.console(bare.channel(channel.channel_id), what="watch", client="late")
    late.see("onetwothree\r\n")
    bare.end(session)


def test_a_flood_of_unacknowledged_output_is_bounded(bare: Program, attached: tuple[RemoteSession, RogueChannel]) -> None:
    session, channel = attached
    relay = bare.services.live.hub.find_relay(channel.channel_id)
    assert relay is not None
    with bare.locked_records():
        with pytest.raises((TimeoutError, ConnectionClosed, OSError)):
            assert channel.socket is not None
            channel.socket.socket.settimeout(3)
            for _ in range(2000):
                channel.send(b"y" * 65536)
        assert relay.recorder is not None
        assert relay.recorder.received_offset - relay.recorder.durable_offset < 32 * 1024 * 1024
    bare.end(session)
