"""Raw bytes to a tree of MIME parts, however broken.

Here: boundaries, depth, number of parts. Not here: what the parts mean (`body.py`, `attachments.py`).
Every level is scanned with byte searches only, so the work is at most depth times size.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.intake.mail.headers import HeaderBlock, split_header
from orchestrator.intake.mail.limits import ParseLimits
from orchestrator.intake.mail.parameters import ParameterValue, parse_parameters
from orchestrator.intake.mail.parsed import MailFlag
from orchestrator.intake.mail.transfer import decode_body

_TYPE = re.compile(r"[a-z0-9!#$&^_.+\-]{1,60}/[a-z0-9!#$&^_.+\-]{1,100}")
_HEADER_AFTER_BOUNDARY = re.compile(rb"[ \t]{0,20}\r?\n?Content-[A-Za-z\-]{1,40}[ \t]{0,20}:", re.IGNORECASE)
_GUESSES = 200
_LINE_SPAN = 64 * 1024


@dataclass(frozen=True, slots=True)
class MimePart:
    """Hold one part: where its body lies in `source`, what it says it is, and its children.

    A part that was not opened because of a bound has `unopened` set and stretches over everything that was left.
    """

    header: HeaderBlock
    content_type: ParameterValue
    disposition: ParameterValue
    encoding: str
    source: bytes
    start: int
    end: int
    children: tuple["MimePart", ...] = ()
    unopened: bool = False

    @property
    def raw_body(self) -> bytes:
        """Give the body as it stands in the mail."""
        return self.source[self.start : self.end]

    @property
    def media_type(self) -> str:
        """Give the media type, such as `text/plain`."""
        return self.content_type.value

    @property
    def is_multipart(self) -> bool:
        """Tell whether the part has children to look at instead of a body."""
        return bool(self.children)


@dataclass(slots=True)
class PartCounter:
    """Count parts over the whole mail and collect what was odd."""

    limits: ParseLimits
    parts: int = 0
    flags: set[MailFlag] = field(default_factory=set)


def read_parts(raw: bytes, counter: PartCounter) -> MimePart:
    """Read the tree of a whole mail."""
    return _read_part(raw, 0, len(raw), 0, "text/plain", counter, top=True)


def _read_part(data: bytes, start: int, end: int, depth: int, default_type: str, counter: PartCounter, *, top: bool = False) -> MimePart:
    counter.parts += 1
    header = split_header(data, start, end, limits=counter.limits, top=top)
    if header.malformed:
        counter.flags.add(MailFlag.HEADER_MALFORMED)
    if header.truncated:
        counter.flags.add(MailFlag.HEADER_TRUNCATED)
    content_type = _content_type(header, default_type)
    encoding = parse_parameters(header.raw("content-transfer-encoding")).value
    part = MimePart(header, content_type, parse_parameters(header.raw("content-disposition")), encoding, data, header.body_start, end)
    if not content_type.value.startswith("multipart/"):
        return part
    if depth >= counter.limits.max_depth:
        counter.flags.add(MailFlag.DEPTH_LIMIT)
        return _replace(part, unopened=True)
    return _read_children(part, depth, counter)


def _read_children(part: MimePart, depth: int, counter: PartCounter) -> MimePart:
    data, start, end = part.source, part.start, part.end
    boundary = _find_boundary(data, start, end, part.content_type.get("boundary"), counter)
    if boundary is None and part.encoding in ("base64", "quoted-printable"):
        # Not allowed by RFC 2045, but written by some gateways: the whole multipart is encoded.
        data = decode_body(part.raw_body, part.encoding).data
        start, end = 0, len(data)
        boundary = _find_boundary(data, start, end, part.content_type.get("boundary"), counter)
    if boundary is None:
        counter.flags.add(MailFlag.BOUNDARY_MISSING)
        return _replace(part, content_type=ParameterValue("text/plain", part.content_type.parameters), start=start, end=end, source=data)
    child_type = "message/rfc822" if part.media_type == "multipart/digest" else "text/plain"
    children: list[MimePart] = []
    for child_start, child_end in _split_at(data, start, end, boundary):
        if counter.parts >= counter.limits.max_parts:
            counter.flags.add(MailFlag.PART_LIMIT)
            empty = HeaderBlock((), child_start)
            children.append(
                MimePart(
                    empty, ParameterValue("application/octet-stream", {}), ParameterValue("", {}), "", data, child_start, end, unopened=True
                )
            )
            break
        children.append(_read_part(data, child_start, child_end, depth + 1, child_type, counter))
    return _replace(part, children=tuple(children), source=data, start=start, end=end)


def _replace(part: MimePart, **changes: object) -> MimePart:
    values = {name: getattr(part, name) for name in MimePart.__slots__}
    return MimePart(**(values | changes))  # pyright: ignore[reportArgumentType]  # names and types are those of the part


def _content_type(header: HeaderBlock, default: str) -> ParameterValue:
    raw = header.raw("content-type")
    parsed = parse_parameters(raw)
    if _TYPE.fullmatch(parsed.value):
        return parsed
    if parsed.value.startswith("multipart") and parsed.get("boundary"):
        return ParameterValue("multipart/mixed", parsed.parameters)
    if parsed.value in ("html", "text/htm") or parsed.value.startswith("text/html"):
        return ParameterValue("text/html", parsed.parameters)
    if raw is None or parsed.value.startswith("text") or not parsed.value:
        return ParameterValue(default if raw is None else "text/plain", parsed.parameters)
    return ParameterValue("application/octet-stream", parsed.parameters)


def _find_boundary(data: bytes, start: int, end: int, declared: str | None, counter: PartCounter) -> bytes | None:
    """Give the boundary that really occurs: the declared one, that one without spaces, or a guess."""
    if declared:
        exact = declared.encode("utf-8", "replace")
        for candidate in dict.fromkeys((exact, exact.strip(), b" ".join(exact.split()))):
            if candidate and next(_delimiters(data, start, end, candidate), None) is not None:
                return candidate
    position = start
    for _ in range(_GUESSES):
        found = start if position == start and data.startswith(b"--", start, end) else data.find(b"\n--", position, end) + 1
        if found <= 0 and not (found == start and position == start):
            return None
        line_end = data.find(b"\n", found, end)
        if line_end < 0:
            return None
        line = data[found + 2 : line_end].rstrip()
        if 0 < len(line) <= 200 and _HEADER_AFTER_BOUNDARY.match(data, line_end, end):
            counter.flags.add(MailFlag.BOUNDARY_GUESSED)
            return line
        position = line_end
    return None


def _delimiters(data: bytes, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int, bool]]:
    """Give each delimiter line: where the text before it ends, where the next line starts, whether it closes.

    RFC 2046 lets anything follow the boundary on its line; a longer boundary that begins alike must not match, so white
    space has to stand between.
    """
    pattern = re.compile(rb"(?:\A|(?<=[\r\n]))--" + re.escape(boundary) + rb"(?:(--)(?=[ \t\r\n]|\Z)|(?=[ \t\r\n]|\Z))")
    for found in pattern.finditer(data, start, end):
        before = found.start()
        if before > start and data[before - 1] == 0x0A:
            before -= 1
        if before > start and data[before - 1] == 0x0D:
            before -= 1
        yield before, _next_line(data, found.end(), end), found.group(1) is not None


def _next_line(data: bytes, position: int, end: int) -> int:
    """Give where the line after this one begins; CRLF, LF and bare CR all end a line."""
    feed = data.find(b"\n", position, min(end, position + _LINE_SPAN))
    carriage = data.find(b"\r", position, min(end, position + _LINE_SPAN) if feed < 0 else feed)
    if carriage >= 0 and carriage + 1 != feed:
        return carriage + 1
    return end if feed < 0 else feed + 1


def _split_at(data: bytes, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int]]:
    """Give the ranges between delimiters. What follows the closing one is an epilogue, unless a part with a header
    follows after all."""
    opened: int | None = None
    closed = False
    for before, after, closing in _delimiters(data, start, end, boundary):
        if closed and not closing and not _HEADER_AFTER_BOUNDARY.match(data, after, end):
            continue
        if opened is not None:
            yield opened, max(opened, before)
        opened = None if closing else after
        closed = closed or closing
    if opened is not None:
        yield opened, end
