"""Challenge and proof both ways at the start of every link: pure functions, used by both sides.

Both sign the same transcript under different labels: version, both nonces, the identities of both sides and of the
recovery key, the server's instance and epoch, and SHA-256 of the server certificate that the agent saw. A relay with
a certificate of its own makes the agent's view differ from what the server accepts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from agents.protocol.codec import dump_json
from agents.protocol.errors import HandshakeRefused, SignatureRefused
from agents.protocol.messages import Challenge, Enrolment, HeldChannel, Hello, HostFacts, Proof
from agents.protocol.signatures import PublicKey, SigningKey, decode_base64url, encode_base64url
from agents.protocol.version import SUPPORTED_VERSIONS, choose_version


class Direction(StrEnum):
    """Who speaks; part of what is signed, so that a proof can never be sent back."""

    SERVER = "fernwart link v1 server proof"
    AGENT = "fernwart link v1 agent proof"


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything both sides must see alike."""

    version: int
    agent_nonce: str
    server_nonce: str
    agent: str
    server: str
    recovery: str
    server_instance: str
    epoch: int
    certificate_sha256: str

    def text_for(self, direction: Direction) -> bytes:
        """Return the bytes that the speaker of this direction signs."""
        return dump_json(
            {
                "label": direction.value,
                "version": self.version,
                "agent_nonce": self.agent_nonce,
                "server_nonce": self.server_nonce,
                "agent": self.agent,
                "server": self.server,
                "recovery": self.recovery,
                "server_instance": self.server_instance,
                "epoch": self.epoch,
                "certificate_sha256": self.certificate_sha256,
            }
        ).encode("ascii")


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What a server shows: its operational key pair, the recovery key's public part, its instance and epoch."""

    key: SigningKey
    recovery: PublicKey
    server_instance: str
    epoch: int


@dataclass(frozen=True, slots=True)
class ServerPins:
    """What an agent expects. At enrolment only the operational fingerprint (from the token) is known."""

    server_fingerprint: str
    recovery_fingerprint: str | None = None
    server_instance: str | None = None
    lowest_epoch: int = 1


def make_challenge(hello: Hello, identity: ServerIdentity, *, nonce: str) -> tuple[Challenge, Transcript]:
    """Answer a hello. `nonce` is fresh randomness (32 bytes as base64url).

    Raises HandshakeRefused when no version is shared; SignatureRefused when the agent's key is no key.
    The caller has yet to check `hello.certificate_sha256` against its own certificates.
    """
    version = choose_version(hello.versions)
    if version is None:
        raise HandshakeRefused("agent and server share no version of the protocol")
    transcript = Transcript(
        version=version,
        agent_nonce=hello.nonce,
        server_nonce=nonce,
        agent=PublicKey.from_text(hello.public_key).fingerprint,
        server=identity.key.public.fingerprint,
        recovery=identity.recovery.fingerprint,
        server_instance=identity.server_instance,
        epoch=identity.epoch,
        certificate_sha256=hello.certificate_sha256,
    )
    challenge = Challenge(
        version=version,
        nonce=nonce,
        server_key=identity.key.public.text,
        recovery_key=identity.recovery.text,
        server_instance=identity.server_instance,
        epoch=identity.epoch,
        signature=encode_base64url(identity.key.sign(transcript.text_for(Direction.SERVER))),
    )
    return challenge, transcript


def check_challenge(hello: Hello, challenge: Challenge, pins: ServerPins) -> Transcript:
    """Check the server's proof against what the agent sent and has pinned. Raises HandshakeRefused."""
    if challenge.version not in SUPPORTED_VERSIONS or challenge.version not in hello.versions:
        raise HandshakeRefused("server chose a version of the protocol that was not offered")
    try:
        server_key = PublicKey.from_text(challenge.server_key)
        recovery_key = PublicKey.from_text(challenge.recovery_key)
        agent_key = PublicKey.from_text(hello.public_key)
        signature = decode_base64url(challenge.signature)
    except SignatureRefused as exc:
        raise HandshakeRefused(f"challenge is unreadable: {exc}") from exc
    if server_key.fingerprint != pins.server_fingerprint:
        raise HandshakeRefused("server shows another key than the pinned one")
    if pins.recovery_fingerprint is not None and recovery_key.fingerprint != pins.recovery_fingerprint:
        raise HandshakeRefused("server shows another recovery key than the pinned one")
    if recovery_key.raw == server_key.raw:
        raise HandshakeRefused("server shows one key as operational and recovery key")
    if pins.server_instance is not None and challenge.server_instance != pins.server_instance:
        raise HandshakeRefused("server is another instance than the pinned one")
    if challenge.epoch < pins.lowest_epoch:
        raise HandshakeRefused("server shows a lower epoch than before; it may have been restored from an old copy")
    transcript = Transcript(
        version=challenge.version,
        agent_nonce=hello.nonce,
        server_nonce=challenge.nonce,
        agent=agent_key.fingerprint,
        server=server_key.fingerprint,
        recovery=recovery_key.fingerprint,
        server_instance=challenge.server_instance,
        epoch=challenge.epoch,
        certificate_sha256=hello.certificate_sha256,
    )
    try:
        server_key.verify(signature, transcript.text_for(Direction.SERVER))
    except SignatureRefused as exc:
        raise HandshakeRefused("server's proof does not verify") from exc
    return transcript


def make_proof(
    key: SigningKey,
    transcript: Transcript,
    host: HostFacts,
    *,
    enrol: Enrolment | None = None,
    channels: tuple[HeldChannel, ...] = (),
) -> Proof:
    """Sign the transcript as agent."""
    signature = encode_base64url(key.sign(transcript.text_for(Direction.AGENT)))
    return Proof(signature=signature, host=host, enrol=enrol, channels=channels)


def check_proof(hello: Hello, proof: Proof, transcript: Transcript, *, is_own_certificate: Callable[[str], bool]) -> PublicKey:
    """Check the agent's proof and the certificate it saw; return the agent's key. Raises HandshakeRefused.

    `is_own_certificate` gets the digest the agent told, empty on plain loopback, and answers whether it is ours.
    """
    if not is_own_certificate(hello.certificate_sha256):
        raise HandshakeRefused("agent saw a certificate that is not ours; something stands between")
    try:
        key = PublicKey.from_text(hello.public_key)
        if key.fingerprint != transcript.agent:
            raise HandshakeRefused("transcript is of another agent")
        key.verify(decode_base64url(proof.signature), transcript.text_for(Direction.AGENT))
    except SignatureRefused as exc:
        raise HandshakeRefused("agent's proof does not verify") from exc
    return key
