"""The mails of consent: the question with its link, the receipt, the six digits, the word to the lead.

Texts only, from the fields of the signed documents, in the reader's language. Sending is the outbox's work; ``{link}`` and
``{code}`` stand for secrets that it fills in at send time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from agents.protocol.grants import Request
from orchestrator.core.i18n import Translator
from sessions.consent.wording import describe_recording, describe_scopes, describe_warnings


@dataclass(frozen=True, slots=True)
class MailText:
    subject: str
    text: str


def write_moment(moment: datetime, zone: str, words: Translator) -> str:
    """Write a moment with its zone, as one reads it in a mail."""
    local = moment.astimezone(ZoneInfo(zone))
    return words("%(day)s at %(time)s (%(zone)s)", day=f"{local:%d.%m.%Y}" if words.language == "de" else f"{local:%Y-%m-%d}",
                 time=f"{local:%H:%M}", zone=local.tzname() or zone)


def _fields(request: Request, zone: str, words: Translator) -> str:
    rows = [
        (words("Who"), words("%(technician)s, %(desk)s", technician=request.technician, desk=request.desk)),
        (words("Machine"), request.endpoint_name),
        (words("Purpose"), " ".join(request.purpose.split())),
        (words("May"), "; ".join(describe_scopes(request.scopes, request, words))),
        (words("As user"), request.user),
        (words("How long"), words.plural("%(num)s minute from the start", "%(num)s minutes from the start", request.minutes)),
        (words("Recording"), describe_recording(request, words)),
        (words("Ticket"), f"{request.ticket} – {request.ticket_subject}"),
        (words("Answer by"), write_moment(request.expires_at, zone, words)),
    ]
    lines = [f"{name}: {_without_braces(value)}" for name, value in rows]
    lines += [f"! {warning}" for warning in describe_warnings(request, words)]
    return "\n".join(lines)


def _without_braces(text: str) -> str:
    """Texts of strangers must not hold a placeholder: the outbox would fill the secret in."""
    return text.replace("{", "(").replace("}", ")")


def _names(request: Request) -> dict[str, str]:
    return {"technician": _without_braces(request.technician), "endpoint": _without_braces(request.endpoint_name)}


def write_question(request: Request, *, zone: str, words: Translator, follow_up: bool) -> MailText:
    """The mail that asks. Its only secret is ``{link}``."""
    names = _names(request)
    subject = words("%(technician)s asks for access to %(endpoint)s", **names)
    if follow_up:
        first = words("%(technician)s is working on %(endpoint)s and asks for more:", **names)
    else:
        first = words("%(technician)s of %(desk)s asks for remote access to %(endpoint)s:", desk=_without_braces(request.desk), **names)
    return MailText(subject, "\n\n".join([
        words("Hello,"), first, _fields(request, zone, words),
        words("Allow, deny or ask a question here:"), "{link}",
        words("Without your answer nothing happens. You can allow less than is asked, and stop the session at any time on the same page."),
        words("This link is for you alone. If you do not know what this is about, deny, or do nothing."),
    ]) + "\n")


def write_receipt_mail(request: Request, *, decision: str, minutes: int, fingerprint: str, receipt_hash: str,
                       words: Translator) -> MailText:
    """The mail after a decision: what was decided, and how to check the receipt."""
    names = _names(request)
    if decision == "approve":
        said = words.plural("You allowed %(technician)s to work on %(endpoint)s for %(num)s minute.",
                            "You allowed %(technician)s to work on %(endpoint)s for %(num)s minutes.", minutes, **names)
    else:
        said = words("You did not allow %(technician)s to work on %(endpoint)s.", **names)
    subject = words("Receipt of your decision about %(endpoint)s", endpoint=names["endpoint"])
    return MailText(subject, "\n\n".join([
        words("Hello,"), said,
        words("The page behind the link in the first mail shows the state, lets you stop the session, and gives you the signed receipt."),
        words("If it was not you who decided, stop the session there and call us."),
        words("SHA-256 of the receipt: %(hash)s", hash=receipt_hash),
        words("Key of the server: %(fingerprint)s", fingerprint=fingerprint),
    ]) + "\n")


def write_code_mail(request: Request, *, minutes: int, words: Translator) -> MailText:
    """The mail with six digits, for watching in another browser."""
    return MailText(words("Your code"), "\n\n".join([
        words("Hello,"), words("your code to see the session on %(endpoint)s:", endpoint=_names(request)["endpoint"]), "{code}",
        words.plural("It works once, within %(num)s minute.", "It works once, within %(num)s minutes.", minutes),
        words("If you did not ask for it, do nothing."),
    ]) + "\n")


def write_pause_mail(*, ticket: str, contact: str, technician: str, words: Translator) -> MailText:
    """The mail to the leads after two denials in a row."""
    return MailText(words("%(contact)s denied remote access twice", contact=contact), "\n\n".join([
        words("%(contact)s denied remote access twice in a row. %(technician)s asked.", contact=contact, technician=technician),
        words("This approver cannot be asked about ticket %(ticket)s again for an hour.", ticket=ticket),
    ]) + "\n")
