"""From an outbox row to the bytes that leave: headers, flowed text, attachments. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime

from orchestrator.notifications.models import OutgoingMail

_LINE = 76


@dataclass(frozen=True, slots=True)
class AttachedFile:
    name: str
    media_type: str
    data: bytes


def build_message(mail: OutgoingMail, *, sender_name: str, sender_address: str, date: datetime, secrets: Mapping[str, str],
                  files: Sequence[AttachedFile] = ()) -> EmailMessage:
    """Make the message. ``secrets`` fill ``{link}`` and ``{code}`` in the text; a place without one is a ``ValueError``."""
    text = mail.text
    for name, value in secrets.items():
        text = text.replace("{" + name + "}", value)
    international = any(not address.isascii() for address in (mail.to_address, *mail.cc))
    message = EmailMessage(policy=SMTPUTF8 if international else SMTP)
    message["Date"] = format_datetime(date)
    message["Message-ID"] = mail.message_id
    message["From"] = _address(sender_name, sender_address)
    message["To"] = _address(mail.to_name, mail.to_address)
    if mail.cc:
        message["Cc"] = [_address("", address) for address in mail.cc]
    message["Subject"] = mail.subject
    if mail.in_reply_to:
        message["In-Reply-To"] = mail.in_reply_to
    if mail.references:
        message["References"] = mail.references
    for name, value in mail.headers.items():
        message[name] = value
    if mail.automatic:
        message["Auto-Submitted"] = "auto-replied" if mail.in_reply_to else "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
    message.set_content(flow_text(text), subtype="plain", charset="utf-8", cte="quoted-printable", params={"format": "flowed"})
    for file in files:
        maintype, _, subtype = file.media_type.partition("/")
        if maintype in ("message", "multipart") or not subtype:
            maintype, subtype = "application", "octet-stream"  # such parts must not be encoded; as plain bytes they arrive whole
        message.add_attachment(file.data, maintype=maintype, subtype=subtype, filename=file.name)
    return message


def flow_text(text: str) -> str:
    """Write text as ``format=flowed`` (RFC 3676): long lines are broken with a blank at the end, lines that begin with a
    blank, ``>`` or ``From`` get one in front, the signature's separator stays as it is. Words are never broken."""
    lines: list[str] = []
    for paragraph in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if paragraph == "-- ":
            lines.append(paragraph)
            continue
        pieces = _wrap(paragraph.rstrip()) or [""]
        lines += [_stuff(piece) + (" " if index < len(pieces) - 1 else "") for index, piece in enumerate(pieces)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _wrap(paragraph: str) -> list[str]:
    if len(paragraph) <= _LINE + 2:
        return [paragraph]
    indent = re.match(r"[ \t]*", paragraph)
    lead = indent[0] if indent else ""
    return textwrap.wrap(paragraph, _LINE, break_long_words=False, break_on_hyphens=False, drop_whitespace=True,
                         replace_whitespace=False, expand_tabs=False, initial_indent=lead) or [paragraph]


def _stuff(line: str) -> str:
    return f" {line}" if line.startswith((" ", ">", "From ")) else line


def _address(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)  # quotes a local part that needs it, and takes letters of any script
