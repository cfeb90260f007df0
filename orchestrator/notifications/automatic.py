"""How often the program may answer by itself: the rates that stop two machines from writing to each other for ever.

Whether one mail may be answered at all (RFC 3834: null return path, Auto-Submitted, lists …) is decided by intake before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

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
    for rate in RATES_OF_TICKET:
        if _count(unit, rate, now, address, ticket.id) >= rate.count:
            return f"{rate.count} automatic answers went to {address} for this ticket within {rate.minutes} minutes."
    if _count(unit, RATE_OF_ADDRESS, now, address, None) >= RATE_OF_ADDRESS.count:
        return f"{RATE_OF_ADDRESS.count} automatic answers went to {address} within a day."
    return ""


def _count(unit: WriteUnit, rate: Rate, now: datetime, address: str, ticket_id: str | None) -> int:
    since = now - timedelta(minutes=rate.minutes)
    statement = select(AutomaticAnswer.id).where(
        AutomaticAnswer.address == address, AutomaticAnswer.sent.is_(True), AutomaticAnswer.created_at > since)
    if ticket_id is not None:
        statement = statement.where(AutomaticAnswer.ticket_id == ticket_id)
    return unit.db.scalar(select(func.count()).select_from(statement.limit(rate.count).subquery())) or 0
