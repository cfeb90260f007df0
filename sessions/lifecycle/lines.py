"""The line that each step of a session leaves on the ticket's timeline.

The sentence is an English source text with named values; an entry's ``data`` carries both, so that a page can show the
line in the reader's language (``_(sentence) % values``); its ``text`` is the English line.
"""

from __future__ import annotations

from orchestrator.core.i18n import _
from sessions.lifecycle.machine import Trigger
from sessions.lifecycle.models import SessionState

REQUESTED = _("%(technician)s asked %(contact)s for a remote session on %(endpoint)s for %(minutes)s minutes: %(purpose)s")

_LINES: dict[Trigger, str] = {
    Trigger.APPROVED: _("%(contact)s approved the remote session for %(minutes)s minutes (%(scopes)s); it must start by %(until)s UTC"),
    Trigger.DENIED: _("The remote session was denied: %(reason)s"),
    Trigger.DECISION_EXPIRED: _("Nobody answered the request for a remote session in time"),
    Trigger.START_EXPIRED: _("The approved remote session was not started in time"),
    Trigger.BEGAN: _("%(technician)s started the remote session on %(endpoint)s; it ends at %(until)s UTC at the latest"),
    Trigger.AGENT_LOST: _("The connection to %(endpoint)s is lost; the remote session waits"),
    Trigger.AGENT_BACK: _("The connection to %(endpoint)s is back; the remote session goes on"),
    Trigger.CONTINUED: _("The remote session goes on"),
    Trigger.MORE_ASKED: _(
        "%(technician)s asked %(contact)s for more in the running session: %(minutes)s minutes (%(scopes)s): %(purpose)s"),
    Trigger.MORE_APPROVED: _("%(contact)s approved more: %(minutes)s minutes (%(scopes)s)"),
    Trigger.MORE_DENIED: _("The request for more was denied: %(reason)s"),
    Trigger.MORE_EXPIRED: _("Nobody answered the request for more in time"),
    Trigger.GRANT_RENEWED: _("The remote session goes on under the new approval until %(until)s UTC at the latest"),
    Trigger.ENDED: _("The remote session ended: %(reason)s"),
}
CANCELLED = _("The remote session was cancelled before it started: %(reason)s")
ASKED = _("%(contact)s asks before deciding about the remote session: %(question)s")
BURNED = _("A mail to us quoted the link that was sent to %(contact)s; it can decide no more. Mail the request again")
assert set(_LINES) == set(Trigger)


def line_of(trigger: Trigger, state: SessionState) -> str:
    """Return the sentence for a step that led to ``state``."""
    if trigger is Trigger.ENDED and state is SessionState.CANCELLED:
        return CANCELLED
    return _LINES[trigger]
