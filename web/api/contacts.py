"""/contacts: people at customers, and their right to approve remote access."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Right
from orchestrator.core.errors import NotFound
from orchestrator.core.ids import parse_id
from orchestrator.customers.approvers import end_approver, lock_contact, set_approver
from orchestrator.customers.changes import change_contact, mark_left
from orchestrator.customers.queries import get_contact, list_approver_rights, list_contacts
from orchestrator.customers.service import create_contact
from orchestrator.tickets.queries import get_ticket
from web.api.conditions import IfMatch, check_if_match, set_etag
from web.api.idempotency import KeyHeader, answer_once
from web.api.paging import cut_page
from web.api.shapes.base import Cursor, Filter, Limit, Page
from web.api.shapes.customers import ApproverShape, ContactChange, ContactShape, NewApprover, NewContact
from web.auth import CurrentUser
from web.deps import Reading, Writing

router = APIRouter(prefix="/contacts", tags=["customers"])

REMOVABLE = ("email", "phone", "organisation_id", "language")


@router.get("", name="api:contacts", response_model=Page[ContactShape])
def list_all(unit: Reading, actor: CurrentUser, query: Filter = None, organisation_id: Filter = None, cursor: Cursor = None,
             limit: Limit = 50) -> Page[ContactShape]:
    """List contacts by name; ``query`` looks in name, address, number and organisation."""
    page = list_contacts(unit, actor, query=query or "", organisation_id=organisation_id, cursor=cursor, limit=limit)
    return Page(items=[ContactShape.model_validate(row.contact) for row in page.items], next=page.next)


@router.post("", name="api:contacts-create", status_code=201, response_model=ContactShape)
def create(request: Request, unit: Writing, actor: CurrentUser, body: NewContact, key: KeyHeader = None) -> Response:
    """Enter a contact."""

    def make() -> ContactShape:
        return ContactShape.model_validate(create_contact(
            unit, actor, name=body.name, email=body.email, phone=body.phone, organisation_id=body.organisation_id, language=body.language,
            shared_mailbox=body.shared_mailbox))

    return answer_once(unit, actor, request, key, body, make)


@router.get("/{contact_id}", name="api:contact", response_model=ContactShape)
def show(unit: Reading, actor: CurrentUser, contact_id: str, response: Response) -> ContactShape:
    """Read a contact."""
    contact = get_contact(unit, actor, contact_id)
    set_etag(response, contact.version)
    return ContactShape.model_validate(contact)


@router.patch("/{contact_id}", name="api:contact-change", response_model=ContactShape)
def change(unit: Writing, actor: CurrentUser, contact_id: str, body: ContactChange, response: Response, if_match: IfMatch = None) -> ContactShape:
    """Change a contact; with ``If-Match`` only if nobody changed it in between."""
    actor.require(Right.CUSTOMERS_WRITE)
    contact = lock_contact(unit, get_contact(unit, actor, contact_id).id)
    check_if_match(if_match, contact.version)
    removed = {name: "" for name in REMOVABLE if name in body.model_fields_set and getattr(body, name) is None}
    given: dict[str, Any] = body.model_dump(exclude_none=True, exclude={"left"}) | removed
    contact = change_contact(unit, actor, contact.id, **given)
    if body.left is not None:
        contact = mark_left(unit, actor, contact.id, left=body.left)
    set_etag(response, contact.version)
    return ContactShape.model_validate(contact)


@router.get("/{contact_id}/approver", name="api:contact-approver-rights", response_model=Page[ApproverShape])
def list_rights(unit: Reading, actor: CurrentUser, contact_id: str, cursor: Cursor = None, limit: Limit = 50) -> Page[ApproverShape]:
    """List the rights to approve that a contact ever had, the newest first."""
    rows, following = cut_page(list_approver_rights(unit, get_contact(unit, actor, contact_id).id), lambda right: right.id, cursor, limit)
    return Page(items=[ApproverShape.model_validate(row) for row in rows], next=following)


@router.post("/{contact_id}/approver", name="api:contact-approver", status_code=201, response_model=ApproverShape)
def give_right(request: Request, unit: Writing, actor: CurrentUser, contact_id: str, body: NewApprover, key: KeyHeader = None) -> Response:
    """Give the right to approve, in general or for one ticket; for leads and administrators."""

    def make() -> ApproverShape:
        actor.require(Right.APPROVERS_WRITE)
        ticket_id = get_ticket(unit, actor, body.ticket).id if body.ticket else None
        return ApproverShape.model_validate(set_approver(unit, actor, contact_id, scopes=body.scopes, until=body.until, ticket_id=ticket_id,
                                                         reason=body.reason))

    return answer_once(unit, actor, request, key, body, make)


@router.delete("/{contact_id}/approver/{right_id}", name="api:contact-approver-end", status_code=204)
def take_right(unit: Writing, actor: CurrentUser, contact_id: str, right_id: str) -> Response:
    """End a right to approve; what hangs on it ends with it."""
    actor.require(Right.APPROVERS_WRITE)
    if parse_id(right_id) not in {right.id for right in list_approver_rights(unit, parse_id(contact_id))}:
        raise NotFound()
    end_approver(unit, actor, right_id)
    return Response(status_code=204)
