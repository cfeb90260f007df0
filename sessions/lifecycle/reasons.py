"""Why a session ends: a closed set, with the sentence that timeline and receipt show."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.core.i18n import _


class EndReason(StrEnum):
    """Stored in ``remote_sessions.end_reason`` and told to the agent with ``revoke``."""

    TECHNICIAN = "technician"
    LEAD = "lead"
    CONTACT = "contact"
    LINK = "link"
    AGENT_STOPPED = "agent_stopped"
    AGENT_LOST = "agent_lost"
    TIME_LIMIT = "time_limit"
    DENIED = "denied"
    NOT_DECIDED = "not_decided"
    NOT_STARTED = "not_started"
    CANCELLED = "cancelled"
    BOUNCED = "bounced"
    LOGIN_REVOKED = "login_revoked"
    USER_DISABLED = "user_disabled"
    RIGHT_LOST = "right_lost"
    QUEUE_LEFT = "queue_left"
    TICKET_CLOSED = "ticket_closed"
    TICKET_CHANGED = "ticket_changed"
    ENDPOINT_DISABLED = "endpoint_disabled"
    ENDPOINT_CHANGED = "endpoint_changed"
    CONTACT_CHANGED = "contact_changed"
    GRANT_REFUSED = "grant_refused"
    RECORDING_FAILED = "recording_failed"


SENTENCES: dict[EndReason, str] = {
    EndReason.TECHNICIAN: _("ended by the technician"),
    EndReason.LEAD: _("ended from the list of live sessions"),
    EndReason.CONTACT: _("stopped by the contact"),
    EndReason.LINK: _("stopped through the link in the mail"),
    EndReason.AGENT_STOPPED: _("stopped on the machine"),
    EndReason.AGENT_LOST: _("the machine stayed away for too long"),
    EndReason.TIME_LIMIT: _("the approved time is over"),
    EndReason.DENIED: _("the request was denied"),
    EndReason.NOT_DECIDED: _("nobody answered in time"),
    EndReason.NOT_STARTED: _("the session was not started in time"),
    EndReason.CANCELLED: _("the request was withdrawn"),
    EndReason.BOUNCED: _("the mail with the request could not be delivered"),
    EndReason.LOGIN_REVOKED: _("the technician's login was revoked"),
    EndReason.USER_DISABLED: _("the technician's account was disabled"),
    EndReason.RIGHT_LOST: _("the technician's right to lead sessions ended"),
    EndReason.QUEUE_LEFT: _("the technician does not work in the ticket's queue any more"),
    EndReason.TICKET_CLOSED: _("the ticket was closed"),
    EndReason.TICKET_CHANGED: _("the ticket's organisation or contact changed"),
    EndReason.ENDPOINT_DISABLED: _("the machine was disabled"),
    EndReason.ENDPOINT_CHANGED: _("the machine's record changed"),
    EndReason.CONTACT_CHANGED: _("the right to approve ended"),
    EndReason.GRANT_REFUSED: _("the machine refused the grant"),
    EndReason.RECORDING_FAILED: _("the recording could not be written"),
}
assert set(SENTENCES) == set(EndReason)
