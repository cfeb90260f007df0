"""Our own secret links in mail that comes in: bounces and replies quote them.

Here: finding the tokens of consent, set-up and login links in raw bytes, whatever encoding wraps them, and masking them
in place, so that no table, log or backup ever holds them. Not here: burning the links (a listener of `OwnLinksSeen`).

Every byte keeps its place and the mail its length; only the letters of a token become `*`. Tokens are found in plain
text, in quoted-printable with soft breaks, in lines that a client wrapped, percent-encoded inside another link, in
UTF-16, and inside base64, which is decoded, masked and encoded again.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

TOKEN_LETTERS = 43
"""Letters of a token with 32 random bytes (`core/ids.py: new_secret`)."""

_MIN_LETTERS = 16
_MAX_NESTING = 4
_LOOK_BACK = 600
_MIN_RUN = 60

_NOISE = rb"(?:\x00|=?\r?\n[> \t]{0,10})?"
_SLASH = rb"(?:/|%2F|%2f|=2F|%252F|%252f|&#47;|&#x2[Ff];)"
_LETTER = rb"(?:[A-Za-z0-9_\-]|=5F|=2D|%5F|%2D)"
_DASH = rb"(?:-|=2D|%2D)"


def _spread(word: str) -> bytes:
    """Give a pattern for a word that a line break may split anywhere."""
    letters = {"/": _SLASH, "-": _DASH}
    return _NOISE.join(letters.get(letter, re.escape(letter.encode())) for letter in word)


def _path_pattern(path: str) -> re.Pattern[bytes]:
    token = _LETTER + b"(?:" + _NOISE + _LETTER + b"){%d,%d}" % (_MIN_LETTERS - 1, TOKEN_LETTERS - 1)
    return re.compile(_spread(path) + _NOISE + _SLASH + _NOISE + b"(" + token + b")")


_CONSENT = _path_pattern("consent")
_SET_UP = _path_pattern("set-up")
_LOGIN_LINK = _path_pattern("login/link")
_PATHS = (_CONSENT, _SET_UP, _LOGIN_LINK)
_ENDS_IN_SLASH = re.compile(_SLASH + _NOISE + rb"\Z")
_ONE_LETTER = re.compile(rb"=[0-9A-F]{2}|%[0-9A-F]{2}|[A-Za-z0-9_\-]|\x00|=?\r?\n[> \t]{0,10}")
_PLAIN_TOKEN = re.compile(rb"[A-Za-z0-9_\-]{43}")
_CODED_LETTER = re.compile(rb"[=%](5F|2D)")
_CODED = re.compile(rb"[=%]([0-9A-Fa-f]{2})")
_WRAP = re.compile(rb"\x00|=?\r?\n[> \t]{0,10}")
_BASE64_RUN = re.compile(
    rb"(?:[A-Za-z0-9+/]{20,}+[ \t]{0,4}+\r?\n)++(?:[A-Za-z0-9+/]++={0,2})?|[A-Za-z0-9+/]{60,}+={0,2}"
)


@dataclass(frozen=True, slots=True)
class MaskedMail:
    """Hold the mail without our tokens and the SHA-256 (hex) of each whole token that was in it, in order."""

    raw: bytes
    token_hashes: tuple[str, ...] = ()
    masked_count: int = 0


def mask_tokens(raw: bytes, *, public_url: str) -> MaskedMail:
    """Mask our tokens in a raw mail.

    A whole token (43 letters) is masked after any host, since a proxy or an older address may stand before it; a part of
    one only behind our own address. Linear in the size of the mail.
    """
    state = _Masking(_plain_host(public_url))
    masked = state.mask(raw, 0)
    return MaskedMail(masked, tuple(state.hashes), state.count)


class _Masking:
    """Collect what one mail holds while its layers are opened."""

    def __init__(self, host: bytes) -> None:
        self._host = host
        self.hashes: dict[str, None] = {}
        self.count = 0

    def mask(self, data: bytes, depth: int) -> bytes:
        """Mask one layer, then what is encoded inside it."""
        spans = [span for pattern in _PATHS for span in self._find(pattern, data)]
        if spans:
            out = bytearray(data)
            for start, end, replacement in spans:
                out[start:end] = replacement
            data = bytes(out)
        return self._mask_base64(data, depth) if depth < _MAX_NESTING else data

    def _find(self, pattern: re.Pattern[bytes], data: bytes) -> Iterator[tuple[int, int, bytes]]:
        for match in pattern.finditer(data):
            if len(match[1]) == TOKEN_LETTERS and data[match.start() - 1 : match.start()] == b"/" and _PLAIN_TOKEN.fullmatch(match[1]):
                # The usual case, without any encoding.
                self.hashes.setdefault(hashlib.sha256(match[1]).hexdigest())
                self.count += 1
                yield *match.span(1), b"*" * TOKEN_LETTERS
                continue
            before = data[max(0, match.start() - _LOOK_BACK) : match.start()]
            if _ENDS_IN_SLASH.search(before[-20:]) is None:
                continue
            letters = _WRAP.sub(b"", match.group(1))
            token = _CODED_LETTER.sub(lambda code: b"_" if code.group(1) == b"5F" else b"-", letters)
            if len(token) == TOKEN_LETTERS:
                self.hashes.setdefault(hashlib.sha256(token).hexdigest())
            elif not self._is_our_host(before):
                continue
            self.count += 1
            yield *match.span(1), _ONE_LETTER.sub(_star, match.group(1))

    def _is_our_host(self, before: bytes) -> bool:
        """Tell whether our own address ends right before the path, in whatever encoding."""
        plain = _WRAP.sub(b"", before)
        plain = _CODED.sub(lambda code: bytes([int(code.group(1), 16)]), plain.replace(b"%25", b"%"))
        plain = plain.replace(b"&#47;", b"/").lower()
        return plain.rstrip(b"/").endswith(self._host)

    def _mask_base64(self, data: bytes, depth: int) -> bytes:
        out: bytearray | None = None
        for run in _BASE64_RUN.finditer(data):
            if run.end() - run.start() < _MIN_RUN:
                continue
            replaced = self._mask_run(run.group(), depth)
            if replaced is not None:
                out = out if out is not None else bytearray(data)
                out[run.start() : run.end()] = replaced
        return bytes(out) if out is not None else data

    def _mask_run(self, run: bytes, depth: int) -> bytes | None:
        """Decode one stretch of base64, mask in it, and write the letters back in their places."""
        letters = run.translate(None, b" \t\r\n")
        body = letters.rstrip(b"=")
        if len(body) % 4 == 1:
            body = body[:-1]
        decoded = binascii.a2b_base64(body + b"=" * (-len(body) % 4))
        masked = self.mask(decoded, depth + 1)
        if masked == decoded:
            return None
        encoded = binascii.b2a_base64(masked, newline=False).rstrip(b"=")
        fresh = iter(encoded)
        return bytes(letter if letter in b" \t\r\n=" else next(fresh, letter) for letter in run)


def _star(match: re.Match[bytes]) -> bytes:
    found = match.group()
    if found[:1] in (b"\x00", b"\r", b"\n") or b"\n" in found:
        return found
    return b"*" * len(found)


def _plain_host(public_url: str) -> bytes:
    parts = urlsplit(public_url)
    return f"{parts.netloc}{parts.path.rstrip('/')}".lower().encode("utf-8", "replace")
