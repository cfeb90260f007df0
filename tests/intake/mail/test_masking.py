"""Our own secret links never survive intake, in whatever encoding a bounce or a reply quotes them."""

import base64
import hashlib
import quopri
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.ids import new_secret
from orchestrator.intake.mail.masking import TOKEN_LETTERS, mask_tokens
from orchestrator.intake.mail.parse import parse_message
from tests.intake.mail import samples

URL = "https://support.example.de"
TOKEN = "Zx9_-aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5_-"


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def encoded_base64(text: str) -> bytes:
    return b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(text.encode()).replace(b"\n", b"\r\n")


def encoded_qp(text: str) -> bytes:
    return b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + quopri.encodestring(text.encode()).replace(b"\n", b"\r\n")


def nested(text: str) -> bytes:
    return encoded_base64("Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(text.encode()).decode())


LINK = f"{URL}/consent/{TOKEN}"
WAYS = {
    "plain": f"Bitte hier: {LINK}\r\nDiese Freigabe gilt 60 Minuten.".encode(),
    "query behind it": f"{LINK}?x=1".encode(),
    "set-up": f"{URL}/set-up/{TOKEN}".encode(),
    "login link": f"{URL}/login/link/{TOKEN}".encode(),
    "another host": f"http://10.0.0.5:8420/consent/{TOKEN}".encode(),
    "quoted reply": f"> Bitte hier:\r\n> {LINK}\r\n> Danke".encode(),
    "wrapped in the token": f"> {LINK[:60]}\r\n> {LINK[60:]}\r\n> Danke".encode(),
    "wrapped in the word": f"{URL}/cons\r\nent/{TOKEN}".encode(),
    "quoted-printable": encoded_qp(f"Ein Link mit Umlaut für Grüße an alle, damit es umbricht: {LINK} und weiter"),
    "quoted-printable, every break": b"\r\n".join(encoded_qp("ü" * pad + LINK) for pad in range(26)),
    "coded letters": LINK.replace("_", "=5F").replace("-", "=2D").encode(),
    "base64": encoded_base64(f"Ein Link: {LINK} und weiter"),
    "base64 without padding": encoded_base64(f"Ein Link: {LINK} und weiter!").replace(b"=\r\n", b"\r\n"),
    "base64 in base64": nested(f"Ein Link: {LINK}"),
    "html": f'<a href="{LINK}">Freigabe</a>'.encode(),
    "safe link": ("https://eur01.safelinks.example/?url=" + LINK.replace(":", "%3A").replace("/", "%2F") + "&data=05").encode(),
    "safe link in html": ('<a href="https://eur01.safelinks.example/?url=' + LINK.replace(":", "%3A").replace("/", "%252F") + '">').encode(),
    "utf-16": LINK.encode("utf-16-le"),
    "utf-16 in base64": base64.encodebytes(f"Ein langer Text davor, {LINK}".encode("utf-16-le")),
}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_token_is_masked_and_named_however_it_is_wrapped(way: str) -> None:
    raw = b"From: a@b.de\r\nSubject: Re: Freigabe\r\n" + WAYS[way]
    masked = mask_tokens(raw, public_url=URL)
    assert masked.token_hashes == (digest(TOKEN),)
    assert len(masked.raw) == len(raw)
    again = mask_tokens(masked.raw, public_url=URL)
    assert again.token_hashes == ()
    assert TOKEN[:20].encode() not in masked.raw
    mail = parse_message(masked.raw)
    for shown in (mail.text, mail.html, *(file.data.decode("latin-1") for file in mail.attachments)):
        assert TOKEN[:12] not in shown


def test_masked_mail_is_otherwise_unchanged() -> None:
    text = f"Guten Tag, der Link war {LINK} und die Akte liegt bei."
    masked = mask_tokens(samples.simple(text), public_url=URL)
    assert parse_message(masked.raw).text.strip() == text.replace(TOKEN, "*" * TOKEN_LETTERS)


def test_several_tokens_are_all_named_in_order() -> None:
    tokens = [new_secret() for _ in range(5)]
    masked = mask_tokens("\n".join(f"{URL}/consent/{token}" for token in [*tokens, tokens[0]]).encode(), public_url=URL)
    assert masked.token_hashes == tuple(digest(token) for token in tokens)
    assert masked.masked_count == 6


def test_part_of_a_token_behind_our_own_address_is_masked_but_names_none() -> None:
    masked = mask_tokens(f"abgeschnitten: {LINK[:-9]} …".encode(), public_url=URL)
    assert TOKEN[:20].encode() not in masked.raw
    assert masked.token_hashes == ()
    assert masked.masked_count == 1


@pytest.mark.parametrize(
    "text",
    [
        "https://www.example.org/consent/wie-wir-mit-cookies-umgehen",
        "Das steht unter /consent/ auf der Seite.",
        "https://www.example.org/set-up/guide",
        "consent is consent",
        "inconsent/" + "a" * 43,
    ],
)
def test_other_peoples_addresses_are_left_alone(text: str) -> None:
    assert mask_tokens(text.encode(), public_url=URL).raw == text.encode()


def test_bounce_that_quotes_a_consent_mail_holds_no_token() -> None:
    raw = samples.bounce_report().replace(b"Bitte melden Sie sich.", LINK.encode())
    masked = mask_tokens(raw, public_url=URL)
    assert masked.token_hashes == (digest(TOKEN),)
    mail = parse_message(masked.raw)
    assert mail.bounce.original_message_id == "t1.abc@fernwart.example"
    assert all(TOKEN.encode() not in file.data for file in mail.attachments)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 200), st.sampled_from(["plain", "base64", "qp"]))
def test_masking_keeps_length_and_never_raises(noise: bytes, where: int, way: str) -> None:
    token = secrets.token_urlsafe(32)
    link = f" {URL}/consent/{token} ".encode()
    inner = noise[:where] + link + noise[where:]
    match way:
        case "base64":
            raw = b"\r\n\r\n" + base64.encodebytes(inner)
        case "qp":
            raw = b"\r\n\r\n" + quopri.encodestring(inner)
        case _:
            raw = inner
    masked = mask_tokens(raw, public_url=URL)
    assert len(masked.raw) == len(raw)
    assert digest(token) in masked.token_hashes


def test_masking_a_large_attachment_is_fast_enough() -> None:
    raw = samples.simple() + encoded_base64("x" * 1000) + base64.encodebytes(secrets.token_bytes(8 * 1024 * 1024))
    assert mask_tokens(raw, public_url=URL).raw == raw
