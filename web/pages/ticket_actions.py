"""What a technician does on a ticket's page: reply, note, status, assignment, queue, priority, following.

Each is a plain form: on success a redirect to the page, on error the page with the text still there or the error's own page.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, File, Form, Request, UploadFile
from starlette.responses import Response

from orchestrator.accounts.actor import Right
from orchestrator.core.errors import AppError, Conflict, InvalidInput
from orchestrator.knowledge.service import note_use
from orchestrator.tickets.assign import assign_ticket, follow_ticket, move_ticket
from orchestrator.tickets.blobs import NewAttachment
from orchestrator.tickets.classification import set_priority
from orchestrator.tickets.models import Level, Status
from orchestrator.tickets.queries import get_ticket
from orchestrator.tickets.reply import reply_to_customer, write_note
from orchestrator.tickets.status import change_status
from web.auth import CurrentUser
from web.deps import Parts, Writing
from web.forms import field_errors, status_for
from web.htmx import redirect
from web.moments import find_zone
from web.pages.ticket import Composing, reread

router = APIRouter(prefix="/tickets/{number}", include_in_schema=False)


def _back(request: Request, number: str, *, flash: str = "", anchor: str = "") -> Response:
    return redirect(request, request.app.url_path_for("tickets:show", number=number) + anchor, flash=flash)


@router.post("/reply", name="tickets:reply")
def reply(request: Request, parts: Parts, actor: CurrentUser, number: str, text: Annotated[str, Form()] = "",
          cc: Annotated[str, Form()] = "", then: Annotated[str, Form()] = "", seen_seq: Annotated[int | None, Form()] = None,
          files: Annotated[list[UploadFile] | None, File()] = None) -> Response:
    """Send a reply; the status may change with it. What others wrote meanwhile is shown first."""
    attachments = [NewAttachment(name=file.filename or "", media_type=file.content_type or "", data=file.file.read())
                   for file in files or () if file.filename]
    copies = [part.strip() for part in cc.replace(";", ",").split(",") if part.strip()]
    try:
        with parts.database.write() as unit:
            ticket = get_ticket(unit, actor, number)
            entry = reply_to_customer(unit, actor, ticket, text=text, cc=copies, attachments=attachments, seen_seq=seen_seq)
            if then in (Status.WAITING_CUSTOMER, Status.RESOLVED) and ticket.status != then:
                change_status(unit, actor, ticket, Status(then), tell=False)
    except (InvalidInput, Conflict) as error:
        return _again(request, parts, actor, number, Composing("reply", text, cc, then), error)
    return _back(request, number, flash="The reply is on its way.", anchor=f"#entry-{entry.id}")


@router.post("/note", name="tickets:note")
def note(request: Request, parts: Parts, actor: CurrentUser, number: str, text: Annotated[str, Form()] = "") -> Response:
    try:
        with parts.database.write() as unit:
            entry = write_note(unit, actor, get_ticket(unit, actor, number), text=text)
    except InvalidInput as error:
        return _again(request, parts, actor, number, Composing("note", text), error)
    return _back(request, number, flash="The note is kept.", anchor=f"#entry-{entry.id}")


def _again(request: Request, parts: Parts, actor: CurrentUser, number: str, composing: Composing, error: AppError) -> Response:
    errors = field_errors(request, error, names={"email": "cc", "to": "cc"})
    return reread(request, parts, actor, number, Composing(composing.panel, composing.text, composing.cc, composing.then, errors),
                  status=status_for(error))


@router.post("/status", name="tickets:status")
def set_status(request: Request, unit: Writing, actor: CurrentUser, number: str, status: Annotated[str, Form()] = "",
               at_once: Annotated[str, Form()] = "", wait_until: Annotated[str, Form()] = "") -> Response:
    """Change the status; `at_once` is the button that resolves. A time to wait until is in the reader's zone."""
    actor.require(Right.TICKETS_WRITE)
    ticket = get_ticket(unit, actor, number)
    wanted = at_once or status
    if wanted not in list(Status):
        raise InvalidInput("There is no such status.", field="status")
    if wanted == ticket.status and not wait_until:
        return _back(request, number)
    change_status(unit, actor, ticket, Status(wanted), wait_until=_moment(wait_until, actor.time_zone))
    return _back(request, number, flash="The ticket is resolved." if wanted == Status.RESOLVED else "The status is changed.")


def _moment(text: str, time_zone: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        moment = datetime.fromisoformat(text.strip()[:32])
    except ValueError as exc:
        raise InvalidInput("This is not a date and time.", field="wait_until") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=find_zone(time_zone))


@router.post("/assign", name="tickets:assign")
def assign(request: Request, unit: Writing, actor: CurrentUser, number: str, user: Annotated[str, Form()] = "") -> Response:
    assign_ticket(unit, actor, get_ticket(unit, actor, number), user or None)
    return _back(request, number, flash="It is yours now." if user == actor.id else "The ticket is handed over.")


@router.post("/queue", name="tickets:move")
def move(request: Request, unit: Writing, actor: CurrentUser, number: str, queue: Annotated[str, Form()] = "") -> Response:
    ticket = move_ticket(unit, actor, get_ticket(unit, actor, number), queue)
    if not (actor.may(Right.ALL_QUEUES) or ticket.queue_id in actor.queue_ids or ticket.assignee_id == actor.id):
        return redirect(request, request.app.url_path_for("board:show"), flash="The ticket is moved to another queue.")
    return _back(request, number, flash="The ticket is moved to another queue.")


@router.post("/priority", name="tickets:priority")
def prioritise(request: Request, unit: Writing, actor: CurrentUser, number: str, impact: Annotated[str, Form()] = "",
               urgency: Annotated[str, Form()] = "", priority: Annotated[str, Form()] = "",
               reason: Annotated[str, Form()] = "") -> Response:
    if impact not in list(Level) or urgency not in list(Level):
        raise InvalidInput("Choose impact and urgency.", field="impact")
    ticket = get_ticket(unit, actor, number)
    by_hand = int(priority) if priority.isdecimal() and len(priority) == 1 else None
    set_priority(unit, actor, ticket, impact=Level(impact), urgency=Level(urgency), priority=by_hand, reason=reason)
    return _back(request, number, flash="The priority is set.")


@router.post("/follow", name="tickets:follow")
def follow(request: Request, unit: Writing, actor: CurrentUser, number: str, follow: Annotated[str, Form()] = "yes") -> Response:
    follow_ticket(unit, actor, get_ticket(unit, actor, number), follow=follow == "yes")
    return _back(request, number, flash="You follow this ticket." if follow == "yes" else "You do not follow this ticket any more.")


@router.post("/helped", name="tickets:helped")
def note_helped(request: Request, unit: Writing, actor: CurrentUser, number: str, article_id: Annotated[str, Form()] = "",
                helped: Annotated[str, Form()] = "yes") -> Response:
    """Note that an article solved this ticket: the next one like it sees that."""
    ticket = get_ticket(unit, actor, number)
    note_use(unit, actor, article_id, ticket.id, helped=helped == "yes")
    return _back(request, number, flash="Noted: the article helped here.")
