"""What kind of mail is this: written by a program, from a list, signed, encrypted?

Here: the marks in header and structure. Not here: bounces (`bounce.py`), whether an answer may go (`loops.py`).
"""

import re
from collections.abc import Sequence

from orchestrator.intake.mail.headers import HeaderBlock
from orchestrator.intake.mail.mime import MimePart
from orchestrator.intake.mail.parameters import parse_parameters
from orchestrator.intake.mail.parsed import Attachment, AutomaticKind, Protection
from orchestrator.intake.mail.words import decode_value

_REPLY_SUBJECT = re.compile(
    r"^\s{0,3}(?:automatische (?:antwort|rückantwort|abwesenheitsnotiz)|abwesenheits(?:notiz|nachricht|meldung|assistent)|abwesend\b|"
    r"out of (?:the )?office|automatic reply|auto(?:matic)? ?(?:-|re)?:? ?(?:reply|response|antwort)|auto:|"
    r"vacation reply|away from (?:the )?office|"
    r"ich bin (?:derzeit |momentan )?(?:nicht im (?:büro|haus)|abwesend|im urlaub)|réponse automatique)",
    re.IGNORECASE,
)
_AUTOMATIC_PRECEDENCE = ("auto_reply", "auto-reply", "autoreply")
_REPLY_MARKS = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply", "x-ms-exchange-inbox-rules-loop", "x-vacation")
_PGP_START = "-----BEGIN PGP MESSAGE-----"
_PGP_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"


def classify_automatic(header: HeaderBlock, subject: str) -> AutomaticKind:
    """Tell whether a program answered or wrote on its own (RFC 3834 section 5, and the habits of older programs)."""
    stated = decode_value(header.raw("auto-submitted") or b"").lower()
    stated = stated.split(";", 1)[0].split("(", 1)[0].strip()
    if stated.startswith("auto-replied"):
        return AutomaticKind.REPLIED
    if _REPLY_SUBJECT.match(subject[:300]):
        return AutomaticKind.REPLIED
    if any(header.raw(name) is not None for name in _REPLY_MARKS):
        return AutomaticKind.REPLIED
    if decode_value(header.raw("precedence") or b"").lower() in _AUTOMATIC_PRECEDENCE:
        return AutomaticKind.REPLIED
    if stated and stated != "no":
        return AutomaticKind.GENERATED
    return AutomaticKind.NONE


def classify_list_mail(header: HeaderBlock) -> bool:
    """Tell whether a list or a mass mailing sent it (RFC 2369, RFC 2919, Precedence)."""
    if any(
        header.raw(name) is not None for name in ("list-id", "list-post", "list-help", "list-unsubscribe", "mailing-list", "x-mailing-list")
    ):
        return True
    return decode_value(header.raw("precedence") or b"").lower() in ("bulk", "list", "junk")


def classify_protection(root: MimePart, attachments: Sequence[Attachment], text: str) -> Protection:
    """Tell whether the mail is signed or encrypted, by S/MIME (RFC 8551) or PGP (RFC 3156, or inline)."""
    protocol = (root.content_type.get("protocol") or "").lower()
    match root.media_type:
        case "multipart/encrypted":
            return Protection.ENCRYPTED_SMIME if "pkcs7" in protocol else Protection.ENCRYPTED_PGP
        case "multipart/signed":
            return Protection.SIGNED_SMIME if "pkcs7" in protocol else Protection.SIGNED_PGP
        case "application/pkcs7-mime" | "application/x-pkcs7-mime":
            kind = (root.content_type.get("smime-type") or "").lower()
            return Protection.SIGNED_SMIME if kind in ("signed-data", "certs-only") else Protection.ENCRYPTED_SMIME
        case _:
            pass
    head = text.lstrip()[:200]
    if head.startswith(_PGP_START) or "\n" + _PGP_START in text[:5000]:
        return Protection.ENCRYPTED_PGP
    if head.startswith(_PGP_SIGNED):
        return Protection.SIGNED_PGP
    types = {file.content_type for file in attachments}
    if types & {"application/pkcs7-signature", "application/x-pkcs7-signature"}:
        return Protection.SIGNED_SMIME
    if "application/pgp-signature" in types:
        return Protection.SIGNED_PGP
    return Protection.NONE


def report_type(root: MimePart) -> str | None:
    """Give the kind of a multipart/report (RFC 6522), or None."""
    if root.media_type != "multipart/report":
        return None
    return parse_parameters((root.content_type.get("report-type") or "").encode("utf-8", "replace")).value or None
