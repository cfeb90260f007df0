"""Keys, fingerprints and signed documents (JWS, Ed25519 only). What the documents say is in grants.py and words.py."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from agents.protocol import limits
from agents.protocol.codec import dump_json, parse_strict_json
from agents.protocol.errors import MalformedMessage, SignatureRefused

_ALGORITHM = "Ed25519"


class DocumentType(StrEnum):
    """The `typ` of each signed document, so that one can never stand in for another."""

    REQUEST = "fernwart-request+jws"
    GRANT = "fernwart-grant+jws"
    RECEIPT = "fernwart-receipt+jws"
    WORD = "fernwart-word+jws"
    CONSENT = "fernwart-consent+jws"
    STATEMENT = "fernwart-statement+jws"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key: 32 raw bytes."""

    raw: bytes

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the base64url form. Raises SignatureRefused unless it is exactly one key."""
        raw = decode_base64url(text)
        if len(raw) != 32:
            raise SignatureRefused("public key has not 32 bytes")
        return cls(raw)

    @property
    def text(self) -> str:
        """The key as base64url without padding (43 characters)."""
        return encode_base64url(self.raw)

    @property
    def fingerprint(self) -> str:
        """`SHA256:` and the unpadded base64 of SHA-256 over the raw key, as people compare it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.raw).digest()).decode("ascii").rstrip("=")

    def verify(self, signature: bytes, data: bytes) -> None:
        """Raise SignatureRefused unless the signature over data is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError) as exc:
            raise SignatureRefused("signature does not verify") from exc


class SigningKey:
    """An Ed25519 key pair. Its text form never shows the private part."""

    __slots__ = ("_private", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = PublicKey(private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"SigningKey({self.public.fingerprint})"

    @classmethod
    def generate(cls) -> Self:
        """Make a new key pair from the system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read 32 private bytes. Raises SignatureRefused."""
        try:
            return cls(Ed25519PrivateKey.from_private_bytes(raw))
        except ValueError as exc:
            raise SignatureRefused("private key has not 32 bytes") from exc

    def to_bytes(self) -> bytes:
        """Return the 32 private bytes, to be stored where only the owner reads."""
        return self._private.private_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._private.sign(data)


def make_jws(key: SigningKey, kind: DocumentType, payload: Mapping[str, Any]) -> str:
    """Sign a document as compact JWS with our `typ` and the key's fingerprint as `kid`."""
    header = {"alg": _ALGORITHM, "typ": kind.value, "kid": key.public.fingerprint}
    private = OKPKey.import_key(
        {
            "kty": "OKP",
            "crv": _ALGORITHM,
            "x": key.public.text,
            "d": encode_base64url(key.to_bytes()),
        }
    )
    token = jws.serialize_compact(header, dump_json(dict(payload)), private, algorithms=[_ALGORITHM])
    if len(token) > limits.DOCUMENT_BYTES:
        raise MalformedMessage("document is larger than the wire allows")
    return token


def read_jws(token: str, key: PublicKey, kind: DocumentType) -> dict[str, Any]:
    """Verify a compact JWS and return its payload.

    Refuses (SignatureRefused) any algorithm but Ed25519, another `typ`, another key, header members that are not
    ours (also every `crit`), duplicate JSON keys in header or payload, and bad base64.
    """
    parts = token.split(".")
    if len(token) > limits.DOCUMENT_BYTES or len(parts) != 3 or not token.isascii():
        raise SignatureRefused("document is not a compact JWS")
    try:
        header = parse_strict_json(decode_base64url(parts[0]), longest_bytes=512)
        payload = parse_strict_json(decode_base64url(parts[1]), longest_bytes=limits.DOCUMENT_BYTES)
    except MalformedMessage as exc:
        raise SignatureRefused(f"document is damaged: {exc}") from exc
    if header.get("alg") != _ALGORITHM:
        raise SignatureRefused("document is signed with an algorithm that is not allowed")
    if header.get("typ") != kind.value:
        raise SignatureRefused(f"document is not a {kind.value}")
    if set(header) - {"alg", "typ", "kid"}:
        raise SignatureRefused("document has a header that is not understood")
    if header.get("kid") != key.fingerprint:
        raise SignatureRefused("document is signed with another key")
    public = OKPKey.import_key({"kty": "OKP", "crv": _ALGORITHM, "x": key.text})
    try:
        jws.deserialize_compact(token, public, algorithms=[_ALGORITHM])
    except (JoseError, ValueError) as exc:
        raise SignatureRefused("signature does not verify") from exc
    return payload


def hash_document(token: str) -> str:
    """Return SHA-256 over the compact form, in hexadecimal: how documents name each other."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()


def encode_base64url(raw: bytes) -> str:
    """Encode without padding."""
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def decode_base64url(text: str) -> bytes:
    """Decode the one canonical unpadded form. Raises SignatureRefused."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as exc:
        raise SignatureRefused("text is not base64url") from exc
    if encode_base64url(raw) != text:
        raise SignatureRefused("text is not canonical base64url")
    return raw
