"""Content-Transfer-Encoding: base64, quoted-printable and uuencode to bytes, however broken.

Here: decoding. Not here: charsets, MIME structure.
"""

import binascii
import re
from dataclasses import dataclass

_NOT_BASE64 = bytes(byte for byte in range(256) if chr(byte) not in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_SPACE = b" \t\r\n"
_SOFT_BREAK = re.compile(rb"=[ \t]{1,76}(\r?\n)")
_BEGIN = re.compile(rb"^begin(?:-base64)? [0-7]{3,4} ([^\r\n]{1,255})\r?$", re.MULTILINE)
_MAX_UU_FILES = 100
_MAX_UU_ATTEMPTS = 1000
_MAX_PIECES = 1000


@dataclass(frozen=True, slots=True)
class DecodedBody:
    """Hold decoded bytes and whether the encoding was broken or not what the label said."""

    data: bytes
    broken: bool = False


@dataclass(frozen=True, slots=True)
class EmbeddedFile:
    """Hold a uuencoded file found in a text, and where it stood."""

    name: str
    data: bytes
    start: int
    end: int


def decode_body(raw: bytes, encoding: str) -> DecodedBody:
    """Decode a body by the name of its transfer encoding. Never raises; unknown encodings leave the bytes as they are."""
    match encoding:
        case "base64" | "b64" | "b":
            return _decode_base64(raw)
        case "quoted-printable" | "quoted_printable" | "quopri" | "qp" | "q":
            return _decode_quoted_printable(raw)
        case "x-uuencode" | "uuencode" | "x-uue" | "uue" | "x-uu":
            found = find_uuencoded(raw)
            return DecodedBody(found[0].data) if found else DecodedBody(raw, broken=True)
        case "" | "7bit" | "8bit" | "binary" | "7-bit" | "8-bit" | "none":
            return DecodedBody(raw)
        case _:
            return DecodedBody(raw, broken=True)


def find_uuencoded(raw: bytes) -> list[EmbeddedFile]:
    """Find uuencoded files in a text body, as old programs and fax servers put them there."""
    found: list[EmbeddedFile] = []
    if b"begin" not in raw:
        return found
    position = 0
    for _ in range(_MAX_UU_ATTEMPTS):
        begin = _BEGIN.search(raw, position)
        if begin is None or len(found) >= _MAX_UU_FILES:
            break
        position = begin.end()
        decoded = _read_uuencoded(raw, position)
        if decoded is not None:
            data, end = decoded
            name = begin.group(1).decode("utf-8", "replace").strip()
            found.append(EmbeddedFile(name, data, begin.start(), end))
            position = end
    return found


def _read_uuencoded(raw: bytes, position: int) -> tuple[bytes, int] | None:
    out: list[bytes] = []
    position = raw.find(b"\n", position) + 1
    while 0 < position < len(raw):
        stop = raw.find(b"\n", position)
        stop = len(raw) if stop < 0 else stop
        line = raw[position:stop].rstrip(b"\r")
        if line.strip() == b"end":
            return b"".join(out), stop
        if not line or len(line) > 100 or not 32 <= line[0] <= 96:
            return None
        try:
            out.append(binascii.a2b_uu(line))
        except binascii.Error:
            # Encoders that count trailing spaces wrongly: take as many bytes as the length letter says.
            wanted = (((line[0] - 32) & 63) * 4 + 5) // 3
            try:
                out.append(binascii.a2b_uu(line[:wanted]))
            except binascii.Error:
                return None
        position = stop + 1
    return None


def _decode_base64(raw: bytes) -> DecodedBody:
    letters = raw.translate(None, _NOT_BASE64)
    foreign = len(raw.translate(None, _SPACE)) - len(letters)
    if (foreign > 8 and foreign * 4 > len(raw)) or raw.count(b" ") * 10 > len(raw):
        return DecodedBody(raw, broken=True)
    broken = foreign > 0
    groups = [group for group in re.split(rb"=+", letters, maxsplit=_MAX_PIECES)[:_MAX_PIECES] if group]
    if len(groups) > 1:
        # Something after the padding: pieces that were encoded one after the other, or a footer that a gateway added.
        broken = True
        tail = raw[raw.index(b"=") :]
        if len(tail.translate(None, _SPACE)) != len(tail.translate(None, _NOT_BASE64)):
            groups = groups[:1]
    out: list[bytes] = []
    for group in groups:
        if len(group) % 4 == 1:
            group, broken = group[:-1], True
        elif len(group) % 4 and b"=" not in letters:
            broken = True
        out.append(binascii.a2b_base64(group + b"=" * (-len(group) % 4)))
    return DecodedBody(b"".join(out), broken)


def _decode_quoted_printable(raw: bytes) -> DecodedBody:
    return DecodedBody(binascii.a2b_qp(_SOFT_BREAK.sub(rb"=\1", raw)))
