"""When the mail that asks does not arrive: noted beside the request; for good means that the right rests and nothing was allowed."""

from __future__ import annotations

from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM
from orchestrator.core.db import WriteUnit
from orchestrator.customers.approvers import suspend_approvers
from orchestrator.notifications.models import OutgoingMail
from sessions.consent.links import burn_link
from sessions.consent.models import ConsentLink, ConsentRequest
from sessions.lifecycle.lines import BURNED
from sessions.lifecycle.machine import Trigger
from sessions.lifecycle.models import SessionState
from sessions.lifecycle.reasons import EndReason
from sessions.lifecycle.service import stop_session
from sessions.lifecycle.steps import lock_session, plan_due, record_event, take_step, write_line

QUESTION = "consent.request"


def note_bounce(unit: WriteUnit, outgoing_mail_id: str, *, permanent: bool) -> None:
    """Note a bounce of a mail of ours; a permanent one of a question suspends the approver and withdraws what is open."""
    mail = unit.db.get(OutgoingMail, outgoing_mail_id)
    if mail is None or mail.purpose != QUESTION or mail.reference_id is None:
        return
    request = unit.db.scalars(select(ConsentRequest).where(ConsentRequest.id == mail.reference_id)).one_or_none()
    if request is None:
        return
    lock_session(unit, request.session_id)
    unit.db.refresh(request)
    request.bounced_at = unit.now
    unit.db.flush()
    if not permanent:
        return
    if request.state == "open":
        close_unanswered(unit, request, EndReason.BOUNCED)
    suspend_approvers(unit, request.contact_id, "mail bounced")


def note_burned(unit: WriteUnit, token_hash: str) -> None:
    """Burn the link of a token that was seen in incoming mail; while the question is open, say so on the ticket."""
    request_id = unit.db.scalar(select(ConsentLink.request_id).where(ConsentLink.token_hash == token_hash))
    if request_id is None:
        return
    request = unit.db.get_one(ConsentRequest, request_id)
    session = lock_session(unit, request.session_id)
    unit.db.refresh(request)
    if not burn_link(unit, token_hash) or request.state != "open":
        return
    record_event(unit, SYSTEM, session, "consent.link-burned", {"request": request.id})
    write_line(unit, SYSTEM, session, "link_burned", BURNED, {"contact": session.contact_name})


def close_unanswered(unit: WriteUnit, request: ConsentRequest, reason: EndReason) -> None:
    """Withdraw an open request that cannot be answered; with it goes a session that waits for nothing else."""
    session = lock_session(unit, request.session_id)
    if request.follow_up:
        request.state, request.decided_at = "withdrawn", unit.now
        if session.state in (SessionState.LIVE, SessionState.SUSPENDED):
            take_step(unit, SYSTEM, session.id, Trigger.MORE_EXPIRED, facts={"request": request.id, "cause": reason.value})
        return
    if session.state == SessionState.REQUESTED:
        stop_session(unit, SYSTEM, session.id, reason)
        return
    request.state, request.decided_at = "withdrawn", unit.now
    plan_due(unit, session)
