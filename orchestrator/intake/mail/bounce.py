"""Is a mail the report of a failed delivery, for whom did it fail, and for good?

Here: delivery status notifications (RFC 3464, RFC 3463) and the free-text reports of old and German mail servers.
Not here: what follows from a bounce (`intake/receive.py`).
"""

import re
from collections.abc import Iterable, Sequence

from orchestrator.intake.mail.addresses import normalise_address, parse_ids
from orchestrator.intake.mail.headers import HeaderBlock, split_header
from orchestrator.intake.mail.limits import ParseLimits
from orchestrator.intake.mail.parsed import Attachment, BounceClass, BounceReport, MailAddress
from orchestrator.intake.mail.words import decode_value

_SPAN = 64 * 1024
_DAEMONS = ("mailer-daemon", "postmaster", "mail-daemon", "maildaemon", "mdaemon", "mailerdaemon")
_SUBJECTS = re.compile(
    r"undeliver|unzustellbar|delivery (?:status|failure|failed|has failed|report|incomplete|delayed)|failure notice|"
    r"returned mail|mail delivery (?:failed|system|failure|subsystem)|non[- ]?delivery|nicht zugestellt|"
    r"zustellung (?:fehlgeschlagen|nicht möglich|verzögert)|"
    r"unzustellbarkeit|warning: (?:message|could not send)|message delayed|rücksendung|mail system error",
    re.IGNORECASE,
)
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_REPLY_CODE = re.compile(r"(?:^|[\s:(])([45]\d\d)[ \-](?=[A-Za-z#\d<])", re.MULTILINE)
_TEMPORARY_WORDS = re.compile(
    r"will (?:be retried|retry|continue to try|keep trying)|still trying|has been delayed|delayed \d|"
    r"wird (?:weiter|erneut) versucht|verzögert|"
    r"temporarily|vorübergehend|not yet been delivered|over quota|mailbox (?:is )?full|postfach (?:ist )?voll",
    re.IGNORECASE,
)
_ADDRESS_IN_TEXT = re.compile(r"(?:^|[\s<:])<?([A-Za-z0-9._%+\-=&'/]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.\-]{0,200}))>?", re.MULTILINE)
_QUOTED_ID = re.compile(r"^[> \t]{0,8}Message-I[Dd]:[ \t]{0,8}(?:\r?\n[> \t]{0,8})?<([^<>\s]{1,900})>", re.MULTILINE | re.IGNORECASE)
_QUOTED_SUBJECT = re.compile(r"^[> \t]{0,8}Subject:[ \t]{0,8}([^\r\n]{1,500})", re.MULTILINE | re.IGNORECASE)
_ORIGINAL_START = re.compile(
    r"^[- ]{0,40}(?:this is a copy of the message|below this line is a copy|original message|unsent message|received: |return-path: |"
    r"message header follows|reporting-mta|der ursprüngliche text|ursprüngliche nachrichtenkopfzeilen|original message headers)",
    re.IGNORECASE | re.MULTILINE,
)


