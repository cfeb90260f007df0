"""The customer's side of a remote session: answer a request, see its state, stop it, fetch the receipt, watch, replay.

Phone first, no JavaScript needed to decide, no cookie needed but for watching. A GET changes nothing but the note that
the link was fetched. The form's own token stands in for a login's; what may be decided is in ``sessions/consent``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from agents.protocol.grants import Request as AskedRequest
from orchestrator.audit.service import record_audit
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import AppError, Forbidden, NotFound, Unavailable
from orchestrator.core.i18n import Translator, _, translator
from orchestrator.customers.models import Contact
from sessions.consent.links import OpenedLink, is_form_token, note_fetch, open_link
from sessions.consent.service import Answer, ask_question, decide, stop_by_link
from sessions.consent.viewers import cookie_name, is_viewer, mail_code, use_code, viewer_actor
from sessions.consent.wording import describe_not_asked, describe_notice, describe_recording, describe_scope, describe_warnings
from sessions.lifecycle.models import RemoteSession, SessionState
from sessions.lifecycle.queries import list_channels
from web.auth import address_of
from web.casts import cast_response, find_channel
from web.deps import Parts, Reading, Writing
from web.forms import say, status_for
from web.htmx import page
from web.middleware import CSP_TERMINAL
from web.pages.receipts import ReceiptPage, find_receipt, receipt_page
from web.security import set_cookie
from web.services import services_of

log = structlog.get_logger(__name__)
router = APIRouter(include_in_schema=False)

_HEADERS = {"Referrer-Policy": "same-origin", "Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}
_STOPPABLE = (SessionState.APPROVED, SessionState.LIVE, SessionState.SUSPENDED, SessionState.PAUSED)
_RUNNING = (SessionState.LIVE, SessionState.SUSPENDED, SessionState.PAUSED)
Text = Annotated[str, Form(max_length=4000)]


class ForeignAnswer(Forbidden):
    """The answer did not come from the page of this link."""

    code = "foreign_answer"

    def __init__(self) -> None:
        super().__init__(_("This answer does not come from the page behind your link. Open the link in the mail again."))


@dataclass(frozen=True, slots=True)
class QuestionPage:
    """The question: every word of it comes from the signed request. ``blocked`` says why it can no longer be answered here."""

    token: str
    asked: AskedRequest
    form_token: str
    scopes: list[tuple[str, str]]
    not_asked: str
    recording: str
    warnings: list[str]
    notice: list[str]
    shared_mailbox: bool
    call_back_missing: bool
    follow_up: bool
    expires_at: datetime
    is_open: bool
    question_sent: bool
    values: dict[str, object]
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatePage:
    """What became of it, and *stop*: harmless in anybody's hands."""

    token: str
    asked: AskedRequest
    form_token: str
    session: RemoteSession
    request_state: str
    answer: str
    follow_up: bool
    can_stop: bool
    can_watch: bool
    can_replay: bool
    has_receipt: bool
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CodePage:
    """Asks for the six digits before watch, replay or receipt in another browser."""

    token: str
    goal: str
    sent: bool
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ViewPage:
    """Watch or replay: each channel with the addresses that its script needs."""

    token: str
    session: RemoteSession
    asked: AskedRequest
    form_token: str
    can_stop: bool
    channels: list[ViewedChannel]


@dataclass(frozen=True, slots=True)
class ViewedChannel:
    number: int
    kind: str
    columns: int
    rows: int
    is_open: bool
    opened_at: datetime
    watch_url: str
    cast_url: str


@router.get("/consent/{token}", name="consent:show")
def show_consent(request: Request, unit: Reading, token: str, asked: str = "") -> Response:
    """Show the question while it is open, else the state."""
    opened = _open(request, unit, token)
    if opened.request.fetched_at is None:
        _note_fetch(request, opened, token)
    return _show(request, unit, opened, token, question_sent=asked == "1")


