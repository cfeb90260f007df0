"""/contacts: people at customers, and their right to approve remote access."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from orchestrator.customers.approvers import end_approver, set_approver
from orchestrator.customers.queries import get_contact, list_contacts
from orchestrator.customers.service import create_contact
from orchestrator.tickets.queries import get_ticket
from web.api.idempotency import KeyHeader, answer_once
from web.api.shapes import ApproverShape, ContactShape, Cursor, Limit, NewApprover, NewContact, Page
from web.auth import CurrentUser
from web.deps import Reading, Writing

router = APIRouter(prefix="/contacts", tags=["customers"])


@router.get("", name="api:contacts", response_model=Page[ContactShape])
def list_all(unit: Reading, actor: CurrentUser, query: Annotated[str, Query(max_length=200)] = "",
             organisation_id: Annotated[str | None, Query(max_length=40)] = None, cursor: Cursor = None, limit: Limit = 50) -> Page[ContactShape]:
    page = list_contacts(unit, actor, query=query, organisation_id=organisation_id, cursor=cursor, limit=limit)
    return Page(items=[ContactShape.model_validate(row.contact) for row in page.items], next=page.next)


@router.post("", name="api:contacts-create", status_code=201, response_model=ContactShape)
def create(request: Request, unit: Writing, actor: CurrentUser, body: NewContact, key: KeyHeader = None) -> Response:
    def make() -> ContactShape:
        return ContactShape.model_validate(create_contact(
            unit, actor, name=body.name, email=body.email, phone=body.phone, organisation_id=body.organisation_id, language=body.language,
            shared_mailbox=body.shared_mailbox))

    return answer_once(unit, actor, request, key, body, make)


@router.get("/{contact_id}", name="api:contact", response_model=ContactShape)
def show(unit: Reading, actor: CurrentUser, contact_id: str) -> ContactShape:
    return ContactShape.model_validate(get_contact(unit, actor, contact_id))


@router.post("/{contact_id}/approver", name="api:contact-approver", status_code=201, response_model=ApproverShape)
def give_right(request: Request, unit: Writing, actor: CurrentUser, contact_id: str, body: NewApprover, key: KeyHeader = None) -> Response:
    """Give the right to approve; for leads and administrators."""

    def make() -> ApproverShape:
        ticket_id = get_ticket(unit, actor, body.ticket).id if body.ticket else None
        return ApproverShape.model_validate(set_approver(unit, actor, contact_id, scopes=body.scopes, until=body.until, ticket_id=ticket_id,
                                                         reason=body.reason))

    return answer_once(unit, actor, request, key, body, make)


@router.delete("/{contact_id}/approver/{right_id}", name="api:contact-approver-end", status_code=204)
def take_right(unit: Writing, actor: CurrentUser, contact_id: str, right_id: str) -> Response:
    end_approver(unit, actor, right_id)
    return Response(status_code=204)
