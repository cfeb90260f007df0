"""What a technician or a lead does about an open request: mail it again, write down a call-back. Shown on the session's page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import NotFound
from sessions.consent.requests import send_again
from sessions.consent.service import record_call_back
from sessions.lifecycle.models import RemoteSession
from sessions.lifecycle.queries import get_session, list_requests
from web.auth import CurrentUser
from web.deps import Parts, Writing
from web.htmx import redirect

router = APIRouter(include_in_schema=False)


@router.post("/sessions/{session_id}/requests/{request_id}/send-again", name="requests:send-again")
def mail_again(request: Request, unit: Writing, parts: Parts, actor: CurrentUser, session_id: str, request_id: str) -> Response:
    """Mail the question once more with a new link; the earlier links decide nothing any more."""
    session = get_session(unit, actor, session_id)
    send_again(unit, actor, _own(unit, session, request_id), services=parts)
    return redirect(request, request.app.url_path_for("sessions:show", session_id=session.id), flash="The request is mailed again.")


@router.post("/sessions/{session_id}/requests/{request_id}/call-back", name="requests:call-back")
def write_call_back(request: Request, unit: Writing, actor: CurrentUser, session_id: str, request_id: str,
                    person_name: Annotated[str, Form(max_length=200)] = "") -> Response:
    """A lead rang the stored number of a shared mailbox."""
    session = get_session(unit, actor, session_id)
    record_call_back(unit, actor, _own(unit, session, request_id), person_name=person_name)
    return redirect(request, request.app.url_path_for("sessions:show", session_id=session.id), flash="The call-back is on record.")


def _own(unit: ReadUnit, session: RemoteSession, request_id: str) -> str:
    if request_id not in {row.id for row in list_requests(unit, session)}:
        raise NotFound()
    return request_id
