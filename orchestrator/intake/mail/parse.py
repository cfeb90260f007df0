"""One raw mail to one `ParsedMail`. Never raises, never loses, knows neither clock nor database.

Here: the order of the steps, and what happens when one of them fails: the others still do their part, the flag
`parse_failed` is set, and the text falls back to the bytes as they are. The raw mail is kept by the caller.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import structlog

from orchestrator.intake.mail.addresses import parse_addresses, parse_ids
from orchestrator.intake.mail.body import MailBody, read_body
from orchestrator.intake.mail.bounce import read_bounce
from orchestrator.intake.mail.charsets import clean_text, guess_text
from orchestrator.intake.mail.classify import classify_automatic, classify_list_mail, classify_protection, report_type
from orchestrator.intake.mail.dates import parse_date
from orchestrator.intake.mail.headers import HeaderBlock
from orchestrator.intake.mail.language import detect_language
from orchestrator.intake.mail.limits import DEFAULT_LIMITS, ParseLimits
from orchestrator.intake.mail.mime import MimePart, PartCounter, read_parts
from orchestrator.intake.mail.parsed import AutomaticKind, BounceReport, MailFlag, ParsedMail, Protection, SectionKind, TextSection
from orchestrator.intake.mail.replies import split_sections
from orchestrator.intake.mail.words import decode_value

log = structlog.get_logger(__name__)

_MAX_SUBJECT = 998
_MAX_HEADER_VALUE = 4000
_NULL_PATH = re.compile(rb"^\s{0,10}<\s{0,10}>")

Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Steps:
    """Run the steps of one parse; a step that fails gives its fallback and a flag, and is logged with its traceback."""

    flags: set[MailFlag] = field(default_factory=set)

    def run(self, step: Callable[[], Answer], fallback: Answer) -> Answer:
        try:
            return step()
        except Exception:  # the boundary that keeps "never raises": hostile bytes end here
            log.exception("a step of parsing a mail failed")
            self.flags.add(MailFlag.PARSE_FAILED)
            return fallback


def parse_message(raw: bytes, *, limits: ParseLimits = DEFAULT_LIMITS) -> ParsedMail:
    """Parse one mail. Pure: the same bytes give the same answer."""
    steps = _Steps()
    counter = PartCounter(limits)
    root = steps.run(lambda: read_parts(raw, counter), None)
    if root is None:
        return _unreadable(raw, steps)
    body = steps.run(lambda: read_body(root, limits=limits), MailBody(_as_text(raw), "", (), None, frozenset()))
    mail = steps.run(lambda: _read_header(root.header, limits), ParsedMail())
    text = body.text
    sections = steps.run(lambda: split_sections(text), (TextSection(SectionKind.NEW, text),) if text else ())
    mail = replace(
        mail, text=text, sections=sections, html=body.html, attachments=body.attachments, calendar_method=body.calendar_method,
        size=len(raw), sha256=hashlib.sha256(raw).hexdigest(),
    )  # fmt: skip
    mail = steps.run(lambda: _classify(mail, root, limits), mail)
    flags = steps.flags | counter.flags | set(body.flags) | set(mail.flags)
    if not raw.strip():
        flags.add(MailFlag.EMPTY)
    if b"\0" in raw:
        flags.add(MailFlag.NUL_BYTES)
    return replace(mail, flags=frozenset(flags))


def _read_header(header: HeaderBlock, limits: ParseLimits) -> ParsedMail:
    flags: set[MailFlag] = set()

    def addresses(name: str) -> list[bytes]:
        return header.all_raw(name)

    senders = parse_addresses(addresses("from"), limit=limits.max_addresses)
    usable = [address for address in senders if address.is_usable]
    if len(usable) > 1:
        flags.add(MailFlag.FROM_SEVERAL)
    if not usable:
        flags.add(MailFlag.FROM_MISSING)
    date_value = decode_value(header.raw("date") or b"")
    sent_at, odd = parse_date(date_value)
    if not date_value:
        flags.add(MailFlag.DATE_MISSING)
    elif odd:
        flags.add(MailFlag.DATE_ODD)
    ids = parse_ids(header.all_raw("message-id"), limit=2)
    actual_sender = parse_addresses(addresses("sender"), limit=1)
    return ParsedMail(
        from_address=usable[0] if usable else (senders[0] if senders else None),
        sender_address=actual_sender[0] if actual_sender else None,
        reply_to=parse_addresses(addresses("reply-to"), limit=limits.max_addresses),
        to=parse_addresses(addresses("to"), limit=limits.max_addresses),
        cc=parse_addresses(addresses("cc"), limit=limits.max_addresses),
        subject=decode_value(header.raw("subject") or b"")[:_MAX_SUBJECT],
        sent_at=sent_at,
        message_id=ids[0] if ids else None,
        in_reply_to=parse_ids(header.all_raw("in-reply-to"), limit=20),
        references=parse_ids(header.all_raw("references"), limit=limits.max_references),
        return_path=_return_path(header),
        headers=tuple((item.name, decode_value(item.raw[:_MAX_HEADER_VALUE])) for item in header.fields),
        flags=frozenset(flags),
    )


def _return_path(header: HeaderBlock) -> str | None:
    """Give the envelope sender that a transport noted: empty for the null path, None when nobody noted one."""
    raw = header.raw("return-path")
    if raw is None:
        return None
    if _NULL_PATH.match(raw):
        return ""
    found = parse_addresses([raw], limit=1)
    return found[0].address if found and found[0].address else None


def _classify(mail: ParsedMail, root: MimePart, limits: ParseLimits) -> ParsedMail:
    steps = _Steps()
    bounce = steps.run(
        lambda: read_bounce(
            root.header, report_type=report_type(root), sender=mail.from_address, subject=mail.subject, text=mail.text,
            attachments=mail.attachments, limits=limits,
        ),
        BounceReport(),
    )  # fmt: skip
    return replace(
        mail,
        bounce=bounce,
        automatic=steps.run(lambda: classify_automatic(root.header, mail.subject), AutomaticKind.NONE),
        is_list_mail=steps.run(lambda: classify_list_mail(root.header), False),
        protection=steps.run(lambda: classify_protection(root, mail.attachments, mail.text), Protection.NONE),
        language=steps.run(lambda: detect_language(mail.new_text), None),
        flags=mail.flags | frozenset(steps.flags),
    )


def _as_text(raw: bytes) -> str:
    return clean_text(guess_text(raw[: DEFAULT_LIMITS.max_text_characters]).text)


def _unreadable(raw: bytes, steps: _Steps) -> ParsedMail:
    text = _as_text(raw)
    return ParsedMail(
        text=text,
        sections=(TextSection(SectionKind.NEW, text),) if text else (),
        flags=frozenset(steps.flags | {MailFlag.PARSE_FAILED, MailFlag.FROM_MISSING}),
        size=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
    )
