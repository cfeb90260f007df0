"""The page behind a set-up link: password and second factor of the first administrator, or of a new colleague.

It works once and shows nothing of the desk. After it one is logged in: both factors were just proved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from orchestrator.accounts.desk import read_desk_facts
from orchestrator.accounts.links import FIRST, SET_UP, OpenLink, complete_set_up, find_open_link
from orchestrator.accounts.logins import begin_login, drop_login, prove_login
from orchestrator.accounts.people import check_name, normalise_email
from orchestrator.accounts.policy import check_new_password
from orchestrator.accounts.queries import actor_for_user
from orchestrator.accounts.second_factor import draw_qr_code, provisioning_address
from orchestrator.audit.service import record_audit
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import InvalidInput
from orchestrator.core.i18n import _
from web.auth import AnonymousForm, address_of
from web.deps import Parts, Reading
from web.forms import field_errors, status_for
from web.hashing import hash_password_in_turn
from web.htmx import page
from web.pages.login import welcome
from web.security import LOGIN_COOKIE

router = APIRouter(prefix="/set-up", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class SetUpPage:
    """``is_first``: the first administrator also says who he is."""

    token: str
    is_first: bool
    email: str
    name: str
    works_tickets: bool
    secret_groups: str
    errors: dict[str, str]


@router.get("/{token}", name="set-up:show")
def show_set_up(request: Request, unit: Reading, token: str) -> Response:
    return page(request, "login/set_up.html", _page_of(find_open_link(unit, token, FIRST, SET_UP), token))


@router.get("/{token}/qr.svg", name="set-up:qr")
def show_qr_code(unit: Reading, token: str) -> Response:
    return qr_code_of(unit, find_open_link(unit, token, FIRST, SET_UP))


@router.post("/{token}", name="set-up:finish", dependencies=[AnonymousForm])
def finish_set_up(
    request: Request, services: Parts, token: str, password: Annotated[str, Form()] = "", again: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "", email: Annotated[str, Form()] = "", name: Annotated[str, Form()] = "",
    works_tickets: Annotated[str, Form()] = "",
) -> Response:
    """Check everything that is cheap, hash the password outside of any unit, then use the link up."""
    address = address_of(request)
    services.attempts.count_link(address=address)
    with services.database.read() as reading:
        opened = find_open_link(reading, token, FIRST, SET_UP)
    works = works_tickets == "yes"
    try:
        if opened.user is None:
            email, name = normalise_email(email), check_name(name)
            check_new_password(password, email=email, name=name)
        else:
            check_new_password(password, email=opened.user.email, name=opened.user.name)
        if password != again:
            raise InvalidInput(_("The two passwords are not the same."), field="again")
        password_hash = hash_password_in_turn(services, password)
        with services.database.write() as unit:
            user = complete_set_up(unit, token, password_hash=password_hash, code=code, email=email, name=name, works_tickets=works,
                                   address=address)
            drop_login(unit, request.cookies.get(LOGIN_COOKIE, ""))
            login, _first = begin_login(unit, user, address=address, agent_name=request.headers.get("user-agent", ""))
            secret = prove_login(unit, login, hours=services.settings.login_hours)
            actor = replace(actor_for_user(unit, user), login_id=login.id, address=address)
            record_audit(unit, actor, "login.succeeded", subject=f"user {user.id}", summary="Logged in by the set-up link.",
                         details={"agent": login.agent_name})
    except InvalidInput as exc:
        shown = replace(_page_of(opened, token), works_tickets=works, errors=field_errors(request, exc))
        if opened.user is None:
            shown = replace(shown, email=email[:254], name=name[:200])
        return page(request, "login/set_up.html", shown, status=status_for(exc))
    return welcome(user, secret, "/" if user.roles != ["administrator"] else str(request.app.url_path_for("settings:show")))


def _page_of(opened: OpenLink, token: str) -> SetUpPage:
    return SetUpPage(
        token=token, is_first=opened.user is None, email=opened.user.email if opened.user is not None else "",
        name=opened.user.name if opened.user is not None else "", works_tickets=True,
        secret_groups=group_secret(opened.totp_secret), errors={},
    )


def group_secret(secret: str) -> str:
    """Write a secret in groups of four, to be typed by hand."""
    return " ".join(secret[start:start + 4] for start in range(0, len(secret), 4))


def qr_code_of(unit: ReadUnit, opened: OpenLink) -> Response:
    """Answer with the QR code of a link's secret, which no cache keeps."""
    address = provisioning_address(opened.totp_secret, email=opened.user.email if opened.user is not None else "administrator",
                                   issuer=read_desk_facts(unit).mail_name)
    return Response(draw_qr_code(address), media_type="image/svg+xml", headers={"Cache-Control": "no-store"})
