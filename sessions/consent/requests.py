"""Asking an approver: the signed request, its link, its mail. The rules are in ``policy.py``, the answer in ``service.py``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from agents.protocol.grants import DOCUMENT_VERSION, Recording, Request
from agents.protocol.messages import ConsentPlace, HostClass
from agents.protocol.scopes import covers
from agents.protocol.signatures import hash_document
from orchestrator.accounts.actor import Actor
from orchestrator.accounts.desk import read_desk_facts
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import Conflict, Forbidden
from orchestrator.core.i18n import translator
from orchestrator.core.ids import new_id, parse_id
from orchestrator.customers.models import Contact, Organisation
from orchestrator.customers.policy import Rested, UsableRight
from orchestrator.customers.queries import language_of, usable_approver_rights
from orchestrator.notifications.outbox import enqueue_mail
from orchestrator.tickets.models import Ticket
from sessions.consent.links import make_link
from sessions.consent.mails import write_question
from sessions.consent.models import ConsentLink, ConsentRequest
from sessions.consent.policy import CLOCK_IS_OFF_SECONDS, AskedBefore, check_rates
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import RemoteSession
from sessions.ports import SessionServices

_RULE = "The rule that the giver of the right does not lead the session rested: "
_RESTED = {
    Rested.SINGLE_PERSON: _RULE + "fewer than two people hold lead or administrator.",
    Rested.ONE_TICKET: _RULE + "the right is for this one ticket, with a reason.",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked, checked already. ``administrator``: the OS user may become root."""

    purpose: str
    scopes: tuple[str, ...]
    os_user: str
    administrator: bool
    minutes: int
    start_within_minutes: int


class NoApprover(Conflict):
    """The contact may not approve this."""

    code = "no_approver"


def find_right(unit: ReadUnit, contact: Contact, *, ticket_id: str, scopes: tuple[str, ...], leader_id: str) -> UsableRight | None:
    """Return the right under which this contact may approve this for this leading technician, or None."""
    rights = usable_approver_rights(unit, contact, ticket_id=ticket_id, scopes=scopes, leader_id=leader_id,
                                    covers=lambda given, asked: covers([given], asked))
    return rights[0] if rights else None


def hold_contact(unit: WriteUnit, contact_id: str | None) -> None:
    """Hold a contact's row until the transaction ends; before any ticket or session is held. An unknown one is found later."""
    if contact_id is not None:
        unit.db.execute(select(Contact.id).where(Contact.id == parse_id(contact_id)).with_for_update(key_share=True))


def asked_before(unit: ReadUnit, contact_id: str, ticket_id: str) -> AskedBefore:
    """Count what was asked of an approver lately."""
    open_mails = unit.db.scalar(select(func.count()).select_from(ConsentRequest).where(
        ConsentRequest.contact_id == contact_id, ConsentRequest.state == "open", ConsentRequest.expires_at > unit.now)) or 0
    mails = unit.db.scalar(
        select(func.count()).select_from(ConsentLink).join(ConsentRequest, ConsentRequest.id == ConsentLink.request_id).where(
            ConsentRequest.contact_id == contact_id, ConsentLink.created_at > unit.now - timedelta(hours=1))) or 0
    decided = unit.db.execute(
        select(ConsentRequest.state, ConsentRequest.decided_at)
        .join(RemoteSession, RemoteSession.id == ConsentRequest.session_id)
        .where(ConsentRequest.contact_id == contact_id, RemoteSession.ticket_id == ticket_id,
               ConsentRequest.state.in_(("approved", "denied")))
        .order_by(ConsentRequest.decided_at.desc(), ConsentRequest.id.desc()).limit(2)
    ).all()
    return AskedBefore(open_mails, mails, [
        ("deny" if state == "denied" else "approve", decided_at) for state, decided_at in decided if decided_at is not None])


def ask_approver(unit: WriteUnit, actor: Actor, session: RemoteSession, contact: Contact, wish: Wish, *, follow_up: bool,
                 services: SessionServices) -> ConsentRequest:
    """Sign the request, make its link and put the mail into the outbox.

    Call ``hold_contact`` first, so that the rates hold for requests made at once. Raises NoApprover and TooManyRequests.
    """
    usable = find_right(unit, contact, ticket_id=session.ticket_id, scopes=wish.scopes, leader_id=session.technician_id)
    if usable is None or contact.email is None or contact.organisation_id != session.organisation_id:
        raise NoApprover("{name} may not approve this: a right for these scopes, a usable address, and somebody else than the leading "
                         "technician who gave the right are needed.", name=contact.name)
    check_rates(asked_before(unit, contact.id, session.ticket_id), unit.now)
    expires_at = unit.now + timedelta(minutes=services.settings.consent_link_minutes)
    request_id = new_id()
    document = _word_request(unit, request_id, session, contact, wish, services, expires_at)
    token = services.keys.sign_request(document)
    organisation = unit.db.get(Organisation, contact.organisation_id)
    request = ConsentRequest(
        id=request_id, session_id=session.id, contact_id=contact.id, approver_right_id=usable.right.id, method="link",
        follow_up=follow_up, state="open", request_jws=token, request_hash=hash_document(token), sent_to=contact.email,
        shared_mailbox=contact.shared_mailbox, rule_rested=_RESTED[usable.rested] if usable.rested else "",
        language=language_of(contact, organisation, unit.db.get_one(Ticket, session.ticket_id).language, services.settings),
        expires_at=expires_at, created_at=unit.now,
    )
    unit.db.add(request)
    unit.db.flush()
    send_question(unit, request, document, session, contact, services)
    return request


