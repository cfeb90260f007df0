"""The demo inbox: shows the mails that the program sent and lets you write one as a customer. In ``demo`` alone, on loopback."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from pyotp.totp import TOTP
from starlette.responses import Response

from orchestrator.core.errors import InvalidInput, NotFound
from web.auth import AnonymousForm
from web.demo.inbox import DemoInbox, InboxMail
from web.htmx import page, redirect


def require_loopback(request: Request) -> None:
    """The inbox shows every mail to whoever asks: only this machine may ask."""
    host = request.client.host if request.client else ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "testclient"
    if not local:
        raise NotFound()


router = APIRouter(prefix="/demo", include_in_schema=False, dependencies=[Depends(require_loopback)])


@dataclass(frozen=True, slots=True)
class CodesPage:
    """(address, roles, password, code now) of each login."""

    codes: Sequence[tuple[str, str, str, str]]


@dataclass(frozen=True, slots=True)
class InboxPage:
    mails: Sequence[InboxMail]
    shown: InboxMail | None
    writing: bool
    values: dict[str, str]
    errors: dict[str, str]
    customers: Sequence[tuple[str, str]]
    desk_address: str


def _inbox(request: Request) -> DemoInbox:
    return request.app.state.demo_inbox


def _page(request: Request, *, shown: InboxMail | None = None, writing: bool = False, values: dict[str, str] | None = None,
          errors: dict[str, str] | None = None, status: int = 200) -> Response:
    desk = request.app.state.services.settings.own_addresses[0]
    filled = {"sender": "", "to": desk, "subject": "", "text": "", "answers": ""}
    if shown is not None:
        filled |= {"sender": parseaddr(shown.to)[1], "answers": shown.name,
                   "subject": shown.subject if shown.subject.lower().startswith(("re:", "aw:")) else f"Re: {shown.subject}"}
    filled |= values or {}
    return page(request, "demo/inbox.html", InboxPage(
        mails=_inbox(request).list_mails(), shown=shown, writing=writing, values=filled, errors=errors or {},
        customers=request.app.state.demo_customers, desk_address=desk), status=status)


@router.get("/inbox", name="demo:inbox")
def list_inbox(request: Request, write: bool = False) -> Response:
    return _page(request, writing=write)


@router.get("/codes", name="demo:codes")
def show_codes(request: Request) -> Response:
    """The codes that an authenticator app would show for the demo's logins."""
    rows = [(login.email, ", ".join(login.roles), login.password, TOTP(login.totp_secret).now()) for login in request.app.state.demo_logins]
    return page(request, "demo/codes.html", CodesPage(rows))


@router.get("/inbox/{name}", name="demo:mail")
def show_mail(request: Request, name: str) -> Response:
    return _page(request, shown=_inbox(request).get_mail(name))


@router.post("/inbox", name="demo:send", dependencies=[AnonymousForm])
def send_mail(request: Request, sender: Annotated[str, Form()] = "", to: Annotated[str, Form()] = "", subject: Annotated[str, Form()] = "",
              text: Annotated[str, Form()] = "", answers: Annotated[str, Form()] = "") -> Response:
    """Send by real SMTP to the program's own inbound door."""
    name, address = parseaddr(sender)
    values = {"sender": sender, "to": to, "subject": subject, "text": text, "answers": answers}
    errors = {}
    if "@" not in address:
        errors["sender"] = "Write the customer's address, for example erika@muster.example."
    if "@" not in to:
        errors["to"] = "Write the address of the desk."
    if not text.strip():
        errors["text"] = "Write what the customer says."
    if not name:
        name = next((known for known, known_address in request.app.state.demo_customers if known_address == address), "")
    answered = _inbox(request).get_mail(answers) if answers else None
    if not errors:
        try:
            _inbox(request).send(sender_name=name, sender=address, to=to, subject=" ".join(subject.split()), text=text, answers=answered)
            return redirect(request, request.url_for("demo:inbox"), flash="The mail was accepted by the desk's SMTP door.")
        except InvalidInput as exc:
            errors[exc.field or "sender"] = exc.sentence
    return _page(request, shown=answered, writing=True, values=values, errors=errors, status=422)
