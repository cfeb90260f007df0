"""Answering a request: approve (perhaps less than was asked), deny, ask first, stop later. Free of HTTP.

The decision is taken under the session's row lock, so that of two answers at once exactly one counts. A yes is checked
again against everything that made the request possible; a failed check is stored as a no with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import select, update

from agents.protocol.grants import Request
from agents.protocol.signatures import hash_document
from orchestrator.accounts.actor import Actor, ActorKind, Right
from orchestrator.audit.service import record_audit
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from orchestrator.core.i18n import translator
from orchestrator.core.ids import new_id, parse_id
from orchestrator.customers.models import Contact
from orchestrator.notifications.outbox import enqueue_mail
from orchestrator.tickets.models import EntryKind, Medium, Ticket, Visibility
from orchestrator.tickets.service import add_entry
from sessions.consent.checks import find_obstacle
from sessions.consent.leads import tell_leads_of_denials
from sessions.consent.links import OpenedLink, list_link_ids, open_link
from sessions.consent.mails import write_receipt_mail
from sessions.consent.models import Consent, ConsentRequest
from sessions.consent.policy import check_call_back, is_paused, narrow
from sessions.consent.receipts import build_receipt
from sessions.consent.requests import asked_before, many_lines, one_line
from sessions.consent.viewers import remember_decider
from sessions.lifecycle.events import MoreApproved
from sessions.lifecycle.lines import ASKED
from sessions.lifecycle.machine import Trigger
from sessions.lifecycle.models import FINAL_STATES, RemoteSession, SessionState
from sessions.lifecycle.policy import SessionAction, may
from sessions.lifecycle.queries import facts_of
from sessions.lifecycle.reasons import EndReason
from sessions.lifecycle.service import stop_session
from sessions.lifecycle.steps import lock_session, record_event, take_step, write_line
from sessions.ports import SessionServices

MOST_QUESTIONS = 5


class AlreadyDecided(Conflict):
    code = "already_decided"

    def __init__(self) -> None:
        super().__init__("This request has been answered already.")


class DecisionOver(Conflict):
    """Too late, or the link was burned, or the request was withdrawn."""

    code = "decision_over"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the form said. ``scopes`` and ``minutes`` None = as asked; ``address`` is where it came from."""

    approve: bool
    scopes: Sequence[str] | None = None
    minutes: int | None = None
    name_given: str = ""
    clock_is_wrong: bool = False
    reason: str = ""
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of it: ``consent.decision`` is *deny* when a check failed. ``cookie_secret`` is for the deciding browser."""

    consent: Consent
    request: ConsentRequest
    session: RemoteSession
    cookie_secret: str


def decide(unit: WriteUnit, token: str, answer: Answer, *, services: SessionServices) -> Decided:
    """Take the one decision about a request.

    Raises LinkUnknown, AlreadyDecided, DecisionOver, InvalidInput (wider than asked), CallBackNeeded; then nothing was decided.
    """
    opened = _lock_open(unit, token)
    request, session = opened.request, opened.session
    document = services.keys.read_request(request.request_jws)
    contact = unit.db.get_one(Contact, request.contact_id, populate_existing=True)
    if request.shared_mailbox and answer.approve and not answer.name_given.strip():
        raise InvalidInput("Say who you are: this mailbox is shared.", field="name")
    scopes, minutes, obstacle = [], 0, ""
    if answer.approve:
        scopes, minutes = narrow(document.scopes, document.minutes, scopes=answer.scopes, minutes=answer.minutes)
        check_call_back(shared_mailbox=request.shared_mailbox, scopes=scopes, called_back=request.call_back_at is not None)
        obstacle = find_obstacle(unit, session, request, document, contact, tuple(scopes))
    given = answer.approve and not obstacle
    actor = link_actor(opened, contact, answer.address)
    consent = Consent(
        id=new_id(), request_id=request.id, session_id=session.id, decision="approve" if given else "deny", method=request.method,
        scopes=scopes if given else [], max_seconds=minutes * 60 if given else 0,
        clock_is_wrong=given and answer.clock_is_wrong and document.clock_is_off, approver_name=_approver_name(request, contact),
        name_given=one_line(answer.name_given, 200), reason=obstacle or one_line(answer.reason, 300), address=answer.address,
        decided_at=unit.now,
    )
    unit.db.add(consent)
    request.state, request.decided_at = ("approved" if given else "denied"), unit.now
    opened.link.decided_at = unit.now
    cookie_secret = remember_decider(opened.link)
    unit.db.flush()
    _sign_receipt(unit, request, document, consent, services)
    session = _apply(unit, actor, session, request, consent)
    _record(unit, actor, session, request, consent)
    _mail_receipt(unit, session, request, document, consent, services)
    if not given:
        _count_denials(unit, session, request, contact)
    return Decided(consent, request, session, cookie_secret)


def _lock_open(unit: WriteUnit, token: str) -> OpenedLink:
    """Find the link, hold its session, and read everything again. Raises unless the request can still be decided by it."""
    found = open_link(unit, token)
    lock_session(unit, found.session.id)
    unit.db.refresh(found.request)
    unit.db.refresh(found.link)
    request, link = found.request, found.link
    if request.state in ("approved", "denied"):
        raise AlreadyDecided()
    if request.state != "open" or link.decision_until <= unit.now or request.expires_at <= unit.now:
        raise DecisionOver("The time to answer is over, or the request was withdrawn. Nothing was allowed.")
    if link.burned_at is not None:
        raise DecisionOver("This link was seen in a mail to us and cannot decide any more. Ask for a new one.")
    return found


def link_actor(opened: OpenedLink, contact: Contact | None, address: str | None) -> Actor:
    """The actor that a link's holder is: named after the person or mailbox the link went to."""
    name = f"holder of {opened.request.sent_to}" if opened.request.shared_mailbox or contact is None else contact.name
    return Actor(kind=ActorKind.LINK, id=opened.link.id, name=name, address=address, organisation_id=opened.session.organisation_id)