def read_bounce(
    header: HeaderBlock, *, report_type: str | None, sender: MailAddress | None, subject: str, text: str,
    attachments: Sequence[Attachment], limits: ParseLimits,
) -> BounceReport:  # fmt: skip
    """Read a delivery report; an empty one (class none) when the mail is no such report.

    A notice that a mail was delivered or read (`2.x.x`, RFC 8098) is no bounce.
    """
    status_part = next(
        (file for file in attachments if file.content_type in ("message/delivery-status", "message/global-delivery-status")), None
    )
    original = next(
        (file for file in attachments if file.content_type in ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers")), None
    )
    if report_type == "disposition-notification":
        return BounceReport()
    if status_part is not None:
        return _from_status(status_part, original, text, limits)
    failed_header = header.raw("x-failed-recipients")
    from_daemon = sender is not None and sender.address.split("@", 1)[0].lower() in _DAEMONS
    null_path = (header.raw("return-path") or b"").strip() == b"<>"
    if failed_header is None and not (_SUBJECTS.search(subject) and (from_daemon or null_path)):
        return BounceReport()
    return _from_text(failed_header, original, text, limits)


def _from_status(status_part: Attachment, original: Attachment | None, text: str, limits: ParseLimits) -> BounceReport:
    data = status_part.data[:_SPAN]
    recipients: dict[str, None] = {}
    actions: list[str] = []
    status: str | None = None
    diagnostic = ""
    position = 0
    for _ in range(200):
        if position >= len(data):
            break
        block = split_header(data, position, len(data), limits=limits)
        for raw in block.all_raw("original-recipient") or block.all_raw("final-recipient"):
            recipients.setdefault(_typed_address(raw))
        if action := block.raw("action"):
            actions.append(decode_value(action).lower())
        if (
            (raw_status := block.raw("status"))
            and (found := _STATUS.search(decode_value(raw_status)))
            and (status is None or found.group(1) == "5")
        ):
            status = found.group()
        if (raw_diagnostic := block.raw("diagnostic-code")) and not diagnostic:
            diagnostic = decode_value(raw_diagnostic)[:500]
        position = max(block.body_start, position + 1)
    actions = [action.split(" ", 1)[0].split(";", 1)[0] for action in actions]
    if "failed" in actions:
        bounce = BounceClass.TEMPORARY if status and status.startswith("4") else BounceClass.PERMANENT
    elif "delayed" in actions:
        bounce = BounceClass.TEMPORARY
    elif any(action in ("delivered", "relayed", "expanded") for action in actions):
        return BounceReport()
    else:
        bounce = _class_of(status, diagnostic or text)
    message_id, subject = _original(original, text, limits)
    failed = tuple(address for address in recipients if address)[:100]
    return BounceReport(bounce, failed, status, diagnostic, message_id, subject)


def _from_text(failed_header: bytes | None, original: Attachment | None, text: str, limits: ParseLimits) -> BounceReport:
    start = _ORIGINAL_START.search(text)
    report = text[: start.start()] if start else text[:_SPAN]
    report = report[:_SPAN]
    if failed_header is not None:
        failed: Iterable[str] = (normalise_address(part) for part in decode_value(failed_header).split(","))
    else:
        failed = (normalise_address(found) for found in _ADDRESS_IN_TEXT.findall(report))
    found = _STATUS.search(report)
    status = found.group() if found and found.group(1) != "2" else None
    diagnostic = next((line.strip()[:500] for line in report.splitlines() if _STATUS.search(line) or _REPLY_CODE.search(line)), "")
    addresses = tuple(dict.fromkeys(address for address in failed if address))
    kept = tuple(address for address in addresses if address.split("@", 1)[0].lower() not in _DAEMONS)[:20]
    message_id, subject = _original(original, text, limits)
    return BounceReport(_class_of(status, report), kept, status, diagnostic, message_id, subject)


def _class_of(status: str | None, text: str) -> BounceClass:
    text = text[:_SPAN]
    if status:
        return BounceClass.TEMPORARY if status.startswith("4") else BounceClass.PERMANENT
    codes = {found[0] for found in _REPLY_CODE.findall(text)}
    if "5" in codes:
        return BounceClass.PERMANENT
    if "4" in codes or _TEMPORARY_WORDS.search(text):
        return BounceClass.TEMPORARY
    return BounceClass.PERMANENT


def _original(original: Attachment | None, text: str, limits: ParseLimits) -> tuple[str | None, str]:
    """Give Message-ID and subject of the mail that could not be delivered."""
    if original is not None:
        block = split_header(original.data, 0, len(original.data), limits=limits, top=True)
        ids = parse_ids(block.all_raw("message-id"), limit=1)
        return (ids[0] if ids else None), decode_value(block.raw("subject") or b"")[:500]
    id_found = _QUOTED_ID.search(text)
    subject_found = _QUOTED_SUBJECT.search(text)
    return (id_found.group(1) if id_found else None), (decode_value(subject_found.group(1).encode())[:500] if subject_found else "")


def _typed_address(raw: bytes) -> str:
    """Read `rfc822; name@domain`."""
    value = decode_value(raw)
    return normalise_address(value.partition(";")[2] or value)
