"""The desk's mails in German and English. Each text is a whole document, so both languages stand side by side here and not
in the catalogue of short texts; a test holds that they have the same places. The mails of consent are in
``sessions/consent/mails.py``. Sending and headers are elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Purpose(StrEnum):
    """What a mail is for; ``outgoing_mails.purpose`` holds it. Other rooms add purposes of their own as plain text."""

    TICKET_CONFIRMATION = "ticket.confirmation"
    REPLY = "ticket.reply"
    TICKET_RESOLVED = "ticket.resolved"
    ADDRESS_CHANGED = "contact.address_changed"
    APPROVER_GIVEN = "approver.given"
    APPROVER_ONE_TICKET = "approver.one_ticket"
    APPROVER_ENDED = "approver.ended"


@dataclass(frozen=True, slots=True)
class MailText:
    """``{name}`` marks a place; every place must be filled."""

    subject: str
    body: str


def _text(subject: str, *, paragraphs: tuple[str, ...], signed: str) -> MailText:
    """Paragraphs with a blank line between them, then the signature under its separator (RFC 3676, 4.3)."""
    return MailText(subject, "\n\n".join(paragraphs) + f"\n\n-- \n{signed}\n")


_ENGLISH: Mapping[Purpose, MailText] = {
    Purpose.TICKET_CONFIRMATION: _text("Your request: {subject}", signed="{desk}", paragraphs=(
        "Hello {name},",
        "thank you, your message has arrived. Its number is {number}.",
        "Subject: {subject}",
        "We will get back to you. If you want to add something, just answer this mail and leave the number in the "
        "subject.",
    )),
    Purpose.REPLY: _text("Re: {subject}", signed="{technician}\n{desk} · {number}", paragraphs=(
        "{text}",
    )),
    Purpose.TICKET_RESOLVED: _text("Resolved: {subject}", signed="{technician}\n{desk}", paragraphs=(
        "Hello {name},",
        "your request {number} is resolved.",
        "Subject: {subject}",
        "If something is still not right, just answer this mail: the ticket is then opened again.",
    )),
    Purpose.ADDRESS_CHANGED: _text("Your mail address at {desk} was changed", signed="{desk}", paragraphs=(
        "Hello {name},",
        "the mail address under which {desk} knows you was changed from {old} to {new} on {moment} by {actor}.",
        "If this is right, there is nothing to do. If it is not, call us at once: the new address cannot be used to "
        "approve remote access before {usable}.",
    )),
    Purpose.APPROVER_GIVEN: _text("You may now approve remote access", signed="{desk}", paragraphs=(
        "Hello {name},",
        "{actor} entered you at {desk} as somebody who may approve remote access to machines of {organisation}, until "
        "{until}.",
        "For: {scopes}",
        "When a technician needs access, you get a mail with a link. Nothing happens without your answer, and you can "
        "stop an access at any time. If you do not want this, tell us.",
    )),
    Purpose.APPROVER_ONE_TICKET: _text("{contact} may approve remote access for one ticket", signed="{desk}", paragraphs=(
        "Hello {name},",
        "{actor} of {desk} gave {contact} ({address}) the right to approve remote access to machines of {organisation}, "
        "for the ticket {number} only, until {until}.",
        "For: {scopes}\nReason: {reason}",
        "You are told because you may approve remote access there yourself. If this is not right, call us at once.",
    )),
    Purpose.APPROVER_ENDED: _text("You may no longer approve remote access", signed="{desk}", paragraphs=(
        "Hello {name},",
        "your right to approve remote access to machines of {organisation} has ended. Reason: {reason}",
        "If this is not right, call us.",
    )),
}

_GERMAN: Mapping[Purpose, MailText] = {
    Purpose.TICKET_CONFIRMATION: _text("Ihre Anfrage: {subject}", signed="{desk}", paragraphs=(
        "Guten Tag {name},",
        "vielen Dank, Ihre Nachricht ist angekommen. Sie hat die Nummer {number}.",
        "Betreff: {subject}",
        "Wir melden uns bei Ihnen. Wenn Sie etwas ergänzen möchten, antworten Sie einfach auf diese E-Mail und lassen Sie "
        "die Nummer im Betreff stehen.",
    )),
    Purpose.REPLY: _text("Re: {subject}", signed="{technician}\n{desk} · {number}", paragraphs=(
        "{text}",
    )),
    Purpose.TICKET_RESOLVED: _text("Gelöst: {subject}", signed="{technician}\n{desk}", paragraphs=(
        "Guten Tag {name},",
        "Ihre Anfrage {number} ist gelöst.",
        "Betreff: {subject}",
        "Wenn etwas noch nicht stimmt, antworten Sie einfach auf diese E-Mail: Das Ticket wird dann wieder geöffnet.",
    )),
    Purpose.ADDRESS_CHANGED: _text("Ihre E-Mail-Adresse bei {desk} wurde geändert", signed="{desk}", paragraphs=(
        "Guten Tag {name},",
        "die E-Mail-Adresse, unter der {desk} Sie kennt, wurde am {moment} von {actor} geändert: von {old} auf {new}.",
        "Wenn das stimmt, müssen Sie nichts tun. Wenn nicht, rufen Sie uns bitte sofort an: Vor {usable} kann mit der "
        "neuen Adresse kein Fernzugriff freigegeben werden.",
    )),
    Purpose.APPROVER_GIVEN: _text("Sie können jetzt Fernzugriffe freigeben", signed="{desk}", paragraphs=(
        "Guten Tag {name},",
        "{actor} hat Sie bei {desk} als Person eingetragen, die Fernzugriffe auf Geräte von {organisation} freigeben "
        "darf, bis {until}.",
        "Wofür: {scopes}",
        "Wenn ein Techniker Zugriff braucht, bekommen Sie eine E-Mail mit einem Link. Ohne Ihre Antwort geschieht nichts, "
        "und Sie können einen Zugriff jederzeit beenden. Wenn Sie das nicht möchten, sagen Sie uns Bescheid.",
    )),
    Purpose.APPROVER_ONE_TICKET: _text("{contact} darf für ein Ticket Fernzugriffe freigeben", signed="{desk}", paragraphs=(
        "Guten Tag {name},",
        "{actor} von {desk} hat {contact} ({address}) das Recht gegeben, Fernzugriffe auf Geräte von {organisation} "
        "freizugeben, nur für das Ticket {number}, bis {until}.",
        "Wofür: {scopes}\nGrund: {reason}",
        "Sie erhalten diese Nachricht, weil Sie dort selbst Fernzugriffe freigeben dürfen. Wenn das nicht stimmt, rufen "
        "Sie uns bitte sofort an.",
    )),
    Purpose.APPROVER_ENDED: _text("Sie können keine Fernzugriffe mehr freigeben", signed="{desk}", paragraphs=(
        "Guten Tag {name},",
        "Ihr Recht, Fernzugriffe auf Geräte von {organisation} freizugeben, ist beendet. Grund: {reason}",
        "Wenn das nicht stimmt, rufen Sie uns bitte an.",
    )),
}

TEXTS: Mapping[str, Mapping[Purpose, MailText]] = {"en": _ENGLISH, "de": _GERMAN}
_PLACE = re.compile(r"\{([a-z_]+)\}")
_SECRET_PLACE = re.compile(r"\{(link|code)\}")


def render_text(purpose: Purpose, language: str, **values: object) -> tuple[str, str]:
    """Return subject and body with all places filled; an unknown language gets German.

    Values are data: braces in them are not places, and the outbox's own ``{link}`` and ``{code}`` lose their meaning in
    them. Raises ``KeyError`` for a place without a value.
    """
    text = TEXTS.get(language, _GERMAN)[purpose]

    def fill(match: re.Match[str]) -> str:
        return _SECRET_PLACE.sub(r"(\1)", str(values[match[1]]))

    return " ".join(_PLACE.sub(fill, text.subject).split()), _PLACE.sub(fill, text.body)


def places_of(text: MailText) -> set[str]:
    """The names of the places of a text."""
    return set(_PLACE.findall(text.subject + text.body))
