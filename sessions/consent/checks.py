"""Checking a yes again at the moment it is given: everything the request stood on must still hold."""

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

_EXPECTED = {False: (SessionState.REQUESTED,), True: (SessionState.LIVE, SessionState.SUSPENDED)}


def find_obstacle(unit: ReadUnit, session: RemoteSession, request: ConsentRequest, document: Request, contact: Contact,
                  scopes: tuple[str, ...]) -> str:
    """Say why a yes cannot count, as it will be stored; empty when it can."""
    ticket = unit.db.get_one(Ticket, session.ticket_id, populate_existing=True)
    endpoint = unit.db.get_one(Endpoint, session.endpoint_id, populate_existing=True)
    if session.state not in _EXPECTED[request.follow_up]:
        return _("the session is over or has changed")
    if ticket.status == Status.CLOSED or ticket.organisation_id != session.organisation_id:
        return _("the ticket was closed or has changed")
    if contact.email != request.sent_to or contact.organisation_id != session.organisation_id:
        return _("the approver's address or organisation has changed")
    if find_right(unit, contact, ticket_id=session.ticket_id, scopes=scopes, leader_id=session.technician_id) is None:
        return _("the right to approve has ended")
    return find_endpoint_change(endpoint, document)


def find_endpoint_change(endpoint: Endpoint, document: Request) -> str:
    """Say what the machine is now that the signed request did not say; empty when it is the same. Also asked before signing a grant."""
    account = read_accounts(endpoint.accounts).get(document.user)
    if endpoint.state != "accepted" or endpoint.fingerprint != document.audience:
        return _("the machine is not accepted any more")
    if endpoint.protected != document.protected or endpoint.consent_mode != document.consent.value:
        return _("the machine's protection or its own rule has changed")
    if account is None or not account.login_allowed or (account.may_become_root and not document.administrator):
        return _("the account on the machine has changed")
    return ""
