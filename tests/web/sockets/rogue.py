"""An agent of the tests' own that speaks the wire over real sockets and says whatever a test wants (faults.md F25)."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from agents.protocol.channel_messages import SERVER_CHANNEL_MESSAGES, ChannelErrorMessage, ChannelResume
from agents.protocol.codec import decode_message, encode_message
from agents.protocol.handshake import ServerPins, Transcript, check_challenge, make_proof
from agents.protocol.limits import CHANNEL_TEXT_BYTES, LINK_MESSAGE_BYTES
from agents.protocol.messages import (
    SERVER_MESSAGES,
    Challenge,
    ChannelOpened,
    ConsentPlace,
    Enrolment,
    HeldChannel,
    Hello,
    HostClass,
    HostFacts,
    Inventory,
    OpenChannel,
    OpenSession,
    Refused,
    SessionNonce,
    UserFacts,
    Welcome,
)
from agents.protocol.signatures import SigningKey
from agents.protocol.tokens import parse_enrolment_token
from agents.protocol.version import CHANNEL_TOKEN_HEADER, SUPPORTED_VERSIONS
from orchestrator.accounts.actor import SYSTEM
from sessions.endpoints.service import create_enrolment_token
from tests.web.sockets.program import Program

HOST = HostFacts(host_name="rogue", host_class=HostClass.SERVER, consent=ConsentPlace.SERVER, protected=False, run_as="support",
                 may_become_root=False, boot_id="boot", agent_version="test")
INVENTORY = Inventory(host_name="rogue", operating_system="", kernel="", architecture="", processor="", processors=1, memory_bytes=1,
                      users=(UserFacts(name="support", login_allowed=True, may_become_root=False),))
NONCE = "cd" * 16
Message = TypeVar("Message")


class RogueAgent:
    """Enrolled by an auto-accept token. ``dial`` shakes hands honestly unless told otherwise."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.key = SigningKey.generate()
        self.endpoint_id = ""
        self.instance = secrets.token_hex(8)
        self.link: ClientConnection | None = None

    def enrol(self) -> RogueAgent:
        program = self.program
        token = parse_enrolment_token(program.write(lambda unit: create_enrolment_token(
            unit, SYSTEM, organisation_id=program.scene.organisation.id, server_fingerprint=program.services.keys.fingerprint, auto_accept=True,
            endpoint_class="server", responsible=program.scene.contact.id)))
        answer = self.dial(enrol=Enrolment(token.token_id, token.secret, INVENTORY))
        assert isinstance(answer, Welcome), answer
        self.endpoint_id = answer.endpoint_id
        return self

    def dial(self, *, enrol: Enrolment | None = None, channels: tuple[HeldChannel, ...] = (), spoil: Any = None, **hello: Any) -> object:
        """Shake hands; returns what the server said last. ``spoil`` changes the proof, ``hello`` fields of the hello."""
        self.link = connect(f"{self.program.sockets}/agent/v1/link", compression=None, legacy=True, close_timeout=2)
        said = replace(Hello(versions=SUPPORTED_VERSIONS, nonce=secrets.token_urlsafe(32), public_key=self.key.public.text, instance=self.instance,
                             epoch=1, certificate_sha256="", clock_at=datetime.now(UTC) + timedelta(seconds=3), enrolling=enrol is not None), **hello)
        self.say(said)
        challenge = self.hear()
        if not isinstance(challenge, Challenge):
            return challenge
        transcript: Transcript = check_challenge(said, challenge, ServerPins(self.program.services.keys.fingerprint))
        proof = make_proof(self.key, transcript, HOST, enrol=enrol, channels=channels)
        self.say(spoil(proof) if spoil is not None else proof)
        return self.hear()

    def say(self, message: Any) -> None:
        assert self.link is not None
        self.link.send(encode_message(message))

    def say_text(self, **fields: Any) -> None:
        assert self.link is not None
        self.link.send(json.dumps(fields))

    def hear(self) -> object:
        assert self.link is not None
        return decode_message(self.link.recv(timeout=10), SERVER_MESSAGES, longest_bytes=LINK_MESSAGE_BYTES)

    def expect(self, kind: type[Message]) -> Message:
        while True:
            message = self.hear()
            if isinstance(message, kind):
                return message

    def wait_closed(self) -> int:
        assert self.link is not None
        try:
            while True:
                self.link.recv(timeout=10)
        except ConnectionClosed:
            pass
        close = self.link.protocol.close_rcvd
        return close.code if close is not None else 1006

    def open_channel(self, session_id: str) -> RogueChannel:
        """Let the program open a channel, and answer as an agent does."""
        program = self.program
        row = program.open(program.session(session_id))
        asked = self.expect(OpenSession)
        self.say(SessionNonce(session_id=asked.session_id, nonce=secrets.token_urlsafe(32)))
        opening = self.expect(OpenChannel)
        self.say(ChannelOpened(channel_id=row.id, session_id=session_id, user="support", shell="/bin/bash", marked=True, marks_nonce=NONCE))
        return RogueChannel(self, row.id, session_id, opening.token)


class RogueChannel:
    """A channel's socket that says whatever a test wants."""

    def __init__(self, agent: RogueAgent, channel_id: str, session_id: str, token: str) -> None:
        self.agent = agent
        self.channel_id = channel_id
        self.session_id = session_id
        self.token = token
        self.socket: ClientConnection | None = None

    def dial(self, *, token: str | None = None, **resume: Any) -> object:
        """Dial and state a position; returns the server's answer."""
        url = f"{self.agent.program.sockets}/p/0/agent/v1/channels/{self.channel_id}"
        self.socket = connect(url, additional_headers={CHANNEL_TOKEN_HEADER: token or self.token}, compression=None, legacy=True, close_timeout=2)
        self.say(replace(ChannelResume(agent=self.agent.endpoint_id, instance=self.agent.instance, conn=1, out_lo=0, out_hi=0, applied=0,
                                       marks_nonce=NONCE, shell="/bin/bash", marked=True), **resume))
        return self.hear()

    def fresh_token(self) -> str:
        program = self.agent.program
        return program.on_loop(lambda: program.services.live.hub.tokens.issue(self.channel_id, self.agent.endpoint_id))

    def say(self, message: Any) -> None:
        assert self.socket is not None
        self.socket.send(encode_message(message))

    def send(self, data: bytes) -> None:
        assert self.socket is not None
        self.socket.send(data)

    def hear(self) -> object:
        """The next message; input bytes as they are."""
        assert self.socket is not None
        frame = self.socket.recv(timeout=10)
        return frame if isinstance(frame, bytes) else decode_message(frame, SERVER_CHANNEL_MESSAGES, longest_bytes=CHANNEL_TEXT_BYTES)

    def expect_error(self) -> ChannelErrorMessage:
        while True:
            message = self.hear()
            if isinstance(message, ChannelErrorMessage):
                return message


__all__ = ["NONCE", "Refused", "RogueAgent", "RogueChannel"]
