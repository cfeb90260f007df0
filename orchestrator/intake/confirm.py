"""The confirmation of a new ticket: to whom it goes, and whether it may go at all.

Here: the address (stored or envelope sender's, never Reply-To or Cc) and the loop guard. Not here: rates, text and outbox
(`notifications/confirmation.py`).
"""

from __future__ import annotations

from orchestrator.accounts.desk import read_desk_facts, read_own_addresses
from orchestrator.core.db import WriteUnit
from orchestrator.customers.models import Contact
from orchestrator.intake.mail.loops import decide_answer
from orchestrator.intake.mail.parsed import ParsedMail
from orchestrator.intake.notices import SUPPRESSED
from orchestrator.intake.senders import Sender
from orchestrator.notifications import confirmation
from orchestrator.notifications.models import AutomaticAnswer
from orchestrator.tickets.models import Entry, Ticket
from orchestrator.tickets.service import add_notice


def confirm_ticket(unit: WriteUnit, ticket: Ticket, entry: Entry) -> bool:
    """Confirm a ticket that did not come by mail to its contact's stored address; return whether a mail goes.

    A ticket without a contact, or whose contact has no address or has left, is confirmed to nobody.
    """
    contact = unit.db.get(Contact, ticket.contact_id) if ticket.contact_id else None
    if contact is None or not contact.email or contact.left_at is not None:
        return False
    return _confirm(unit, ticket, contact.email, contact.name, None, envelope_from=None, verified="none")


def confirm_mail(unit: WriteUnit, ticket: Ticket, mail: ParsedMail, sender: Sender, *, envelope_from: str | None, verified: str) -> bool:
    """Confirm a ticket that a mail opened; return whether an answer goes. Either way a notice on the ticket says so.

    It goes to the stored address of a contact known before, else to the envelope's sender, and only where no door knows
    an envelope to the address in From.
    """
    stored = sender.contact is not None and not sender.is_new and sender.contact.left_at is None
    address = sender.address if stored or not envelope_from else envelope_from
    return _confirm(unit, ticket, address, sender.name, mail, envelope_from=envelope_from, verified=verified)


def _confirm(unit: WriteUnit, ticket: Ticket, address: str, name: str, mail: ParsedMail | None, *, envelope_from: str | None,
             verified: str) -> bool:
    facts = read_desk_facts(unit)
    decision = decide_answer(mail, recipient=address, envelope_from=envelope_from, own_addresses=read_own_addresses(unit),
                             own_domain=facts.mail_domain, sender_verified=verified)
    if not decision.allowed:
        assert decision.reason is not None
        reason = SUPPRESSED[decision.reason]
        unit.db.add(AutomaticAnswer(ticket_id=ticket.id, address=address[:254], sent=False, reason=reason, created_at=unit.now))
        add_notice(unit, ticket, code="confirmation_suppressed",
                   values={"address": address or "–", "reason": reason, "why": str(decision.reason), "detail": decision.detail[:200]})
        return False
    message_id = f"<{mail.message_id}>" if mail is not None and mail.message_id else ""
    references = " ".join(f"<{one}>" for one in mail.references) if mail is not None else ""
    sent = confirmation.confirm_ticket(unit, ticket, to_address=address, to_name=name if name != address else "",
                                       in_reply_to=message_id, references=references)
    return sent is not None
