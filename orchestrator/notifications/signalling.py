"""Hints after the commit: the worker that sends wakes, and pages show whether a mail left."""

from __future__ import annotations

from orchestrator.core.events import Events
from orchestrator.core.signals import Signals
from orchestrator.notifications import bounces
from orchestrator.notifications.events import MailBounced, MailFailed, MailQueued, MailSent


def register(events: Events, signals: Signals) -> None:
    """Wake the worker for new mail, tell the ticket's pages about sent and failed ones, and act on bounces."""

    def queued(_happened: MailQueued) -> None:
        signals.publish("jobs")

    def done(happened: MailSent | MailFailed) -> None:
        if happened.ticket_id is not None:
            signals.publish(f"ticket:{happened.ticket_id}")

    events.after_commit(MailQueued, queued)
    events.after_commit(MailSent, done)
    events.after_commit(MailFailed, done)
    events.inside(MailBounced, bounces.note_bounce)
    events.inside(MailFailed, bounces.note_refused)