def _approver_name(request: ConsentRequest, contact: Contact) -> str:
    return f"holder of {request.sent_to}"[:200] if request.shared_mailbox else contact.name


def _sign_receipt(unit: WriteUnit, request: ConsentRequest, document: Request, consent: Consent, services: SessionServices) -> None:
    receipt = build_receipt(unit, request, document, consent, keys=services.keys, start_by_minutes=document.start_within_minutes)
    consent.receipt_jws = services.keys.sign_receipt(receipt)


def _apply(unit: WriteUnit, actor: Actor, session: RemoteSession, request: ConsentRequest, consent: Consent) -> RemoteSession:
    """Let the session take the step that follows from the answer."""
    given = consent.decision == "approve"
    values: dict[str, object] = {"reason": consent.reason or "no reason given", "minutes": consent.max_seconds // 60,
                                 "scopes": ", ".join(consent.scopes), "contact": actor.name}
    facts = {"request": request.id, "consent": consent.id, "scopes": consent.scopes, "seconds": consent.max_seconds,
             "reason_given": consent.reason, "method": consent.method, "link_went_to": request.sent_to, "name_given": consent.name_given,
             "receipt_sha256": hash_document(consent.receipt_jws)}
    if request.follow_up:
        trigger = Trigger.MORE_APPROVED if given else Trigger.MORE_DENIED
        session = take_step(unit, actor, session.id, trigger, values=values, facts=facts)
        if given:
            unit.emit(MoreApproved(session.id, request.id, session.endpoint_id))
        return session
    session.decided_at = unit.now
    if not given:
        return take_step(unit, actor, session.id, Trigger.DENIED, reason=EndReason.DENIED, values=values, facts=facts)
    session.granted_scopes, session.granted_seconds = list(consent.scopes), consent.max_seconds
    until = unit.now + timedelta(minutes=session.start_within_minutes)
    return take_step(unit, actor, session.id, Trigger.APPROVED, values={**values, "until": f"{until:%Y-%m-%d %H:%M}"}, facts=facts)


def _record(unit: WriteUnit, actor: Actor, session: RemoteSession, request: ConsentRequest, consent: Consent) -> None:
    given = consent.decision == "approve"
    record_audit(unit, actor, "consent.granted" if given else "consent.denied", subject=f"session {session.id}",
                 ticket_number=session.ticket_number,
                 summary=f"{actor.name} {'approved' if given else 'denied'} through the link sent to {request.sent_to}",
                 details={"request": request.id, "consent": consent.id, "scopes": list(consent.scopes), "reason": consent.reason,
                          "rule_rested": request.rule_rested})


def _mail_receipt(unit: WriteUnit, session: RemoteSession, request: ConsentRequest, document: Request, consent: Consent,
                  services: SessionServices) -> None:
    text = write_receipt_mail(document, decision=consent.decision, minutes=consent.max_seconds // 60, fingerprint=services.keys.fingerprint,
                              receipt_hash=hash_document(consent.receipt_jws), words=translator(request.language))
    enqueue_mail(unit, purpose="consent.receipt", to_address=request.sent_to, to_name="", subject=text.subject, text=text.text,
                 automatic=True, ticket=unit.db.get(Ticket, session.ticket_id), reference_id=request.id, language=request.language)


