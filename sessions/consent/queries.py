"""What a technician sees of the requests of a session: mail sent, bounced, link fetched (perhaps by a scanner), decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from orchestrator.core.db import ReadUnit
from orchestrator.notifications.models import OutgoingMail
from sessions.consent.models import Consent, ConsentLink, ConsentRequest
from sessions.lifecycle.models import RemoteSession
from sessions.lifecycle.queries import list_requests


@dataclass(frozen=True, slots=True)
class RequestNote:
    """One request with the notes beside it. ``mail_state`` is due, sent or failed; ``link_works`` whether it can still be decided."""

    request: ConsentRequest
    consent: Consent | None
    mail_state: str
    sent_at: datetime | None
    link_works: bool
    needs_call_back: bool


def list_request_notes(unit: ReadUnit, session: RemoteSession, *, admin_asked: bool) -> Sequence[RequestNote]:
    """The session's requests, the newest first; ask ``get_session`` first."""
    return [_note(unit, request, admin_asked=admin_asked) for request in reversed(list_requests(unit, session))]


def _note(unit: ReadUnit, request: ConsentRequest, *, admin_asked: bool) -> RequestNote:
    mail = unit.db.scalars(select(OutgoingMail).where(
        OutgoingMail.reference_id == request.id, OutgoingMail.purpose == "consent.request").order_by(OutgoingMail.id.desc()).limit(1)).first()
    working = unit.db.scalar(select(ConsentLink.id).where(
        ConsentLink.request_id == request.id, ConsentLink.burned_at.is_(None), ConsentLink.decision_until > unit.now).limit(1)) is not None
    return RequestNote(
        request=request, consent=unit.db.scalars(select(Consent).where(Consent.request_id == request.id)).one_or_none(),
        mail_state=mail.state if mail is not None else "failed", sent_at=mail.sent_at if mail is not None else None,
        link_works=working and request.state == "open",
        needs_call_back=request.shared_mailbox and admin_asked and request.state == "open" and request.call_back_at is None,
    )