@router.post("/consent/{token}", name="consent:answer")
def answer_consent(
    request: Request, unit: Writing, services: Parts, token: str, form_token: Text = "", decision: Text = "",
    scope: Annotated[list[str] | None, Form(max_length=32)] = None, narrowing: Text = "", minutes: Text = "", name: Text = "",
    question: Text = "", reason: Text = "", clock_is_wrong: Text = "",
) -> Response:
    """Approve, deny, ask or stop. A refused answer shows the page again with the reason and decides nothing."""
    _refuse_foreign_origin(request)
    opened = _open(request, unit, token)
    if not is_form_token(opened, form_token):
        raise ForeignAnswer()
    address = address_of(request) or None
    try:
        with unit.db.begin_nested():
            match decision:
                case "approve" | "deny":
                    # ``narrowing`` comes with the boxes: none ticked is no permission at all, never "as asked".
                    answer = Answer(
                        approve=decision == "approve", scopes=scope or (() if narrowing else None), minutes=_whole(minutes),
                        name_given=name, reason=reason, clock_is_wrong=clock_is_wrong == "yes", address=address)
                    decided = decide(unit, token, answer, services=services)
                    response = _back(request, token)
                    set_cookie(response, cookie_name(opened.link), decided.cookie_secret)
                    return response
                case "ask":
                    ask_question(unit, token, question=question, name_given=name, address=address)
                    return _back(request, token, "?asked=1")
                case "stop":
                    stop_by_link(unit, token, address=address)
                    return _back(request, token)
                case _:
                    raise NotFound()
    except (NotFound, Unavailable):
        raise
    except AppError as error:
        unit.db.expire_all()
        values: dict[str, object] = {"scope": scope, "minutes": minutes, "name": name, "question": question, "reason": reason}
        field_name = getattr(error, "field", None) or ""
        return _show(request, unit, open_link(unit, token), token, errors={field_name: say(request, error)}, values=values,
                     status=status_for(error))


@router.post("/consent/{token}/code", name="consent:code")
def send_code(request: Request, unit: Writing, services: Parts, token: str, goal: Text = "watch") -> Response:
    """Mail six digits to the stored address."""
    _refuse_foreign_origin(request)
    opened = _open(request, unit, token)
    goal = goal if goal in ("watch", "replay", "receipt") else "watch"
    try:
        mail_code(unit, token, services=services)
    except AppError as error:
        return _ask_code(request, opened, token, goal, errors={"": say(request, error)}, status=status_for(error))
    return _ask_code(request, opened, token, goal, sent=True)


@router.get("/consent/{token}/receipt", name="consent:receipt")
def show_receipt(request: Request, unit: Reading, token: str) -> Response:
    opened = _open(request, unit, token)
    if not is_viewer(unit, opened, request.cookies):
        return _ask_code(request, opened, token, "receipt")
    return _receipt(request, unit, opened, token)


@router.post("/consent/{token}/receipt", name="consent:receipt-by-code")
def show_receipt_by_code(request: Request, unit: Writing, services: Parts, token: str, code: Text = "") -> Response:
    """Show the receipt to a browser that typed the code; works with cookies blocked."""
    return _enter_by_code(request, unit, services, token, "receipt", code)


