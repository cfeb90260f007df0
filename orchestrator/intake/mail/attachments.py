"""Parts to attachments: names that cannot hurt, sizes, hashes.

Here: one attachment at a time. Not here: which parts are attachments (`body.py`), files inside winmail.dat (`tnef.py`).
"""

import hashlib
import mimetypes
import re

from orchestrator.intake.mail.limits import ParseLimits
from orchestrator.intake.mail.parameters import read_name
from orchestrator.intake.mail.parsed import Attachment
from orchestrator.intake.mail.words import decode_value

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff<>:\"|?*]")
_SUBJECT_SPAN = 64 * 1024
_SUBJECT = re.compile(rb"^Subject:([^\r\n]{0,500})", re.IGNORECASE | re.MULTILINE)
_KNOWN_ENDINGS = {
    "text/plain": ".txt", "text/html": ".html", "text/calendar": ".ics", "message/rfc822": ".eml",
    "message/delivery-status": ".txt", "text/rfc822-headers": ".txt", "image/jpeg": ".jpg", "image/tiff": ".tif",
    "application/pgp-signature": ".asc", "application/pkcs7-signature": ".p7s", "application/pkcs7-mime": ".p7m",
    "application/octet-stream": ".bin",
}  # fmt: skip


def build_attachment(
    *, name: str | None, content_type: str, data: bytes, number: int, limits: ParseLimits,
    content_id: str | None = None, inline: bool = False,
) -> Attachment:  # fmt: skip
    """Build an attachment; without a usable name it is called after its type and its place in the mail."""
    clean = safe_file_name(name or "", limits=limits) or _default_name(content_type, data, number, limits)
    return Attachment(
        name=clean,
        content_type=content_type or "application/octet-stream",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        data=data,
        content_id=content_id,
        inline=inline,
    )


def safe_file_name(name: str, *, limits: ParseLimits) -> str:
    """Give the last component of a name without anything that a file system or a reader could take for more."""
    name = re.split(r"[/\\]", name)[-1]
    name = _UNSAFE.sub("", name).strip(" .")
    if len(name) > limits.max_file_name_characters:
        stem, dot, ending = name.rpartition(".")
        ending = dot + ending if dot and len(ending) <= 10 else ""
        name = (stem if ending else name)[: limits.max_file_name_characters - len(ending)] + ending
    return name


def stated_name(disposition_name: str | None, type_name: str | None) -> str | None:
    """Give the name that the part states, the one of the disposition before the one of the type."""
    return read_name(disposition_name) or read_name(type_name)


def _default_name(content_type: str, data: bytes, number: int, limits: ParseLimits) -> str:
    if content_type == "message/rfc822" and (found := _SUBJECT.search(data, 0, _SUBJECT_SPAN)):
        subject = safe_file_name(re.sub(r"[/\\:]", "-", decode_value(found.group(1))), limits=limits)
        if subject:
            return f"{subject[: limits.max_file_name_characters - 4]}.eml"
    ending = _KNOWN_ENDINGS.get(content_type) or mimetypes.guess_extension(content_type) or ".bin"
    main = content_type.split("/", 1)[0]
    return f"{main if main in ('image', 'audio', 'video', 'message', 'text') else 'attachment'}-{number}{ending}"
