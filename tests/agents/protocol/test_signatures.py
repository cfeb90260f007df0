"""Signed documents: one algorithm, one type, one key, no ambiguity."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from agents.protocol.errors import SignatureRefused
from agents.protocol.signatures import (
    DocumentType,
    PublicKey,
    SigningKey,
    decode_base64url,
    encode_base64url,
    hash_document,
    make_jws,
    read_jws,
)

KEY = SigningKey.generate()
PAYLOAD = {"grant_id": "g", "max_seconds": 60}


def forge(header: Any, payload: bytes = b'{"grant_id":"g"}', key: SigningKey = KEY) -> str:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    signed = encode_base64url(raw) + "." + encode_base64url(payload)
    return signed + "." + encode_base64url(key.sign(signed.encode()))


def header_with(**changes: Any) -> dict[str, Any]:
    return {"alg": "Ed25519", "typ": DocumentType.GRANT.value, "kid": KEY.public.fingerprint} | changes


def test_a_document_is_read_with_key_and_type_it_was_made_with() -> None:
    token = make_jws(KEY, DocumentType.GRANT, PAYLOAD)
    assert read_jws(token, KEY.public, DocumentType.GRANT) == PAYLOAD
    assert hash_document(token) == hashlib.sha256(token.encode()).hexdigest()
    assert read_jws(forge(header_with()), KEY.public, DocumentType.GRANT) == {"grant_id": "g"}


def test_a_document_of_one_type_never_stands_in_for_another() -> None:
    token = make_jws(KEY, DocumentType.REQUEST, PAYLOAD)
    for kind in set(DocumentType) - {DocumentType.REQUEST}:
        with pytest.raises(SignatureRefused):
            read_jws(token, KEY.public, kind)


def test_another_key_is_refused() -> None:
    other = SigningKey.generate()
    with pytest.raises(SignatureRefused):
        read_jws(make_jws(other, DocumentType.GRANT, PAYLOAD), KEY.public, DocumentType.GRANT)
    with pytest.raises(SignatureRefused):
        read_jws(forge(header_with(), key=other), KEY.public, DocumentType.GRANT)


@pytest.mark.parametrize(
    "header",
    [
        header_with(alg="none"),
        header_with(alg="EdDSA"),
        header_with(alg="HS256"),
        header_with(alg=None),
        header_with(typ="JWT"),
        header_with(crit=["exp"], exp=1),
        header_with(crit=[]),
        header_with(jwk={"kty": "OKP"}),
        header_with(jku="https://stranger.example/keys"),
        header_with(kid="SHA256:other"),
        b'{"alg":"none","alg":"Ed25519","typ":"fernwart-grant+jws","kid":"%s"}' % KEY.public.fingerprint.encode(),
        b"[]",
        b"nonsense",
    ],
)
def test_a_header_that_is_not_ours_is_refused_though_the_signature_verifies(header: Any) -> None:
    with pytest.raises(SignatureRefused):
        read_jws(forge(header), KEY.public, DocumentType.GRANT)


def test_a_public_key_used_as_shared_secret_is_refused() -> None:
    signed = encode_base64url(json.dumps(header_with(alg="HS256")).encode()) + "." + encode_base64url(b"{}")
    mac = hmac.new(KEY.public.raw, signed.encode(), "sha256").digest()
    with pytest.raises(SignatureRefused):
        read_jws(signed + "." + encode_base64url(mac), KEY.public, DocumentType.GRANT)


@pytest.mark.parametrize("payload", [b'{"a":1,"a":2}', b"[1]", b"", b'{"a":NaN}', b"\xff"])
def test_a_payload_that_is_not_strict_json_is_refused(payload: bytes) -> None:
    with pytest.raises(SignatureRefused):
        read_jws(forge(header_with(), payload), KEY.public, DocumentType.GRANT)


def test_every_flipped_byte_of_a_document_is_refused() -> None:
    token = make_jws(KEY, DocumentType.GRANT, PAYLOAD).encode()
    for position in range(len(token)):
        changed = bytearray(token)
        changed[position] ^= 1
        with pytest.raises(SignatureRefused):
            read_jws(changed.decode("latin-1"), KEY.public, DocumentType.GRANT)


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c.d", "..", "x" * 40_000])
def test_text_that_is_no_document_is_refused(token: str) -> None:
    with pytest.raises(SignatureRefused):
        read_jws(token, KEY.public, DocumentType.GRANT)


def test_a_fingerprint_is_sha256_over_the_raw_key_in_base64() -> None:
    expected = base64.b64encode(hashlib.sha256(KEY.public.raw).digest()).decode().rstrip("=")
    assert KEY.public.fingerprint == f"SHA256:{expected}"
    assert PublicKey.from_text(KEY.public.text) == KEY.public
    assert SigningKey.from_bytes(KEY.to_bytes()).public == KEY.public
    assert KEY.to_bytes().hex() not in repr(KEY)


@pytest.mark.parametrize("text", ["=", "a", "YR", "YQ==", "Y Q", "YQ\n", "ä"])
def test_base64url_has_one_form(text: str) -> None:
    with pytest.raises(SignatureRefused):
        decode_base64url(text)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(SignatureRefused):
        PublicKey.from_text(encode_base64url(b"x" * 31))
    with pytest.raises(SignatureRefused):
        SigningKey.from_bytes(b"x" * 31)
