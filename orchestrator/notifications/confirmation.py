"""The confirmation of a new ticket: number at once, in the customer's language, never in a loop."""

from __future__ import annotations

from orchestrator.accounts.desk import read_desk_facts
from orchestrator.core.db import WriteUnit
from orchestrator.notifications.automatic import may_answer
from orchestrator.notifications.models import OutgoingMail
from orchestrator.notifications.outbox import enqueue_mail
from orchestrator.notifications.texts import Purpose, render_text
from orchestrator.tickets.models import Ticket
from orchestrator.tickets.service import add_notice


def confirm_ticket(unit: WriteUnit, ticket: Ticket, *, to_address: str, to_name: str, in_reply_to: str = "",
                   references: str = "") -> OutgoingMail | None:
    """Confirm a ticket to the stored or envelope sender's address (never Reply-To or Cc); the rates apply.

    The ticket's notice says that it went, or why not; then None is returned.
    """
    allowed, reason = may_answer(unit, ticket, to_address, unit.now)
    if not allowed:
        add_notice(unit, ticket, code="confirmation_suppressed", values={"address": to_address, "reason": reason})
        return None
    subject, text = render_text(Purpose.TICKET_CONFIRMATION, ticket.language, name=to_name or to_address, number=ticket.number,
                                subject=ticket.subject, desk=read_desk_facts(unit).mail_name)
    entry = add_notice(unit, ticket, code="confirmation_sent", values={"address": to_address})
    return enqueue_mail(unit, purpose=Purpose.TICKET_CONFIRMATION, to_address=to_address, to_name=to_name, subject=subject, text=text,
                        automatic=True, language=ticket.language, ticket=ticket, entry=entry, in_reply_to=in_reply_to,
                        references=references)
