"""How often the program may answer by itself: the rates that stop two machines from writing to each other for ever.

Whether one mail may be answered at all (RFC 3834: null return path, Auto-Submitted, lists …) is decided by intake before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from orchestrator.core.db import WriteUnit
from orchestrator.notifications.models import AutomaticAnswer
from orchestrator.tickets.models import Ticket


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` answers within ``minutes``."""

    minutes: int
    count: int


RATES_OF_TICKET: Sequence[Rate] = (Rate(10, 10), Rate(30, 15), Rate(60, 25), Rate(180, 50), Rate(600, 100))
"""For one ticket and recipient."""
RATE_OF_ADDRESS = Rate(24 * 60, 40)
"""For one recipient over all tickets."""


def may_answer(unit: WriteUnit, ticket: Ticket, address: str, now: datetime) -> tuple[bool, str]:
    """Say whether one more automatic answer may go to ``address``, and if not, why (an English sentence). Either way the
    answer is counted or noted as suppressed, so ask once for each answer."""
    address = address.strip().lower()[:254]
    reason = _exceeded(unit, ticket, address, now)
    unit.db.add(AutomaticAnswer(ticket_id=ticket.id, address=address, sent=not reason, reason=reason, created_at=now))
    unit.db.flush()
    return not reason, reason


def _exceeded(unit: WriteUnit, ticket: Ticket, address: str, now: datetime) -> str:
    sent = _list_sent(unit, address, now)
    for rate in RATES_OF_TICKET:
        since = now - timedelta(minutes=rate.minutes)
        if sum(1 for ticket_id, sent_at in sent if ticket_id == ticket.id and sent_at > since) >= rate.count:
            return f"{rate.count} automatic answers went to {address} for this ticket within {rate.minutes} minutes."
    if len(sent) >= RATE_OF_ADDRESS.count:
        return f"{RATE_OF_ADDRESS.count} automatic answers went to {address} within a day."
    return ""


def _list_sent(unit: WriteUnit, address: str, now: datetime) -> Sequence[tuple[str, datetime]]:
    """The newest answers to an address within the longest window, as many as the largest rate needs: one read for all rates."""
    longest = max(rate.minutes for rate in (*RATES_OF_TICKET, RATE_OF_ADDRESS))
    statement = select(AutomaticAnswer.ticket_id, AutomaticAnswer.created_at).where(
        AutomaticAnswer.address == address, AutomaticAnswer.sent.is_(True), AutomaticAnswer.created_at > now - timedelta(minutes=longest))
    most = max(rate.count for rate in (*RATES_OF_TICKET, RATE_OF_ADDRESS))
    rows = unit.db.execute(statement.order_by(AutomaticAnswer.created_at.desc()).limit(most)).all()
    return [(row.ticket_id, row.created_at) for row in rows]
