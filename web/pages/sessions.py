"""The page of a remote session, and the list of those that run.

Here: consent and time at a glance, terminal, commands on record, note, more, end. Replay is in ``replay.py``, drafting an article
in ``session_draft.py``; what flows through the terminal in ``web/sockets``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import Database, ReadUnit
from orchestrator.core.errors import AppError, Conflict, InvalidInput, Unavailable
from orchestrator.knowledge.suggest import KnownProblem, known_problems
from orchestrator.tickets.models import Ticket
from orchestrator.tickets.queries import get_ticket
from orchestrator.tickets.reply import write_note
from sessions.consent.queries import RequestNote, list_request_notes
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import FINAL_STATES, RemoteSession, SessionState
from sessions.lifecycle.policy import SessionAction, SessionFacts, may
from sessions.lifecycle.queries import facts_of, find_consent_in_force, get_session, list_channels, list_live
from sessions.lifecycle.reasons import SENTENCES
from sessions.lifecycle.service import cancel_session, end_session, request_more
from web.auth import CurrentUser
from web.deps import Parts, Reading, Writing
from web.forms import field_errors, status_for
from web.htmx import page, redirect
from web.middleware import CSP_TERMINAL
from web.pages.session_views import ChannelView, CommandView, short_name, view_channels, view_commands
from web.services import services_of

router = APIRouter(prefix="/sessions", include_in_schema=False)

FRAGMENTS = {"bar": "bar", "state": "state", "dialogs": "dialogs"}
Text = Annotated[str, Form(max_length=20_000)]


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Everything that ``sessions/show.html`` shows. ``can_*`` is what the reader may do now, in this state."""

    session: RemoteSession
    name: str
    ticket: Ticket | None
    endpoint: Endpoint
    approved_by: str
    method: str
    scopes: Sequence[str]
    end_reason: str
    seconds_left: int | None
    seconds_full: int
    notes: Sequence[RequestNote]
    channels: Sequence[ChannelView]
    commands: Sequence[CommandView]
    known: Sequence[KnownProblem]
    watchers: Sequence[str]
    is_running: bool
    can_control: bool
    can_watch: bool
    can_replay: bool
    can_end: bool
    can_ask_more: bool
    can_note: bool
    can_draft: bool
    more_open: bool
    values: dict[str, object] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    composing: str = ""


@dataclass(frozen=True, slots=True)
class LiveRow:
    session: RemoteSession
    name: str
    endpoint_name: str
    online: bool
    ends_at: datetime | None
    watchers: Sequence[str]
    can_open: bool
    can_watch: bool
    can_end: bool


@dataclass(frozen=True, slots=True)
class LivePage:
    rows: Sequence[LiveRow]


@router.get("", name="sessions:list")
def show_live(request: Request, unit: Reading, actor: CurrentUser) -> Response:
    """List what runs or waits, as far as the reader may see it."""
    actor.require(Right.SESSIONS_READ)
    rows = [_row(request, unit, actor, session) for session in list_live(unit, actor)]
    return page(request, "sessions/list.html", LivePage(rows), fragment="rows")


@router.get("/{session_id}", name="sessions:show")
def show_session(request: Request, unit: Reading, actor: CurrentUser, session_id: str, part: str = "") -> Response:
    """Show a session, or one live region of its page."""
    session = get_session(unit, actor, session_id)
    return _show(request, unit, actor, session, fragment=FRAGMENTS.get(part))


@router.post("/{session_id}/end", name="sessions:end")
def end(request: Request, unit: Writing, actor: CurrentUser, session_id: str, summary: Text = "", back: Text = "") -> Response:
    """End a session, or withdraw one that has not begun."""
    session = get_session(unit, actor, session_id)
    try:
        with unit.db.begin_nested():
            if session.state in (SessionState.REQUESTED, SessionState.APPROVED):
                cancel_session(unit, actor, session)
            else:
                end_session(unit, actor, session, summary=summary)
    except Conflict as error:
        return _again(request, unit, actor, session_id, "end", error, {"summary": summary})
    if back == "list":
        return redirect(request, request.app.url_path_for("sessions:list"), flash="The session is over.")
    return redirect(request, request.app.url_path_for("sessions:show", session_id=session_id), flash="The session is over.")


@router.post("/{session_id}/more", name="sessions:more")
def ask_more(request: Request, unit: Writing, actor: CurrentUser, services: Parts, session_id: str, minutes: Text = "", purpose: Text = "",
             scopes: Annotated[list[str] | None, Form(max_length=16)] = None) -> Response:
    """Ask the contact for more time or more rights while the session runs."""
    session = get_session(unit, actor, session_id)
    values: dict[str, object] = {"minutes": minutes, "purpose": purpose, "scopes": scopes or []}
    try:
        with unit.db.begin_nested():
            request_more(unit, actor, session, scopes=scopes or [], minutes=_whole(minutes), purpose=purpose, services=services)
    except (InvalidInput, Conflict) as error:
        return _again(request, unit, actor, session_id, "more", error, values)
    return redirect(request, request.app.url_path_for("sessions:show", session_id=session_id), flash="The question is on its way.")


