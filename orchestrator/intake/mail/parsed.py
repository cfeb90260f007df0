"""What one mail says, as plain values.

Here live the frozen dataclasses that the parser answers with. No parsing, no decision, no database.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class MailFlag(StrEnum):
    """Name what was odd about a mail; each flag is shown with the entry."""

    CHARSET_GUESSED = "charset_guessed"
    CHARSET_WRONG = "charset_wrong"
    DATE_MISSING = "date_missing"
    DATE_ODD = "date_odd"
    DEPTH_LIMIT = "depth_limit"
    EMPTY = "empty"
    FROM_MISSING = "from_missing"
    FROM_SEVERAL = "from_several"
    HEADER_MALFORMED = "header_malformed"
    HEADER_TRUNCATED = "header_truncated"
    HTML_REMOTE_BLOCKED = "html_remote_blocked"
    HTML_TOO_COMPLEX = "html_too_complex"
    BOUNDARY_MISSING = "boundary_missing"
    BOUNDARY_GUESSED = "boundary_guessed"
    NUL_BYTES = "nul_bytes"
    PART_LIMIT = "part_limit"
    PARSE_FAILED = "parse_failed"
    TEXT_FROM_HTML = "text_from_html"
    TEXT_TRUNCATED = "text_truncated"
    TNEF = "tnef"
    TRANSFER_ENCODING_BROKEN = "transfer_encoding_broken"
    UUENCODED = "uuencoded"


class SectionKind(StrEnum):
    """Say what a stretch of the text is; quoted text and signatures are folded, never deleted."""

    NEW = "new"
    QUOTED = "quoted"
    SIGNATURE = "signature"


class BounceClass(StrEnum):
    """Say whether a mail reports a failed delivery and whether trying again can help (RFC 3463)."""

    NONE = "none"
    PERMANENT = "permanent"
    TEMPORARY = "temporary"


class AutomaticKind(StrEnum):
    """Say whether a program wrote the mail (RFC 3834)."""

    NONE = "none"
    REPLIED = "replied"
    GENERATED = "generated"


class Protection(StrEnum):
    """Say whether a mail is signed or encrypted, and by what; such parts are kept whole."""

    NONE = "none"
    SIGNED_SMIME = "signed_smime"
    SIGNED_PGP = "signed_pgp"
    ENCRYPTED_SMIME = "encrypted_smime"
    ENCRYPTED_PGP = "encrypted_pgp"


@dataclass(frozen=True, slots=True)
class MailAddress:
    """Hold one address; `address` is `local@domain` with the domain in lower case, or whatever stood there."""

    name: str
    address: str

    @property
    def is_usable(self) -> bool:
        """Tell whether a mail could be sent to it."""
        local, at, domain = self.address.rpartition("@")
        return bool(at and local and domain) and " " not in self.address

    @property
    def domain(self) -> str:
        """Give the domain in lower case, empty when there is none."""
        return self.address.rpartition("@")[2].lower() if "@" in self.address else ""

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


@dataclass(frozen=True, slots=True)
class TextSection:
    """Hold one stretch of the text; all sections joined give the text exactly."""

    kind: SectionKind
    text: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """Hold one attached file; `content_id` is without angle brackets, `inline` means the HTML shows it."""

    name: str
    content_type: str
    size: int
    sha256: str
    data: bytes
    content_id: str | None = None
    inline: bool = False


@dataclass(frozen=True, slots=True)
class BounceReport:
    """Hold what a delivery report says.

    `status` is the enhanced status code (RFC 3463) when there is one; `original_message_id` names the bounced mail
    (without angle brackets); `original_subject` helps where the report quotes only a few headers.
    """

    bounce_class: BounceClass = BounceClass.NONE
    failed_recipients: tuple[str, ...] = ()
    status: str | None = None
    diagnostic: str = ""
    original_message_id: str | None = None
    original_subject: str = ""


@dataclass(frozen=True, slots=True)
class ParsedMail:
    """Hold everything that was understood of one mail.

    Ids (`message_id`, `in_reply_to`, `references`) are without angle brackets. `sent_at` is aware, UTC when the mail
    names no zone, None when it names no usable date. `language` is "de", "en" or None when the text is too short.
    """

    from_address: MailAddress | None = None
    sender_address: MailAddress | None = None
    reply_to: tuple[MailAddress, ...] = ()
    to: tuple[MailAddress, ...] = ()
    cc: tuple[MailAddress, ...] = ()
    subject: str = ""
    sent_at: datetime | None = None
    message_id: str | None = None
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    return_path: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    text: str = ""
    sections: tuple[TextSection, ...] = ()
    html: str = ""
    attachments: tuple[Attachment, ...] = ()
    bounce: BounceReport = BounceReport()
    automatic: AutomaticKind = AutomaticKind.NONE
    is_list_mail: bool = False
    calendar_method: str | None = None
    protection: Protection = Protection.NONE
    language: str | None = None
    flags: frozenset[MailFlag] = frozenset()
    size: int = 0
    sha256: str = ""

    def header(self, name: str) -> str | None:
        """Give the first header of that name, decoded, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), None)

    def all_headers(self, name: str) -> tuple[str, ...]:
        """Give every header of that name, decoded, in order."""
        wanted = name.lower()
        return tuple(value for key, value in self.headers if key == wanted)

    @property
    def new_text(self) -> str:
        """Give what the sender wrote now; the whole text when everything is quoted (a bare forward)."""
        new = "".join(part.text for part in self.sections if part.kind is SectionKind.NEW).strip()
        return new or self.text.strip()

    @property
    def recipients(self) -> tuple[MailAddress, ...]:
        """Give all stated recipients, To before Cc."""
        return self.to + self.cc
