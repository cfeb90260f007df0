"""A header block to fields, however broken.

Here: finding where the header ends, unfolding, dropping defects, bounds. Not here: what a value means (`words.py`,
`parameters.py`, `addresses.py`, `dates.py`).
"""

import re
from dataclasses import dataclass

from orchestrator.intake.mail.limits import ParseLimits

_NAME = re.compile(rb"[!-9;-~]{1,100}")
_NAME_SPAN = 140
_END = re.compile(rb"\r?\n\r?\n|\r\r")
_WINDOW_BYTES = 64 * 1024
_ENVELOPE_LINE = re.compile(rb">?From \S")


@dataclass(frozen=True, slots=True)
class HeaderField:
    """Hold one field: name in lower case, value as bytes with its folds, without the last line end."""

    name: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class HeaderBlock:
    """Hold the fields of one part, where its body starts, and whether something was odd or beyond a bound."""

    fields: tuple[HeaderField, ...]
    body_start: int
    malformed: bool = False
    truncated: bool = False

    def raw(self, name: str) -> bytes | None:
        """Give the raw value of the first field of that name, or None."""
        return next((field.raw for field in self.fields if field.name == name), None)

    def all_raw(self, name: str) -> list[bytes]:
        """Give the raw values of all fields of that name, in order."""
        return [field.raw for field in self.fields if field.name == name]


def split_header(data: bytes, start: int, end: int, *, limits: ParseLimits, top: bool = False) -> HeaderBlock:
    """Split the header block that begins at `start`; the body is `data[body_start:end]`.

    A line that is no field is dropped when a field follows it, and begins the body when none does: text is never
    taken for a broken header. With `top`, blank lines and an mbox "From " line before the header are passed over.
    Each line is looked at once.
    """
    position = _skip_leading(data, start, end) if top else start
    block_end = min(end, position + limits.max_header_bytes)
    fields: list[HeaderField] = []
    name = ""
    value_parts: list[bytes] = []
    value_size = 0
    malformed = False
    truncated = False

    def finish() -> None:
        if name:
            fields.append(HeaderField(name, b"\n".join(value_parts)))

    while position < block_end:
        line_end, next_line = _line_end(data, position, end)
        line = (
            data[position:line_end] if line_end - position <= limits.max_field_bytes else data[position : position + limits.max_field_bytes]
        )
        truncated = truncated or line_end - position > limits.max_field_bytes
        if line_end == position:
            finish()
            return HeaderBlock(tuple(fields), next_line, malformed, truncated)
        if line[:1] in (b" ", b"\t"):
            if not name and not fields:
                return HeaderBlock((), position, bool(line.strip()), truncated)
            if value_size + len(line) <= limits.max_field_bytes:
                value_parts.append(line)
                value_size += len(line)
            else:
                truncated = True
        elif colon := _field_name_end(line, 0, len(line)):
            finish()
            name = ""
            if len(fields) < limits.max_header_fields:
                name = line[:colon].rstrip(b" \t").decode("ascii").lower()
                value_parts = [line[colon + 1 :]]
                value_size = len(line)
            else:
                truncated = True
        else:
            malformed = True
            if not _is_field_line(data, next_line, end):
                finish()
                return HeaderBlock(tuple(fields), position, True, truncated)
            finish()
            name = ""
        position = next_line
    finish()
    if block_end < end:
        truncated = True
        match_end = _END.search(data, max(start, block_end - 4), end)
        return HeaderBlock(tuple(fields), match_end.end() if match_end else end, malformed, truncated)
    return HeaderBlock(tuple(fields), end, malformed, truncated)


def _skip_leading(data: bytes, start: int, end: int) -> int:
    """Pass over what transports put before a header, but only when a header follows."""
    position = start
    while position < end and data[position] in b"\r\n":
        position += 1
    if _ENVELOPE_LINE.match(data, position, end):
        position = _line_end(data, position, end)[1]
    return position if _is_field_line(data, position, end) else start


def _is_field_line(data: bytes, position: int, end: int) -> bool:
    return _field_name_end(data, position, end) > 0


def _field_name_end(data: bytes, position: int, end: int) -> int:
    """Give where the colon after a field name stands, 0 when the line begins with none."""
    colon = data.find(b":", position, min(end, position + _NAME_SPAN))
    if colon <= 0 or _NAME.fullmatch(data[position:colon].rstrip(b" \t")) is None:
        return 0
    return colon


def _line_end(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Give where the line's content ends and where the next line begins; CRLF, LF and bare CR all end a line."""
    window = min(end, position + _WINDOW_BYTES)
    feed = data.find(b"\n", position, window)
    stop = window if feed < 0 else feed
    carriage = data.find(b"\r", position, stop)
    if carriage >= 0:
        return carriage, carriage + 2 if data[carriage + 1 : carriage + 2] == b"\n" else carriage + 1
    if feed < 0 and window < end:
        feed = data.find(b"\n", window, end)
        stop = end if feed < 0 else feed
        stop = stop - 1 if data[stop - 1 : stop] == b"\r" else stop
        return stop, end if feed < 0 else feed + 1
    return stop, min(stop + 1, end)