@router.get("/consent/{token}/receipt.jws", name="consent:receipt-file")
def download_receipt(request: Request, unit: Reading, token: str) -> Response:
    """The signed receipt itself, as it verifies."""
    opened = _open(request, unit, token)
    if not is_viewer(unit, opened, request.cookies):
        return _ask_code(request, opened, token, "receipt")
    found = find_receipt(unit, opened)
    name = f"receipt-{opened.session.ticket_number}-{found.id}.jws"
    return Response(found.receipt_jws + "\n", media_type="application/jose",
                    headers={**_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'})


@router.get("/consent/{token}/receipt.json", name="consent:receipt-fields")
def download_receipt_fields(request: Request, unit: Reading, services: Parts, token: str) -> Response:
    """The receipt's fields, readable; the signed form is the one that counts."""
    opened = _open(request, unit, token)
    if not is_viewer(unit, opened, request.cookies):
        return _ask_code(request, opened, token, "receipt")
    found = find_receipt(unit, opened)
    name = f"receipt-{opened.session.ticket_number}-{found.id}.json"
    text = json.dumps(services.keys.read_receipt(found.receipt_jws), indent=2, ensure_ascii=False, sort_keys=True)
    return Response(text + "\n", media_type="application/json",
                    headers={**_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'})


@router.get("/consent/{token}/watch", name="consent:watch")
def watch_session(request: Request, unit: Reading, token: str) -> Response:
    opened = _open(request, unit, token)
    if not is_viewer(unit, opened, request.cookies):
        return _ask_code(request, opened, token, "watch")
    return _view(request, unit, opened, token, "watch")


@router.post("/consent/{token}/watch", name="consent:watch-by-code")
def watch_by_code(request: Request, unit: Writing, services: Parts, token: str, code: Text = "") -> Response:
    return _enter_by_code(request, unit, services, token, "watch", code)


@router.get("/consent/{token}/replay", name="consent:replay")
def replay_session(request: Request, unit: Reading, token: str) -> Response:
    opened = _open(request, unit, token)
    if not is_viewer(unit, opened, request.cookies):
        return _ask_code(request, opened, token, "replay")
    return _view(request, unit, opened, token, "replay")


@router.post("/consent/{token}/replay", name="consent:replay-by-code")
def replay_by_code(request: Request, unit: Writing, services: Parts, token: str, code: Text = "") -> Response:
    return _enter_by_code(request, unit, services, token, "replay", code)


@router.get("/consent/{token}/replay/{channel_id}.cast", name="consent:cast")
def read_cast(request: Request, unit: Writing, services: Parts, token: str, channel_id: str) -> Response:
    """A channel's recording for the contact's player; each reading is an audit event."""
    opened = _open(request, unit, token)
    if not is_viewer(unit, opened, request.cookies):
        raise NotFound()
    channel = find_channel(list_channels(unit, opened.session), channel_id)
    actor = viewer_actor(opened, unit.db.get(Contact, opened.request.contact_id), address=address_of(request) or None)
    record_audit(unit, actor, "recording.read", subject=f"session {opened.session.id}", ticket_number=opened.session.ticket_number,
                 summary="Replayed by the contact", details={"channel": channel.id})
    return cast_response(services.record_database, opened.session, channel)


def _open(request: Request, unit: ReadUnit, token: str) -> OpenedLink:
    """Find the link and speak its language from here on."""
    opened = open_link(unit, token)
    request.state.language = opened.request.language
    return opened


def _note_fetch(request: Request, opened: OpenedLink, token: str) -> None:
    services = services_of(request)
    try:
        with services.database.write() as unit:
            note_fetch(unit, token)
        services.signals.publish(f"session:{opened.session.id}")
    except Unavailable as exc:
        log.warning("cannot note that a consent link was fetched", reason=str(exc))


def _refuse_foreign_origin(request: Request) -> None:
    """Refuse a form posted by another site. A missing origin and ``null`` (webmail, privacy modes) are no proof of one."""
    origin = request.headers.get("origin")
    if origin is None or origin == "null":
        return
    own = urlsplit(services_of(request).settings.public_url)
    if origin.rstrip("/") != f"{own.scheme}://{own.netloc}":
        raise ForeignAnswer()


def _whole(text: str) -> int | None:
    """Read the minutes; what is no number is refused by the rules as too few."""
    stripped = text.strip()
    if not stripped:
        return None
    return int(stripped) if stripped.isascii() and stripped.isdigit() and len(stripped) < 6 else 0


def _back(request: Request, token: str, query: str = "") -> RedirectResponse:
    return RedirectResponse(str(request.app.url_path_for("consent:show", token=token)) + query, status_code=303, headers=_HEADERS)


def _show(request: Request, unit: ReadUnit, opened: OpenedLink, token: str, *, question_sent: bool = False,
          errors: dict[str, str] | None = None, values: dict[str, object] | None = None, status: int = 200) -> Response:
    asked = services_of(request).keys.read_request(opened.request.request_jws)
    words = translator(opened.request.language)
    if opened.request.state == "open":
        context = _question(opened, asked, token, words, unit.now, question_sent, values or {}, errors or {})
        return page(request, "consent/question.html", context, status=status, headers=_HEADERS)
    return page(request, "consent/state.html", _state(unit, opened, asked, token, errors or {}), status=status, headers=_HEADERS)


def _question(opened: OpenedLink, asked: AskedRequest, token: str, words: Translator, now: datetime, question_sent: bool,
              values: dict[str, object], errors: dict[str, str]) -> QuestionPage:
    asks_admin = "terminal.admin" in asked.scopes
    return QuestionPage(
        token=token, asked=asked, form_token=opened.form_token,
        scopes=[(scope, describe_scope(scope, asked, words)) for scope in asked.scopes], not_asked=describe_not_asked(asked, words),
        recording=describe_recording(asked, words), warnings=describe_warnings(asked, words),
        notice=describe_notice(asked, words).split("\n"), shared_mailbox=opened.request.shared_mailbox,
        call_back_missing=opened.request.shared_mailbox and asks_admin and opened.request.call_back_at is None,
        follow_up=opened.request.follow_up, expires_at=opened.request.expires_at,
        is_open=opened.link.burned_at is None and opened.link.decision_until > now and opened.request.expires_at > now,
        question_sent=question_sent, errors=errors,
        values={"scope": None, "minutes": "", "name": "", "question": "", "reason": "", **values},
    )


def _state(unit: ReadUnit, opened: OpenedLink, asked: AskedRequest, token: str, errors: dict[str, str]) -> StatePage:
    session = opened.session
    over = session.started_at is not None
    return StatePage(
        token=token, asked=asked, form_token=opened.form_token, session=session, request_state=opened.request.state,
        answer=opened.request.state, follow_up=opened.request.follow_up, can_stop=session.state in _STOPPABLE,
        can_watch=session.state in _RUNNING, can_replay=over, has_receipt=opened.request.state in ("approved", "denied"), errors=errors,
    )


def _ask_code(request: Request, opened: OpenedLink, token: str, goal: str, *, sent: bool = False, errors: dict[str, str] | None = None,
              status: int | None = None) -> Response:
    if opened.request.state not in ("approved", "denied"):
        raise NotFound()
    return page(request, "consent/code.html", CodePage(token=token, goal=goal, sent=sent, errors=errors or {}),
                status=status or (200 if sent else 403), headers=_HEADERS)


def _enter_by_code(request: Request, unit: Writing, services: Parts, token: str, goal: str, code: str) -> Response:
    """Show what the code opens, and let this browser in from now on; a wrong try is counted."""
    _refuse_foreign_origin(request)
    opened = _open(request, unit, token)
    secret = use_code(unit, token, code, services=services)
    if secret is None:
        words = translator(opened.request.language)
        return _ask_code(request, opened, token, goal, status=422, errors={
            "code": words("This code is wrong or no longer works. You have a few tries; then ask for a new one.")})
    response = _receipt(request, unit, opened, token) if goal == "receipt" else _view(request, unit, opened, token, goal)
    set_cookie(response, cookie_name(opened.link), secret)
    return response


def _receipt(request: Request, unit: ReadUnit, opened: OpenedLink, token: str) -> Response:
    context: ReceiptPage = receipt_page(unit, opened, token, services_of(request).keys)
    return page(request, "consent/receipt.html", context, headers=_HEADERS)


def _view(request: Request, unit: ReadUnit, opened: OpenedLink, token: str, goal: str) -> Response:
    session = opened.session
    path = request.app.url_path_for
    channels = [
        ViewedChannel(
            number=number, kind=channel.kind, columns=channel.columns, rows=channel.rows, is_open=channel.closed_at is None,
            opened_at=channel.opened_at,
            watch_url=str(path("sockets:watch", label=channel.label, session_id=session.id, channel_id=channel.id)),
            cast_url=str(path("consent:cast", token=token, channel_id=channel.id)),
        ) for number, channel in enumerate(list_channels(unit, session), start=1)
    ]
    context = ViewPage(token=token, session=session, asked=services_of(request).keys.read_request(opened.request.request_jws),
                       form_token=opened.form_token, can_stop=session.state in _STOPPABLE, channels=channels)
    return page(request, f"consent/{goal}.html", context, headers={**_HEADERS, "Content-Security-Policy": CSP_TERMINAL})
