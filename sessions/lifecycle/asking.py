"""Asking for a remote session, and for more in a running one. What may be asked is in ``sessions/consent/policy.py``."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.accounts.actor import Actor, Right
from orchestrator.accounts.logins import require_step_up
from orchestrator.audit.service import record_audit
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from orchestrator.core.ids import new_id, parse_id
from orchestrator.customers.models import Contact
from orchestrator.tickets.models import Status, Ticket
from orchestrator.tickets.service import lock_ticket
from sessions.consent.models import ConsentRequest
from sessions.consent.policy import EndpointFacts, check_account, check_endpoint, check_wish, read_accounts
from sessions.consent.requests import Wish, ask_approver, hold_contact
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.events import SessionChanged
from sessions.lifecycle.lines import REQUESTED
from sessions.lifecycle.machine import Trigger
from sessions.lifecycle.models import RemoteSession, SessionState
from sessions.lifecycle.policy import SessionAction
from sessions.lifecycle.queries import list_requests, require_action
from sessions.lifecycle.steps import lock_session, plan_due, record_event, take_step, write_line
from sessions.ports import SessionServices


def request_session(
    unit: WriteUnit, actor: Actor, ticket: Ticket, *, endpoint_id: str, contact_id: str | None = None, purpose: str,
    scopes: Sequence[str], os_user: str, minutes: int, start_within_minutes: int = 480, recording: str = "full",
    method: str = "link", services: SessionServices,
) -> RemoteSession:
    """Ask for a remote session on a ticket the actor got by ``get_ticket``; the actor leads it.

    ``contact_id`` defaults to the ticket's contact. Raises StepUpNeeded, Forbidden, InvalidInput, and Conflict for
    everything that stands against it: machine, approver, rates, a closed ticket.
    """
    actor.require(Right.SESSIONS_REQUEST)
    if actor.user_id is None:
        raise Forbidden()
    require_step_up(actor, unit.now, services.settings)
    hold_contact(unit, contact_id or ticket.contact_id)
    ticket = lock_ticket(unit, ticket)
    if ticket.status == Status.CLOSED or ticket.organisation_id is None:
        raise Conflict("The ticket is closed, or has no organisation.")
    scopes = list(dict.fromkeys(scopes))
    check_wish(purpose=purpose, scopes=scopes, minutes=minutes, start_within_minutes=start_within_minutes, recording=recording,
               method=method)
    endpoint = _find_endpoint(unit, endpoint_id, ticket)
    facts = endpoint_facts(endpoint)
    check_endpoint(facts, organisation_id=ticket.organisation_id)
    administrator = check_account(facts, os_user, scopes)
    contact = _find_contact(unit, contact_id or ticket.contact_id, ticket)
    session = RemoteSession(
        id=new_id(), ticket_id=ticket.id, ticket_number=ticket.number, organisation_id=ticket.organisation_id, endpoint_id=endpoint.id,
        technician_id=actor.user_id, technician_name=actor.name, login_id=actor.login_id, token_id=actor.token_id,
        contact_id=contact.id, contact_name=contact.name,
        state=SessionState.REQUESTED, purpose=purpose.strip(), scopes=scopes, os_user=os_user, administrator=administrator,
        max_seconds=minutes * 60, start_within_minutes=start_within_minutes, recording=recording, created_at=unit.now,
    )
    unit.db.add(session)
    unit.db.flush()
    wish = Wish(session.purpose, tuple(scopes), os_user, administrator, minutes, start_within_minutes)
    request = ask_approver(unit, actor, session, contact, wish, follow_up=False, services=services)
    plan_due(unit, session)
    record_event(unit, actor, session, "session.requested", _facts(request, wish, endpoint))
    write_line(unit, actor, session, "requested", REQUESTED, {
        "technician": actor.name, "contact": contact.name, "endpoint": endpoint.name, "minutes": minutes, "purpose": session.purpose})
    record_audit(unit, actor, "session.requested", subject=f"session {session.id}", ticket_number=ticket.number,
                 summary=f"Asked {contact.name} for {minutes} minutes on {endpoint.name}", details=_facts(request, wish, endpoint))
    unit.emit(SessionChanged(session.id, ticket.id, endpoint.id, session.technician_id, str(session.state), "requested"))
    return session


def request_more(unit: WriteUnit, actor: Actor, session: RemoteSession, *, scopes: Sequence[str], minutes: int, purpose: str,
                 services: SessionServices) -> ConsentRequest:
    """Ask the session's contact for more scopes or time while it runs.

    What is granted already stays in the question; ``minutes`` count from the moment the new grant is taken over. Raises as
    ``request_session``, and Conflict when the session does not run or a question is open already.
    """
    require_action(unit, actor, session, SessionAction.ASK_MORE)
    require_step_up(actor, unit.now, services.settings)
    hold_contact(unit, session.contact_id)
    locked = lock_session(unit, session.id)
    if locked.state not in (SessionState.LIVE, SessionState.SUSPENDED):
        raise Conflict("The session does not run.")
    wanted: list[str] = list(dict.fromkeys([*(locked.granted_scopes or []), *scopes]))
    check_wish(purpose=purpose, scopes=wanted, minutes=minutes, start_within_minutes=locked.start_within_minutes,
               recording="full", method="link")
    endpoint = unit.db.get_one(Endpoint, locked.endpoint_id)
    facts = endpoint_facts(endpoint)
    check_endpoint(facts, organisation_id=locked.organisation_id)
    check_account(facts, locked.os_user, wanted)
    if any(request.follow_up and request.state == "open" for request in list_requests(unit, locked)):
        raise Conflict("The contact has not answered the last question yet.")
    contact = unit.db.get_one(Contact, locked.contact_id)
    wish = Wish(purpose.strip(), tuple(wanted), locked.os_user, locked.administrator, minutes, locked.start_within_minutes)
    request = ask_approver(unit, actor, locked, contact, wish, follow_up=True, services=services)
    take_step(unit, actor, locked.id, Trigger.MORE_ASKED, facts=_facts(request, wish, endpoint), values={
        "minutes": minutes, "scopes": ", ".join(wanted), "purpose": wish.purpose})
    record_audit(unit, actor, "session.more-requested", subject=f"session {locked.id}", ticket_number=locked.ticket_number,
                 summary=f"Asked {contact.name} for more on {endpoint.name}", details=_facts(request, wish, endpoint))
    return request


def endpoint_facts(endpoint: Endpoint) -> EndpointFacts:
    """What the rules need about a machine."""
    return EndpointFacts(
        organisation_id=endpoint.organisation_id, state=endpoint.state, endpoint_class=endpoint.endpoint_class,
        has_responsible=endpoint.responsible_id is not None, consent_mode=endpoint.consent_mode, protected=endpoint.protected,
        agent_user=endpoint.agent_user, accounts=read_accounts(endpoint.accounts),
    )


def _find_endpoint(unit: WriteUnit, endpoint_id: str, ticket: Ticket) -> Endpoint:
    endpoint = unit.db.get(Endpoint, parse_id(endpoint_id), with_for_update={"read": True})
    if endpoint is None or endpoint.organisation_id != ticket.organisation_id:
        raise NotFound("This machine is not one of the ticket's organisation.")
    return endpoint


def _find_contact(unit: ReadUnit, contact_id: str | None, ticket: Ticket) -> Contact:
    contact = unit.db.get(Contact, parse_id(contact_id)) if contact_id else None
    if contact is None or contact.organisation_id != ticket.organisation_id:
        raise InvalidInput("Choose a contact of the ticket's organisation.", field="contact_id")
    return contact


def _facts(request: ConsentRequest, wish: Wish, endpoint: Endpoint) -> dict[str, object]:
    return {
        "request": request.id, "request_sha256": request.request_hash, "endpoint": endpoint.id, "endpoint_name": endpoint.name,
        "scopes": list(wish.scopes), "user": wish.os_user, "minutes": wish.minutes, "sent_to": request.sent_to,
        "rule_rested": request.rule_rested, "purpose": wish.purpose,
    }
