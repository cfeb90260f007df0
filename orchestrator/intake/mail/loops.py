"""May an automatic answer go to this mail? RFC 3834 and the habits of other programs.

Here: the pure decision with its reason. Not here: the rates, which count what was sent (`notifications/automatic.py`), and
the answer itself (`intake/confirm.py`).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.intake.mail.parsed import AutomaticKind, BounceClass, ParsedMail

OWN_ID_PREFIX = "fw."
"""With this the local part of every Message-ID of ours begins (`notifications/outbox.py`)."""

_DAEMON = re.compile(
    r"\A(?:(?:mailer-?daemon|mail-?daemon|mdaemon|postmaster|no[-_.]?reply|do[-_.]?not[-_.]?reply|nicht[-_.]?antworten|"
    r"keine[-_.]?antwort|nepasrepondre|autoresponder|auto[-_.]?reply)(?:[-+_.=@]|$)|bounces?[-+=@]|owner-|(?:listserv|majordomo)@|"
    r"[^@]{1,60}-(?:bounces?|owner|request)@)",
    re.IGNORECASE,
)


class Suppression(StrEnum):
    """Why no automatic answer goes; shown on the ticket."""

    NO_ADDRESS = "no_address"
    NULL_RETURN_PATH = "null_return_path"
    BOUNCE = "bounce"
    AUTO_SUBMITTED = "auto_submitted"
    LIST_MAIL = "list_mail"
    RESPONSE_SUPPRESSED = "response_suppressed"
    LOOP_MARK = "loop_mark"
    DAEMON = "daemon"
    OWN_ADDRESS = "own_address"
    OWN_MESSAGE = "own_message"
    NOT_VERIFIED = "not_verified"


@dataclass(frozen=True, slots=True)
class AnswerDecision:
    """Hold whether an answer may go; `detail` quotes what decided it."""

    allowed: bool
    reason: Suppression | None = None
    detail: str = ""


def decide_answer(
    mail: ParsedMail | None,
    *,
    recipient: str,
    envelope_from: str | None,
    own_addresses: Collection[str],
    own_domain: str,
    sender_verified: str,
) -> AnswerDecision:
    """Decide whether an automatic answer to this mail may go to `recipient`.

    `envelope_from` is empty for the null return path and None where the door does not know it; then the Return-Path
    counts. Without a mail (phone, API) only the recipient decides. The rates are asked afterwards.
    """
    stop = _check_recipient(recipient, own_addresses)
    if stop is None and mail is not None:
        stop = _check_mail(mail, envelope_from=envelope_from, own_domain=own_domain, own_addresses=own_addresses)
    if stop is None and sender_verified == "fail":
        stop = AnswerDecision(False, Suppression.NOT_VERIFIED, "the sender's domain says this mail is not from it")
    return stop or AnswerDecision(True)


def _check_recipient(recipient: str, own_addresses: Collection[str]) -> AnswerDecision | None:
    address = recipient.strip().lower()
    if "@" not in address:
        return AnswerDecision(False, Suppression.NO_ADDRESS)
    if _without_tag(address) in own_addresses:
        return AnswerDecision(False, Suppression.OWN_ADDRESS, address)
    if _DAEMON.match(address):
        return AnswerDecision(False, Suppression.DAEMON, address)
    return None


def _check_mail(
    mail: ParsedMail, *, envelope_from: str | None, own_domain: str, own_addresses: Collection[str]
) -> AnswerDecision | None:
    path = envelope_from if envelope_from is not None else mail.return_path
    if path is not None and not path.strip(" <>"):
        return AnswerDecision(False, Suppression.NULL_RETURN_PATH)
    if mail.bounce.bounce_class is not BounceClass.NONE:
        return AnswerDecision(False, Suppression.BOUNCE, mail.bounce.status or "")
    if mail.automatic is not AutomaticKind.NONE:
        return AnswerDecision(False, Suppression.AUTO_SUBMITTED, mail.header("auto-submitted") or mail.subject[:100])
    if mail.is_list_mail:
        return AnswerDecision(False, Suppression.LIST_MAIL, mail.header("list-id") or mail.header("precedence") or "")
    suppress = (mail.header("x-auto-response-suppress") or "").strip().lower()
    if suppress and suppress != "none":
        return AnswerDecision(False, Suppression.RESPONSE_SUPPRESSED, suppress[:100])
    if mail.header("x-loop") is not None:
        return AnswerDecision(False, Suppression.LOOP_MARK, (mail.header("x-loop") or "")[:100])
    for address in (mail.from_address, mail.sender_address):
        if address is not None and _DAEMON.match(address.address):
            return AnswerDecision(False, Suppression.DAEMON, address.address)
        if address is not None and _without_tag(address.address.lower()) in own_addresses:
            return AnswerDecision(False, Suppression.OWN_ADDRESS, address.address)
    if path and _DAEMON.match(path):
        return AnswerDecision(False, Suppression.DAEMON, path)
    if mail.message_id is not None and is_own_message_id(mail.message_id, own_domain):
        return AnswerDecision(False, Suppression.OWN_MESSAGE, mail.message_id[:200])
    return None


def is_own_message_id(message_id: str, own_domain: str) -> bool:
    """Tell whether a Message-ID (without angle brackets) is of the form that we give our mails."""
    local, _, domain = message_id.rpartition("@")
    return local.startswith(OWN_ID_PREFIX) and domain.lower() == own_domain.lower()


def _without_tag(address: str) -> str:
    """Give `support@…` for `support+anything@…`."""
    local, at, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}{at}{domain}"
