"""Tickets that wait until a time: a worker opens them again when it has come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM
from orchestrator.core.db import Database, WriteUnit
from orchestrator.core.jobs import skip_locked
from orchestrator.tickets.models import Status, Ticket
from orchestrator.tickets.service import add_notice, lock_ticket
from orchestrator.tickets.status import change_status


class TicketWaking:
    """Due work over ``tickets.wait_until``. It needs no lease: waking twice changes nothing."""

    name = "ticket-waking"

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, unit: WriteUnit, *, lease_until: datetime, limit: int) -> Sequence[str]:
        statement = select(Ticket.id).where(Ticket.status == Status.WAITING_UNTIL, Ticket.wait_until <= unit.now)
        return unit.db.scalars(skip_locked(unit, statement.order_by(Ticket.wait_until).limit(limit))).all()

    def perform(self, row_id: str) -> None:
        with self._database.write() as unit:
            ticket = unit.db.get(Ticket, row_id)
            if ticket is None:
                return
            ticket = lock_ticket(unit, ticket)
            if ticket.status != Status.WAITING_UNTIL or ticket.wait_until is None or ticket.wait_until > unit.now:
                return
            add_notice(unit, ticket, code="waiting_over")
            change_status(unit, SYSTEM, ticket, Status.OPEN)
