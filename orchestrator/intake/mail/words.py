"""Header values to text: encoded words (RFC 2047), raw 8-bit values, folding.

Here: one value at a time. Not here: splitting a header block (`headers.py`), parameters (`parameters.py`), addresses.
"""

import binascii
import re

from orchestrator.intake.mail.charsets import clean_text, decode_text, find_codec, guess_text

_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_QP_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_SPACES = re.compile(r"[ \t\r\n]+")


def decode_value(raw: bytes) -> str:
    """Decode one header value: unfolded, encoded words read, spaces collapsed, no control characters. Never raises."""
    try:
        value = raw.decode("ascii")
    except UnicodeDecodeError:
        value = guess_text(raw).text
    return collapse_spaces(decode_words(value))


def decode_words(value: str) -> str:
    """Read the encoded words of a value; adjacent ones of one charset are joined before they are decoded."""
    if "=?" not in value:
        return value
    out: list[str] = []
    pending = bytearray()
    pending_charset = ""
    position = 0
    after_word = False
    for match in _WORD.finditer(value):
        between = value[position : match.start()]
        charset = match.group(1).split("*", 1)[0].lower()
        data = _word_bytes(match.group(2), match.group(3))
        adjacent = after_word and not between.strip()
        if not adjacent or charset != pending_charset:
            out.append(_flush(pending, pending_charset))
            if not adjacent:
                out.append(between)
            pending = bytearray()
            pending_charset = charset
        pending += data
        after_word = True
        position = match.end()
    out.append(_flush(pending, pending_charset))
    out.append(value[position:])
    return "".join(out)


def collapse_spaces(value: str) -> str:
    """Give a value on one line: runs of white space become one space, control characters go."""
    return clean_text(_SPACES.sub(" ", value)).replace("\n", " ").strip()


def _flush(data: bytearray, charset: str) -> str:
    if not data:
        return ""
    label = charset if find_codec(charset) else None
    return decode_text(bytes(data), label).text


def _word_bytes(encoding: str, payload: str) -> bytes:
    raw = payload.encode("utf-8", "replace")
    if encoding in "qQ":
        return _QP_HEX.sub(lambda found: bytes([int(found.group(1), 16)]), raw.replace(b"_", b" "))
    letters = _BASE64.sub(b"", raw)
    letters = letters[: len(letters) - 1] if len(letters) % 4 == 1 else letters
    try:
        return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
    except binascii.Error:
        return raw