def _word_request(unit: ReadUnit, request_id: str, session: RemoteSession, contact: Contact, wish: Wish, services: SessionServices,
                  expires_at: datetime) -> Request:
    endpoint = unit.db.get_one(Endpoint, session.endpoint_id)
    organisation = unit.db.get_one(Organisation, session.organisation_id)
    ticket = unit.db.get_one(Ticket, session.ticket_id)
    keys = services.keys
    approver = f"holder of {contact.email}" if contact.shared_mailbox else f"{contact.name} <{contact.email}>"
    return Request(
        version=DOCUMENT_VERSION, request_id=request_id, session_id=session.id, server_instance=keys.instance_id, epoch=keys.epoch,
        audience=endpoint.fingerprint, endpoint_id=endpoint.id, endpoint_name=one_line(endpoint.name, 200),
        endpoint_class=HostClass(endpoint.endpoint_class or "server"), protected=endpoint.protected,
        consent=ConsentPlace(endpoint.consent_mode), organisation=one_line(organisation.name, 200),
        desk=one_line(read_desk_facts(unit).mail_name, 200), ticket=ticket.number, ticket_subject=one_line(ticket.subject, 500),
        technician=one_line(session.technician_name, 200), approver=one_line(approver, 500), purpose=many_lines(wish.purpose, 4000),
        scopes=wish.scopes, user=wish.os_user, administrator=wish.administrator, minutes=wish.minutes, recording=Recording.FULL,
        start_within_minutes=wish.start_within_minutes, clock_is_off=abs(endpoint.clock_offset_seconds) > CLOCK_IS_OFF_SECONDS,
        issued_at=unit.now, expires_at=expires_at,
    )


def send_question(unit: WriteUnit, request: ConsentRequest, document: Request, session: RemoteSession, contact: Contact,
                  services: SessionServices) -> ConsentLink:
    """Make a link and put the mail that carries it into the outbox."""
    link, token = make_link(unit, request.id, decision_until=request.expires_at)
    text = write_question(document, zone=services.settings.time_zone, words=translator(request.language), follow_up=request.follow_up)
    enqueue_mail(
        unit, purpose="consent.request", to_address=request.sent_to, to_name="" if contact.shared_mailbox else contact.name,
        subject=text.subject, text=text.text, automatic=False, ticket=unit.db.get_one(Ticket, session.ticket_id),
        reference_id=request.id, secret_values={"link": services.links.consent(token)}, language=request.language,
        not_after=request.expires_at,
    )
    return link


def send_again(unit: WriteUnit, actor: Actor, request_id: str, *, services: SessionServices) -> ConsentLink:
    """Mail an open request once more with a new link (the old one was burned or lost); the old links stop deciding.

    Only the leading technician may. Raises Forbidden, Conflict, TooManyRequests, NoApprover.
    """
    request = unit.db.get(ConsentRequest, parse_id(request_id))
    session = unit.db.get(RemoteSession, request.session_id) if request is not None else None
    if request is None or session is None or actor.user_id is None or actor.user_id != session.technician_id:
        raise Forbidden()
    hold_contact(unit, request.contact_id)
    unit.db.refresh(request, with_for_update={"key_share": True})
    if request.state != "open" or request.expires_at <= unit.now:
        raise Conflict("This request is not open any more; ask anew.")
    contact = unit.db.get_one(Contact, request.contact_id)
    before = asked_before(unit, contact.id, session.ticket_id)
    check_rates(AskedBefore(max(before.open_mails - 1, 0), before.mails_within_hour, before.decisions), unit.now)
    document = services.keys.read_request(request.request_jws)
    usable = find_right(unit, contact, ticket_id=session.ticket_id, scopes=document.scopes, leader_id=session.technician_id)
    if usable is None or contact.email != request.sent_to:
        raise NoApprover("{name} may not approve this any more.", name=contact.name)
    for link in unit.db.scalars(select(ConsentLink).where(ConsentLink.request_id == request.id, ConsentLink.burned_at.is_(None))):
        link.burned_at = unit.now
    return send_question(unit, request, document, session, contact, services)


def one_line(text: str, longest: int) -> str:
    """Make one clean line for a signed document: text from strangers may hold anything."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())[:longest]


def many_lines(text: str, longest: int) -> str:
    """Clean a text of several lines for a signed document."""
    return "\n".join(one_line(line, longest) for line in text.splitlines()).strip()[:longest]
