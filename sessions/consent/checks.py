"""Checking a yes again, when it is given and when it is used: everything the request stood on must still hold."""

from __future__ import annotations

from agents.protocol.grants import Request
from orchestrator.core.db import ReadUnit
from orchestrator.core.i18n import _
from orchestrator.customers.models import Contact
from orchestrator.tickets.models import Status, Ticket
from sessions.consent.models import ConsentRequest
from sessions.consent.policy import read_accounts
from sessions.consent.requests import find_right
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import RemoteSession, SessionState
from sessions.lifecycle.reasons import EndReason

_EXPECTED = {False: (SessionState.REQUESTED,), True: (SessionState.LIVE, SessionState.SUSPENDED)}


def find_obstacle(unit: ReadUnit, session: RemoteSession, request: ConsentRequest, document: Request, contact: Contact,
                  scopes: tuple[str, ...]) -> str:
    """Say why a yes cannot count, as it will be stored; empty when it can."""
    if session.state not in _EXPECTED[request.follow_up]:
        return _("the session is over or has changed")
    change = find_change(unit, session, request, document, contact, scopes)
    return change[1] if change else ""


def find_change(unit: ReadUnit, session: RemoteSession, request: ConsentRequest, document: Request, contact: Contact,
                scopes: tuple[str, ...]) -> tuple[EndReason, str] | None:
    """Say what changed since the request was signed, so that a yes to these scopes is worth nothing now; None when nothing did."""
    ticket = unit.db.get_one(Ticket, session.ticket_id, populate_existing=True)
    if ticket.status == Status.CLOSED:
        return EndReason.TICKET_CLOSED, _("the ticket was closed or has changed")
    if ticket.organisation_id != session.organisation_id:
        return EndReason.TICKET_CHANGED, _("the ticket was closed or has changed")
    if contact.email != request.sent_to or contact.organisation_id != session.organisation_id:
        return EndReason.CONTACT_CHANGED, _("the approver's address or organisation has changed")
    if find_right(unit, contact, ticket_id=session.ticket_id, scopes=scopes, leader_id=session.technician_id) is None:
        return EndReason.CONTACT_CHANGED, _("the right to approve has ended")
    changed = find_endpoint_change(unit.db.get_one(Endpoint, session.endpoint_id, populate_existing=True), document)
    return (EndReason.ENDPOINT_CHANGED, changed) if changed else None


def find_endpoint_change(endpoint: Endpoint, document: Request) -> str:
    """Say what the machine is now that the signed request did not say; empty when it is the same."""
    account = read_accounts(endpoint.accounts).get(document.user)
    if endpoint.state != "accepted" or endpoint.fingerprint != document.audience:
        return _("the machine is not accepted any more")
    if endpoint.protected != document.protected or endpoint.consent_mode != document.consent.value:
        return _("the machine's protection or its own rule has changed")
    if account is None or not account.login_allowed or (account.may_become_root and not document.administrator):
        return _("the account on the machine has changed")
    return ""
