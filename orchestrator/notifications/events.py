"""What happens to our mails, told to other rooms."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.events import Event


@dataclass(frozen=True, slots=True)
class MailQueued(Event):
    outgoing_mail_id: str
    ticket_id: str | None


@dataclass(frozen=True, slots=True)
class MailSent(Event):
    outgoing_mail_id: str
    purpose: str
    reference_id: str | None
    ticket_id: str | None


@dataclass(frozen=True, slots=True)
class MailFailed(Event):
    """Given up. ``address_refused`` says that the receiving side refused the address itself, for good."""

    outgoing_mail_id: str
    purpose: str
    reference_id: str | None
    ticket_id: str | None
    address_refused: bool


@dataclass(frozen=True, slots=True)
class MailBounced(Event):
    """A bounce came back for one of our mails; ``permanent`` when the address does not exist (any more)."""

    outgoing_mail_id: str
    permanent: bool