def _count_denials(unit: WriteUnit, session: RemoteSession, request: ConsentRequest, contact: Contact) -> None:
    if is_paused(asked_before(unit, request.contact_id, session.ticket_id).decisions, unit.now):
        tell_leads_of_denials(unit, session, contact)


def ask_question(unit: WriteUnit, token: str, *, question: str, name_given: str = "", address: str | None = None) -> None:
    """Write the approver's question on the ticket; the request stays open. Raises LinkUnknown, DecisionOver, InvalidInput."""
    text = many_lines(question, 2000)
    if not text:
        raise InvalidInput("Write your question.", field="question")
    opened = _lock_open(unit, token)
    if opened.request.questions >= MOST_QUESTIONS:
        raise Conflict("You have asked several questions already. Please wait for the answer, or call us.")
    opened.request.questions += 1
    contact = unit.db.get_one(Contact, opened.request.contact_id)
    actor = link_actor(opened, contact, address)
    session = opened.session
    record_event(unit, actor, session, "consent.asked", {"request": opened.request.id, "question": text, "name_given": name_given[:200]})
    write_line(unit, actor, session, "asked", ASKED, {"contact": actor.name, "question": one_line(text, 300)})
    add_entry(unit, actor, unit.db.get_one(Ticket, session.ticket_id), kind=EntryKind.MESSAGE, visibility=Visibility.CUSTOMER,
              medium=Medium.FORM, text=text, author_kind="contact", author_id=contact.id, author_name=actor.name,
              data={"session_id": session.id, "request_id": opened.request.id, "name_given": one_line(name_given, 200)})


def stop_by_link(unit: WriteUnit, token: str, *, address: str | None = None) -> RemoteSession:
    """Stop the session through any link of it; harmless in anybody's hands, and when the session is over already.

    Raises LinkUnknown, and Conflict for a request that waits for its answer (deny it instead).
    """
    found = open_link(unit, token)
    session = lock_session(unit, found.session.id)
    if session.state in FINAL_STATES:
        return session
    if session.state == SessionState.REQUESTED:
        raise Conflict("Nothing was allowed yet. Deny the request instead.")
    actor = link_actor(found, unit.db.get(Contact, found.request.contact_id), address)
    facts = replace(facts_of(unit, session), link_ids=list_link_ids(unit, session.id))
    if not may(actor, SessionAction.END, facts):
        raise Forbidden()
    return withdraw_consents(unit, actor, session, EndReason.LINK)


def withdraw_consents(unit: WriteUnit, actor: Actor, session: RemoteSession, reason: EndReason) -> RemoteSession:
    """Take back what was approved and end the session; for whoever may stop it on the customer's side."""
    unit.db.execute(update(Consent).where(
        Consent.session_id == session.id, Consent.decision == "approve", Consent.withdrawn_at.is_(None)).values(withdrawn_at=unit.now))
    record_event(unit, actor, session, "consent.withdrawn", {"reason": reason.value})
    ended = stop_session(unit, actor, session.id, reason)
    record_audit(unit, actor, "consent.withdrawn", subject=f"session {session.id}", ticket_number=session.ticket_number,
                 summary=f"{actor.name} stopped the session")
    return ended


def record_call_back(unit: WriteUnit, actor: Actor, request_id: str, *, person_name: str) -> ConsentRequest:
    """A lead rang the stored number of a shared mailbox and spoke with this person about this request.

    The lead may not lead the session. Raises Forbidden, NotFound, InvalidInput, Conflict (no stored number, not open).
    """
    actor.require(Right.APPROVERS_WRITE)
    request = unit.db.scalars(select(ConsentRequest).where(ConsentRequest.id == parse_id(request_id))).one_or_none()
    if request is None:
        raise NotFound()
    session = lock_session(unit, request.session_id)
    unit.db.refresh(request)
    if actor.user_id is None or actor.user_id == session.technician_id:
        raise Forbidden("Somebody else than the leading technician must call back.")
    contact = unit.db.get_one(Contact, request.contact_id)
    name = one_line(person_name, 200)
    if not name:
        raise InvalidInput("Write down with whom you spoke.", field="person_name")
    if not request.shared_mailbox or request.state != "open" or not contact.phone:
        raise Conflict("A call-back is for an open request to a shared mailbox with a stored number.")
    request.call_back_by_id, request.call_back_by_name = actor.user_id, actor.name
    request.call_back_name, request.call_back_at = name, unit.now
    record_event(unit, actor, session, "consent.called-back", {"request": request.id, "person": name, "number": contact.phone})
    record_audit(unit, actor, "consent.called-back", subject=f"session {session.id}", ticket_number=session.ticket_number,
                 summary=f"{actor.name} rang {contact.phone} and spoke with {name}")
    return request
