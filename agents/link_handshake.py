"""The agent's side of the handshake on a fresh link: hello, challenge, proof. The pure part is in protocol/handshake.py.

What the server proved (keys, instance, epoch) is stored before our proof leaves, so that it can never be forgotten.
"""

import asyncio
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime

from agents.dialing import Socket, certificate_digest
from agents.identity import PROCESS_INSTANCE, ServerRecord, save_server
from agents.protocol import limits
from agents.protocol.codec import decode_message, encode_message
from agents.protocol.errors import HandshakeRefused, MalformedMessage
from agents.protocol.handshake import check_challenge, make_proof
from agents.protocol.messages import (
    SERVER_MESSAGES,
    AgentMessage,
    Challenge,
    Enrolment,
    HeldChannel,
    Hello,
    HostFacts,
    Refused,
    ServerMessage,
)
from agents.protocol.signatures import SigningKey
from agents.protocol.version import SUPPORTED_VERSIONS
from agents.state_folder import StateFolder

ANSWER_SECONDS = 15
SEND_SECONDS = 10


class LinkRefusedError(Exception):
    """The server refused this agent; `refused` holds code and reason."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.reason)
        self.refused = refused


async def shake_hands(
    socket: Socket,
    *,
    key: SigningKey,
    record: ServerRecord,
    folder: StateFolder,
    host: HostFacts,
    enrol: Enrolment | None = None,
    channels: Iterable[HeldChannel] = (),
) -> ServerRecord:
    """Prove both sides to each other; return the record with what the server proved, already stored.

    Raises HandshakeRefused, LinkRefusedError, MalformedMessage or one of dialing.DIAL_ERRORS; nothing was told to the server
    then but our public key, its pinned epoch and our clock.
    """
    hello = Hello(
        versions=SUPPORTED_VERSIONS,
        nonce=secrets.token_urlsafe(32),
        public_key=key.public.text,
        instance=PROCESS_INSTANCE,
        epoch=record.epoch,
        certificate_sha256=certificate_digest(socket),
        clock_at=datetime.now(UTC),
        enrolling=enrol is not None,
    )
    await send_message(socket, hello)
    async with asyncio.timeout(ANSWER_SECONDS):
        challenge = await read_message(socket)
    if isinstance(challenge, Refused):
        raise LinkRefusedError(challenge)
    if not isinstance(challenge, Challenge):
        raise HandshakeRefused("server did not begin with a challenge")
    transcript = check_challenge(hello, challenge, record.pins)
    proved = record.with_proved_server(challenge.server_key, challenge.recovery_key, challenge.server_instance, challenge.epoch)
    if proved != record:
        await asyncio.to_thread(save_server, folder, proved)
    await send_message(socket, make_proof(key, transcript, host, enrol=enrol, channels=tuple(channels)))
    return proved


async def send_message(socket: Socket, message: AgentMessage) -> None:
    """Send one message within 10 s. Raises SocketClosed, OSError or TimeoutError."""
    async with asyncio.timeout(SEND_SECONDS):
        await socket.send(encode_message(message))


async def read_message(socket: Socket) -> ServerMessage:
    """Wait for one message. Raises MalformedMessage, SocketClosed or OSError."""
    frame = await socket.recv()
    if isinstance(frame, bytes):
        raise MalformedMessage("the control link carries no bytes")
    return decode_message(frame, SERVER_MESSAGES, longest_bytes=limits.LINK_MESSAGE_BYTES)
