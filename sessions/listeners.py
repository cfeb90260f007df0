"""What remote sessions do when something happens elsewhere: end what may not go on, and hint at what changed.

Inside listeners write in the transaction of the change, so that a closed ticket and its ended session are one commit.
Closing the channels themselves follows after the commit, in ``sessions/live``.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select

from orchestrator.accounts.actor import SYSTEM, Right, Role, rights_of
from orchestrator.accounts.events import LoginRevoked, RolesChanged, TokenRevoked, UserDisabled
from orchestrator.accounts.models import User
from orchestrator.accounts.queries import actor_for_user
from orchestrator.core.db import WriteUnit
from orchestrator.core.events import Events
from orchestrator.core.signals import Signals
from orchestrator.customers.events import ApproverWithdrawn, ContactChanged
from orchestrator.intake.events import OwnLinksSeen
from orchestrator.notifications.events import MailBounced, MailFailed
from orchestrator.search.index import touch
from orchestrator.tickets.events import QueueChanged, TicketChanged, TicketClosed, TicketOrganisationChanged
from sessions.consent.bounces import close_unanswered, note_bounce, note_burned
from sessions.consent.models import ConsentRequest
from sessions.endpoints.events import EndpointAccepted, EndpointChanged, EndpointDisabled, PresenceChanged
from sessions.lifecycle.events import SessionChanged, SessionEnded, SessionWarned
from sessions.lifecycle.models import RemoteSession, SessionState
from sessions.lifecycle.policy import works_on
from sessions.lifecycle.queries import OPEN, RUNNING, facts_of
from sessions.lifecycle.reasons import EndReason
from sessions.lifecycle.service import end_sessions
from sessions.ports import SessionServices

_ENDING_FIELDS = frozenset({"organisation_id", "contact_id"})
_REACH_FIELDS = frozenset({"queue_id", "queue", "assignee_id", "assignee", "followers"})


def register(events: Events, signals: Signals, services: SessionServices) -> None:
    """Register everything; called once at assembly."""
    register_inside(events)
    _register_signals(events, signals)


def register_inside(events: Events) -> None:
    """Register what writes in the transaction of the change; commands that work without a server need only this."""
    events.inside(OwnLinksSeen, _on_own_links_seen)
    events.inside(TicketClosed, lambda unit, event: _end(
        unit, RemoteSession.ticket_id == event.ticket_id, EndReason.TICKET_CLOSED))
    events.inside(TicketOrganisationChanged, lambda unit, event: _end(
        unit, RemoteSession.ticket_id == event.ticket_id, EndReason.TICKET_CHANGED))
    events.inside(TicketChanged, _on_ticket_changed)
    events.inside(QueueChanged, _on_queue_changed)
    events.inside(UserDisabled, lambda unit, event: _end(
        unit, RemoteSession.technician_id == event.user_id, EndReason.USER_DISABLED))
    events.inside(LoginRevoked, lambda unit, event: _end(
        unit, RemoteSession.login_id == event.login_id, EndReason.LOGIN_REVOKED, states=RUNNING))
    events.inside(TokenRevoked, lambda unit, event: _end(
        unit, RemoteSession.token_id == event.token_id, EndReason.LOGIN_REVOKED, states=RUNNING))
    events.inside(RolesChanged, _on_roles_changed)
    events.inside(EndpointDisabled, lambda unit, event: _end(
        unit, RemoteSession.endpoint_id == event.endpoint_id, EndReason.ENDPOINT_DISABLED))
    events.inside(EndpointChanged, _on_endpoint_changed)
    events.inside(ApproverWithdrawn, _on_approver_withdrawn)
    events.inside(ContactChanged, _on_contact_changed)
    events.inside(MailBounced, lambda unit, event: note_bounce(unit, event.outgoing_mail_id, permanent=event.permanent))
    events.inside(MailFailed, lambda unit, event: note_bounce(unit, event.outgoing_mail_id, permanent=event.address_refused))


def _end(unit: WriteUnit, condition: ColumnElement[bool], reason: EndReason, *, states: Sequence[SessionState] = OPEN) -> None:
    ids = list(unit.db.scalars(select(RemoteSession.id).where(condition, RemoteSession.state.in_(states))))
    end_sessions(unit, SYSTEM, ids, reason)


def _on_own_links_seen(unit: WriteUnit, event: OwnLinksSeen) -> None:
    """A mail quoted links of ours: they decide nothing any more."""
    for token_hash in event.token_hashes:
        note_burned(unit, token_hash)


def _on_roles_changed(unit: WriteUnit, event: RolesChanged) -> None:
    user = unit.db.get_one(User, event.user_id)
    if Right.CHANNELS_OPEN not in rights_of(frozenset(Role(role) for role in user.roles)):
        _end(unit, RemoteSession.technician_id == event.user_id, EndReason.RIGHT_LOST)


def _on_ticket_changed(unit: WriteUnit, event: TicketChanged) -> None:
    if _ENDING_FIELDS & set(event.fields):
        _end(unit, RemoteSession.ticket_id == event.ticket_id, EndReason.TICKET_CHANGED)
    elif _REACH_FIELDS & set(event.fields):
        _end_out_of_reach(unit, RemoteSession.ticket_id == event.ticket_id)


def _on_queue_changed(unit: WriteUnit, event: QueueChanged) -> None:
    if event.user_ids:
        _end_out_of_reach(unit, RemoteSession.technician_id.in_(event.user_ids))


def _end_out_of_reach(unit: WriteUnit, condition: ColumnElement[bool]) -> None:
    """End what is led by somebody who no longer works in the ticket's queue, nor has or follows the ticket."""
    for session in unit.db.scalars(select(RemoteSession).where(condition, RemoteSession.state.in_(OPEN)).order_by(RemoteSession.id)).all():
        technician = actor_for_user(unit, unit.db.get_one(User, session.technician_id))
        if not works_on(technician, facts_of(unit, session)):
            end_sessions(unit, SYSTEM, [session.id], EndReason.QUEUE_LEFT)


