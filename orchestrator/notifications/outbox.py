"""Putting a mail into the outbox, in the transaction of the change that wants it. Sending is ``sender.py``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from orchestrator.accounts.desk import read_desk_facts
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import InvalidInput
from orchestrator.core.ids import new_id
from orchestrator.core.text import one_line, storable
from orchestrator.intake.models import KnownMessage
from orchestrator.notifications.events import MailQueued
from orchestrator.notifications.models import OutgoingMail
from orchestrator.notifications.sealing import seal
from orchestrator.tickets.models import Entry, Ticket
from orchestrator.tickets.numbers import subject_tag

_ADDRESS = re.compile(r"[^\s<>@,;\x00-\x1f\x7f]+@[^\s<>@,;\x00-\x1f\x7f]+")
MAX_REFERENCES = 12


def enqueue_mail(
    unit: WriteUnit, *, purpose: str, to_address: str, to_name: str, subject: str, text: str, automatic: bool, language: str,
    ticket: Ticket | None = None, entry: Entry | None = None, reference_id: str | None = None, cc: Sequence[str] = (),
    secret_values: Mapping[str, str] | None = None, in_reply_to: str = "", references: str = "", attachment_ids: Sequence[str] = (),
    not_after: datetime | None = None,
) -> OutgoingMail:
    """Put one mail into the outbox; it leaves after the commit, at least once, under a Message-ID fixed here.

    ``text`` is stored as given: ``{link}`` or ``{code}`` stands where ``secret_values`` go, which are sealed until the
    mail was sent and then erased. Of a ticket's mail the subject gets the tag ``[#number]``, and its Message-ID is known
    to intake, so that answers come back to the ticket. ``automatic`` mails say so (RFC 3834) and leave with a null return
    path. After ``not_after`` it is given up instead of sent. Raises ``InvalidInput`` for an address that is none.
    """
    for address in (to_address, *cc):
        if len(address) > 254 or not _ADDRESS.fullmatch(address):
            raise InvalidInput("{text} is not a mail address.", text=address[:100], field="to")
    mail_id = new_id()
    message_id = f"<fw.{mail_id}@{read_desk_facts(unit).mail_domain}>"
    for name in secret_values or {}:
        if "{" + name + "}" not in text:
            raise ValueError(f"the text has no place for the secret {name}")
    mail = OutgoingMail(
        id=mail_id, purpose=purpose, ticket_id=ticket.id if ticket else None, entry_id=entry.id if entry else None,
        reference_id=reference_id, to_address=to_address, to_name=one_line(to_name, 200), cc=list(cc),
        subject=one_line(_tagged(subject, ticket), 600), text=storable(text), headers={"Content-Language": language},
        attachment_ids=list(attachment_ids), sealed=seal(unit, dict(secret_values), label=mail_id) if secret_values else None,
        message_id=message_id, in_reply_to=one_line(in_reply_to, 998), references=_join_references(references, in_reply_to),
        automatic=automatic, due_at=unit.now, not_after=not_after, created_at=unit.now,
    )
    unit.db.add(mail)
    if ticket is not None:
        remember_message(unit, message_id, ticket, entry, ours=True)
    unit.db.flush()
    unit.emit(MailQueued(mail.id, mail.ticket_id))
    return mail


def remember_message(unit: WriteUnit, message_id: str, ticket: Ticket, entry: Entry | None, *, ours: bool) -> None:
    """Note a Message-ID of a ticket, so that what refers to it is recognised as a follow-up."""
    unit.db.add(KnownMessage(message_hash=hash_message_id(message_id), ticket_id=ticket.id, entry_id=entry.id if entry else None,
                             ours=ours, created_at=unit.now))


def hash_message_id(message_id: str) -> str:
    """SHA-256 (hex) of a Message-ID without its angle brackets, as ``KnownMessage`` holds it."""
    return hashlib.sha256(message_id.strip().removeprefix("<").removesuffix(">").encode("utf-8", "surrogatepass")).hexdigest()


def _tagged(subject: str, ticket: Ticket | None) -> str:
    if ticket is None or subject_tag(ticket.number) in subject:
        return subject
    return f"{subject_tag(ticket.number)} {subject}"


def _join_references(references: str, in_reply_to: str) -> str:
    """Keep the first and the last ids, the mail answered at the end (RFC 5322, 3.6.4)."""
    found = re.findall(r"<[^<>\s]{1,500}>", f"{references} {in_reply_to}")
    ids = list(dict.fromkeys(reversed(found)))[::-1]
    return " ".join(ids if len(ids) <= MAX_REFERENCES else [ids[0], *ids[-(MAX_REFERENCES - 1):]])
