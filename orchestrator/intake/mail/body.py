"""The tree of parts to text, HTML and attachments.

Here: which part is the body and which is a file. Not here: reading the tree (`mime.py`), what the text means.
"""

from dataclasses import dataclass, field

from orchestrator.intake.mail.attachments import build_attachment, stated_name
from orchestrator.intake.mail.charsets import clean_text, decode_text
from orchestrator.intake.mail.flowed import join_flowed
from orchestrator.intake.mail.html import sanitise_html, text_to_html
from orchestrator.intake.mail.html_text import html_to_text
from orchestrator.intake.mail.limits import ParseLimits
from orchestrator.intake.mail.mime import MimePart
from orchestrator.intake.mail.parsed import Attachment, MailFlag
from orchestrator.intake.mail.tnef import unpack_tnef
from orchestrator.intake.mail.transfer import decode_body, find_uuencoded

_TNEF_TYPES = ("application/ms-tnef", "application/vnd.ms-tnef")


@dataclass(frozen=True, slots=True)
class BodyPiece:
    """Hold one stretch of the body: plain text, HTML, or both forms of the same."""

    plain: str | None = None
    html: str | None = None


@dataclass(slots=True)
class BodyParts:
    """Collect what the parts of one mail hold."""

    limits: ParseLimits
    attachments: list[Attachment] = field(default_factory=list)
    flags: set[MailFlag] = field(default_factory=set)
    calendar_method: str | None = None
    has_text: bool = False

    def attach(self, name: str | None, content_type: str, data: bytes, *, content_id: str | None = None, inline: bool = False) -> None:
        """Add a file."""
        self.attachments.append(
            build_attachment(
                name=name, content_type=content_type, data=data, number=len(self.attachments) + 1,
                limits=self.limits, content_id=content_id, inline=inline,
            )
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class MailBody:
    """Hold the whole text, the sanitised HTML (empty when the mail has none or it is too complex) and the files."""

    text: str
    html: str
    attachments: tuple[Attachment, ...]
    calendar_method: str | None
    flags: frozenset[MailFlag]


def read_body(root: MimePart, *, limits: ParseLimits) -> MailBody:
    """Read body and attachments of a mail."""
    parts = BodyParts(limits)
    pieces = _read(root, parts, in_multipart=False)
    texts: list[str] = []
    pages: list[str] = []
    has_html = any(piece.html is not None for piece in pieces)
    for piece in pieces:
        text = piece.plain
        if piece.html is not None and not (text or "").strip():
            text = html_to_text(piece.html, limits=limits)
            parts.flags.add(MailFlag.TEXT_FROM_HTML)
        texts.append(text or "")
        if has_html:
            pages.append(_clean_page(piece, parts))
    text = "\n\n".join(part.strip("\n") for part in texts if part.strip()) if len(texts) > 1 else "".join(texts)
    if len(text) > limits.max_text_characters:
        text = text[: limits.max_text_characters]
        parts.flags.add(MailFlag.TEXT_TRUNCATED)
    return MailBody(
        text, "\n".join(page for page in pages if page), tuple(parts.attachments), parts.calendar_method, frozenset(parts.flags)
    )


def _clean_page(piece: BodyPiece, parts: BodyParts) -> str:
    if piece.html is None:
        return text_to_html(piece.plain) if piece.plain else ""
    cleaned = sanitise_html(piece.html, limits=parts.limits)
    if cleaned is None:
        parts.flags.add(MailFlag.HTML_TOO_COMPLEX)
        return ""
    if cleaned.blocked_images:
        parts.flags.add(MailFlag.HTML_REMOTE_BLOCKED)
    return cleaned.html


def _read(part: MimePart, parts: BodyParts, *, in_multipart: bool) -> list[BodyPiece]:
    if not part.children:
        return _read_leaf(part, parts, in_multipart=in_multipart)
    pieces = [piece for child in part.children for piece in _read(child, parts, in_multipart=True)]
    if part.media_type != "multipart/alternative" or len(pieces) < 2:
        return pieces
    plain = [piece.plain for piece in pieces if piece.plain is not None and piece.html is None]
    pages = [piece for piece in pieces if piece.html is not None]
    if not plain or not pages:
        return pieces
    beside = [piece.plain for piece in pages if piece.plain is not None]
    return [BodyPiece("\n\n".join(plain + beside), "\n<hr>\n".join(piece.html or "" for piece in pages))]


def _read_leaf(part: MimePart, parts: BodyParts, *, in_multipart: bool) -> list[BodyPiece]:
    if part.unopened:
        parts.attach("unopened.eml", "application/octet-stream", part.raw_body)
        return []
    decoded = decode_body(part.raw_body, part.encoding)
    if decoded.broken:
        parts.flags.add(MailFlag.TRANSFER_ENCODING_BROKEN)
    media_type = part.media_type
    name = stated_name(part.disposition.get("filename"), part.content_type.get("name"))
    if media_type == "text/calendar" and parts.calendar_method is None:
        parts.calendar_method = (part.content_type.get("method") or "publish").strip().lower()[:20]
    # A named text is a file, unless nothing else says anything: some clients name the body itself.
    is_file = part.disposition.value == "attachment" or (in_multipart and name is not None and parts.has_text)
    if media_type in ("text/plain", "text/html") and not is_file:
        return _read_text(part, decoded.data, parts)
    content_id = _content_id(part)
    inline = content_id is not None and part.disposition.value != "attachment" and media_type.startswith("image/")
    parts.attach(name, media_type, decoded.data, content_id=content_id, inline=inline)
    if media_type in _TNEF_TYPES or (name or "").lower() == "winmail.dat":
        parts.flags.add(MailFlag.TNEF)
        for packed in unpack_tnef(decoded.data):
            parts.attach(packed.name, "application/octet-stream", packed.data)
    return []


def _read_text(part: MimePart, data: bytes, parts: BodyParts) -> list[BodyPiece]:
    if b"\0" in data:
        parts.flags.add(MailFlag.NUL_BYTES)
    if part.media_type == "text/plain":
        data = _take_uuencoded(data, parts)
    decoded = decode_text(data, part.content_type.get("charset"))
    if decoded.guessed:
        parts.flags.add(MailFlag.CHARSET_GUESSED)
    if decoded.wrong:
        parts.flags.add(MailFlag.CHARSET_WRONG)
    text = clean_text(decoded.text)
    parts.has_text = parts.has_text or bool(text.strip())
    if part.media_type == "text/html":
        return [BodyPiece(html=text)]
    if (part.content_type.get("format") or "").strip().lower() == "flowed":
        text = join_flowed(text, delete_spaces=(part.content_type.get("delsp") or "").strip().lower() == "yes")
    return [BodyPiece(plain=text)]


def _take_uuencoded(data: bytes, parts: BodyParts) -> bytes:
    """Turn uuencoded files inside a text into attachments; a line says where each one stood."""
    found = find_uuencoded(data)
    if not found:
        return data
    parts.flags.add(MailFlag.UUENCODED)
    out: list[bytes] = []
    position = 0
    for file in found:
        parts.attach(file.name, "application/octet-stream", file.data)
        out += [data[position : file.start], f"[{parts.attachments[-1].name}]".encode()]
        position = file.end
    out.append(data[position:])
    return b"".join(out)


def _content_id(part: MimePart) -> str | None:
    raw = part.header.raw("content-id")
    if raw is None:
        return None
    value = raw.decode("utf-8", "replace").strip().strip("<>").strip()
    return clean_text(value)[:255] or None