def _on_endpoint_changed(unit: WriteUnit, event: EndpointChanged) -> None:
    touch(unit, "endpoint", event.endpoint_id)
    if "organisation_id" in event.fields or "endpoint_class" in event.fields:
        _end(unit, RemoteSession.endpoint_id == event.endpoint_id, EndReason.ENDPOINT_CHANGED)


def _on_approver_withdrawn(unit: WriteUnit, event: ApproverWithdrawn) -> None:
    """What hangs on the right ends: unanswered requests, consents not used yet, and sessions that run by it."""
    by_right = select(ConsentRequest.session_id).where(ConsentRequest.approver_right_id.in_(event.right_ids))
    _end(unit, RemoteSession.id.in_(by_right), EndReason.CONTACT_CHANGED)


def _on_contact_changed(unit: WriteUnit, event: ContactChanged) -> None:
    """A link that went to an address the person no longer has must not decide."""
    if not {"email", "organisation_id", "left_at"} & set(event.fields):
        return
    for request in unit.db.scalars(select(ConsentRequest).where(
            ConsentRequest.contact_id == event.contact_id, ConsentRequest.state == "open").order_by(ConsentRequest.session_id)).all():
        close_unanswered(unit, request, EndReason.CONTACT_CHANGED)


def _register_signals(events: Events, signals: Signals) -> None:
    """Hints for pages and workers, after the commit."""

    def on_session(event: SessionChanged) -> None:
        for topic in (f"session:{event.session_id}", f"ticket:{event.ticket_id}", f"endpoint:{event.endpoint_id}",
                      f"user:{event.technician_id}", "sessions", "jobs"):
            signals.publish(topic)

    def on_warning(event: SessionWarned) -> None:
        signals.publish(f"session:{event.session_id}")

    def on_endpoint(event: EndpointChanged | PresenceChanged) -> None:
        for topic in (f"endpoint:{event.endpoint_id}", f"organisation:{event.organisation_id}", "endpoints"):
            signals.publish(topic)

    def on_accepted(event: EndpointAccepted) -> None:
        signals.publish(f"endpoint:{event.endpoint_id}")

    events.after_commit(SessionChanged, on_session)
    events.after_commit(SessionEnded, lambda event: signals.publish(f"session:{event.session_id}"))
    events.after_commit(SessionWarned, on_warning)
    events.after_commit(EndpointChanged, on_endpoint)
    events.after_commit(PresenceChanged, on_endpoint)
    events.after_commit(EndpointAccepted, on_accepted)