@router.post("/{session_id}/note", name="sessions:note")
def note(request: Request, unit: Writing, actor: CurrentUser, session_id: str, text: Text = "") -> Response:
    """Keep a note on the ticket. Sent by the page in the background, so that the terminal stays."""
    session = get_session(unit, actor, session_id)
    ticket = get_ticket(unit, actor, session.ticket_id)
    try:
        with unit.db.begin_nested():
            write_note(unit, actor, ticket, text=text)
    except InvalidInput as error:
        return _again(request, unit, actor, session_id, "note", error, {"text": text})
    if request.headers.get("x-requested-with") == "fetch":
        return Response(status_code=204)
    return redirect(request, request.app.url_path_for("sessions:show", session_id=session_id), flash="The note is on the ticket.")


def _whole(text: str) -> int:
    stripped = text.strip()
    if not stripped.isdecimal() or len(stripped) > 5:
        raise InvalidInput("Write a whole number.", field="minutes")
    return int(stripped)


def _again(request: Request, unit: ReadUnit, actor: Actor, session_id: str, composing: str, error: AppError,
           values: dict[str, object]) -> Response:
    unit.db.expire_all()
    session = get_session(unit, actor, session_id)
    return _show(request, unit, actor, session, composing=composing, errors=field_errors(request, error), values=values,
                 status=status_for(error))


def _show(request: Request, unit: ReadUnit, actor: Actor, session: RemoteSession, *, fragment: str | None = None, composing: str = "",
          errors: dict[str, str] | None = None, values: dict[str, object] | None = None, status: int = 200) -> Response:
    shown = build_session_page(request, unit, actor, session, composing=composing, errors=errors or {}, values=values or {})
    return page(request, "sessions/show.html", shown, fragment=fragment, status=status, headers={"Content-Security-Policy": CSP_TERMINAL})


def build_session_page(request: Request, unit: ReadUnit, actor: Actor, session: RemoteSession, *, composing: str = "",
                       errors: dict[str, str] | None = None, values: dict[str, object] | None = None) -> SessionPage:
    """Read what the page shows."""
    services = services_of(request)
    facts = facts_of(unit, session)
    ticket = _find_ticket(unit, actor, session)
    consent = find_consent_in_force(unit, session)
    is_running = session.state in (SessionState.LIVE, SessionState.SUSPENDED, SessionState.PAUSED)
    notes = list_request_notes(unit, session, admin_asked="terminal.admin" in session.scopes)
    return SessionPage(
        session=session, name=short_name(session.id), ticket=ticket, endpoint=unit.db.get_one(Endpoint, session.endpoint_id),
        approved_by=consent[1].approver_name if consent else "", method=consent[1].method if consent else "",
        scopes=list(session.granted_scopes or session.scopes),
        end_reason=next((text for reason, text in SENTENCES.items() if reason == session.end_reason), ""),
        seconds_left=_seconds_left(session, unit.now) if is_running else None,
        seconds_full=session.granted_seconds or session.max_seconds, notes=notes, channels=view_channels(request, unit, session),
        commands=_commands(services.record_database, unit, session), known=known_problems(unit, actor, ticket, limit=3) if ticket else (),
        watchers=services.live.watchers(session.id) if is_running else (), is_running=is_running,
        can_control=(is_running or session.state == SessionState.APPROVED) and may(actor, SessionAction.OPEN_CHANNEL, facts),
        can_watch=is_running and may(actor, SessionAction.WATCH, facts),
        can_replay=session.started_at is not None and may(actor, SessionAction.REPLAY, facts),
        can_end=session.state not in FINAL_STATES and may(actor, SessionAction.END, facts),
        can_ask_more=_can_ask_more(actor, facts), can_note=ticket is not None and actor.may(Right.TICKETS_WRITE),
        can_draft=session.started_at is not None and actor.may(Right.ARTICLES_WRITE) and may(actor, SessionAction.REPLAY, facts),
        more_open=any(one.request.follow_up and one.request.state == "open" for one in notes),
        values={"summary": "", "minutes": "", "purpose": "", "scopes": list(session.granted_scopes or []), "text": "", **(values or {})},
        errors=errors or {}, composing=composing,
    )


def _commands(records: Database, unit: ReadUnit, session: RemoteSession) -> Sequence[CommandView]:
    if session.started_at is None:
        return ()
    try:
        return view_commands(records, session.id, list_channels(unit, session))
    except Unavailable:
        return ()


def _can_ask_more(actor: Actor, facts: SessionFacts) -> bool:
    return facts.state in (SessionState.LIVE, SessionState.SUSPENDED) and may(actor, SessionAction.ASK_MORE, facts)


def _find_ticket(unit: ReadUnit, actor: Actor, session: RemoteSession) -> Ticket | None:
    """An administrator sees sessions without their tickets."""
    try:
        return get_ticket(unit, actor, session.ticket_id)
    except AppError:
        return None


def _seconds_left(session: RemoteSession, now: datetime) -> int | None:
    return max(0, int((session.ends_at - now).total_seconds())) if session.ends_at is not None else None


def _row(request: Request, unit: ReadUnit, actor: Actor, session: RemoteSession) -> LiveRow:
    facts = facts_of(unit, session)
    endpoint = unit.db.get_one(Endpoint, session.endpoint_id)
    is_running = session.state in (SessionState.LIVE, SessionState.SUSPENDED, SessionState.PAUSED)
    return LiveRow(
        session=session, name=short_name(session.id), endpoint_name=endpoint.name, online=endpoint.online,
        ends_at=session.ends_at if is_running else None, watchers=services_of(request).live.watchers(session.id),
        can_open=may(actor, SessionAction.OPEN_CHANNEL, facts), can_watch=is_running and may(actor, SessionAction.WATCH, facts),
        can_end=may(actor, SessionAction.END, facts),
    )
