"""Text of a stranger's terminal, made fit to be looked at: nothing in it may move the cursor, hide, or run backwards. Pure."""

from __future__ import annotations

import re

_BIDI_AND_INVISIBLE = {
    *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0x061C, 0x00AD, 0x180E, 0xFEFF, *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),
}
_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*[@-~]?"  # CSI
    r"|\x1b[ -/]*[0-~]?"  # other escapes
)


def show_line(text: str) -> str:
    """Return a command line with control, bidi and invisible characters written out as ``\\x1b`` or ``\\u202e``."""
    return "".join(_show(character) for character in text)


def _show(character: str) -> str:
    point = ord(character)
    if point < 0x20 or 0x7F <= point < 0xA0:
        return f"\\x{point:02x}"
    if point in _BIDI_AND_INVISIBLE or 0xD800 <= point < 0xE000:
        return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
    return character


def plain_text(output: bytes) -> str:
    """Return terminal output as plain lines: escape sequences gone, what a carriage return overwrote gone, the rest escaped."""
    text = _ESCAPES.sub("", output.decode("utf-8", "replace")).replace("\r\n", "\n")
    lines = [line.rpartition("\r")[2] if "\r" in line else line for line in text.split("\n")]
    return "\n".join("".join(_show(character) if character != "\t" else "\t" for character in _erase(line)) for line in lines)


def _erase(line: str) -> str:
    """Apply backspaces."""
    if "\b" not in line:
        return line
    kept: list[str] = []
    for character in line:
        if character != "\b":
            kept.append(character)
        elif kept:
            kept.pop()
    return "".join(kept)
