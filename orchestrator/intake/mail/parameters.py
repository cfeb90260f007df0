"""Content-Type and Content-Disposition to a value and its parameters (RFC 2045, RFC 2231), however written.

Here: quoting, continuations, percent encoding, encoded words where they may not be. Not here: what a type means.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from orchestrator.intake.mail.charsets import decode_text, guess_text
from orchestrator.intake.mail.words import collapse_spaces, decode_words

_MAX_PARAMETERS = 100
_PIECE = re.compile(r"^([^*]+?)(?:\*(\d{1,3}))?(\*)?$")


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """Hold a main value in lower case and its parameters by lower-case name."""

    value: str
    parameters: dict[str, str]

    def get(self, name: str) -> str | None:
        """Give a parameter, or None."""
        return self.parameters.get(name)


def parse_parameters(raw: bytes | None) -> ParameterValue:
    """Parse a header value of the form `value; name=value; …`. Never raises; the first of two equal names wins."""
    if not raw:
        return ParameterValue("", {})
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        text = guess_text(raw).text
    pieces = _split(text)
    plain: dict[str, str] = {}
    continued: dict[str, dict[int, tuple[str, bool]]] = {}
    for piece in pieces[1 : _MAX_PARAMETERS + 1]:
        name, equals, value = piece.partition("=")
        name = name.strip().lower()
        if not equals or not name:
            continue
        value = _unquote(value)
        match = _PIECE.match(name)
        if match is None:
            continue
        base, index, starred = match.group(1), match.group(2), bool(match.group(3))
        if index is None and not starred:
            plain.setdefault(base, value)
        else:
            continued.setdefault(base, {}).setdefault(int(index or 0), (value, starred))
    for base, parts in continued.items():
        plain[base] = _join(parts)
    main = re.sub(r"\s+", "", _without_comment(pieces[0] if pieces else "")).lower()
    return ParameterValue(main.strip("\"'"), plain)


def read_name(value: str | None) -> str | None:
    """Read a file name parameter, which many programs write as encoded words, or percent-encoded."""
    if not value:
        return None
    name = collapse_spaces(decode_words(value))
    if "%" in name and re.fullmatch(r"[\x21-\x7e]+", name) and re.search(r"%[89A-Fa-f][0-9A-Fa-f]", name):
        decoded = unquote_to_bytes(name)
        try:
            name = collapse_spaces(decoded.decode("utf-8"))
        except UnicodeDecodeError:
            return name
    return name


def _split(text: str) -> list[str]:
    """Split at semicolons outside quotes, each character looked at once."""
    pieces: list[str] = []
    current: list[str] = []
    quoted = escaped = False
    for character in text:
        if escaped:
            current.append(character)
            escaped = False
        elif quoted and character == "\\":
            current.append(character)
            escaped = True
        elif character == '"':
            quoted = not quoted
            current.append(character)
        elif character == ";" and not quoted:
            pieces.append("".join(current))
            current = []
        else:
            current.append(character)
    pieces.append("".join(current))
    return pieces


def _unquote(value: str) -> str:
    value = value.strip()
    if not value.startswith('"'):
        return value.replace("\r", "").replace("\n", "")
    out: list[str] = []
    escaped = False
    for character in value[1:]:
        if escaped:
            # A Windows path is no escape: only quote and backslash may be escaped.
            out.append(character if character in '"\\' else "\\" + character)
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            break
        elif character not in "\r\n":
            out.append(character)
    return "".join(out)


def _without_comment(value: str) -> str:
    return value.split("(", 1)[0]


def _join(parts: dict[int, tuple[str, bool]]) -> str:
    """Join RFC 2231 pieces; the charset stands in the first one, percent encoding only in starred ones."""
    charset: str | None = None
    data = bytearray()
    for position, index in enumerate(sorted(parts)):
        value, starred = parts[index]
        if position == 0 and starred and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        data += unquote_to_bytes(value) if starred else value.encode("utf-8", "replace")
    return collapse_spaces(decode_text(bytes(data), charset or "utf-8").text)
