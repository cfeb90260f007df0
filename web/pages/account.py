"""One's own account: profile, password, second factor, logins, API tokens. Reached by a login, never by a token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated
from zoneinfo import available_timezones

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from orchestrator.accounts.actor import Actor
from orchestrator.accounts.links import SECOND_FACTOR, begin_second_factor, complete_second_factor, find_open_link
from orchestrator.accounts.logins import require_step_up, revoke_login
from orchestrator.accounts.models import APIToken, Login, User
from orchestrator.accounts.policy import check_new_password
from orchestrator.accounts.queries import get_own_user, list_logins, list_tokens
from orchestrator.accounts.service import change_own_password, change_own_profile
from orchestrator.accounts.tokens import NAMED_RIGHTS, TOKEN_RIGHTS, create_token, revoke_token
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import AppError, Forbidden, InvalidInput
from orchestrator.core.i18n import _
from web.auth import CurrentUser
from web.deps import Parts, Reading, Writing
from web.forms import field_errors, status_for
from web.hashing import check_password_in_turn, hash_password_in_turn
from web.htmx import LANGUAGE_COOKIE, THEME_COOKIE, page, redirect
from web.pages.set_up import group_secret, qr_code_of

router = APIRouter(prefix="/account", include_in_schema=False)
_YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class AccountPage:
    """``form_with_errors`` names the form that ``errors`` belong to; ``new_token`` is shown this once."""

    user: User
    logins: Sequence[Login]
    tokens: Sequence[APIToken]
    zones: Sequence[str]
    token_rights: Sequence[str]
    named_rights: Sequence[str]
    form_with_errors: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    new_token: str = ""


@dataclass(frozen=True, slots=True)
class SecondFactorPage:
    token: str
    secret_groups: str
    errors: dict[str, str]


def _account_page(unit: ReadUnit, actor: Actor) -> AccountPage:
    return AccountPage(
        user=get_own_user(unit, actor), logins=list_logins(unit, actor), tokens=list_tokens(unit, actor),
        zones=sorted(available_timezones()),
        token_rights=[right.value for right in TOKEN_RIGHTS if actor.may(right) and right not in NAMED_RIGHTS],
        named_rights=[right.value for right in TOKEN_RIGHTS if actor.may(right) and right in NAMED_RIGHTS],
    )


def _show_again(request: Request, services: Parts, actor: Actor, form: str, error: AppError) -> Response:
    with services.database.read() as unit:
        shown = replace(_account_page(unit, actor), form_with_errors=form, errors=field_errors(request, error))
    return page(request, "account/show.html", shown, status=status_for(error))


@router.get("", name="account:show")
def show_account(request: Request, unit: Reading, actor: CurrentUser) -> Response:
    return page(request, "account/show.html", _account_page(unit, actor))


@router.post("/profile", name="account:profile")
def save_profile(
    request: Request, actor: CurrentUser, services: Parts, name: Annotated[str, Form()] = "", language: Annotated[str, Form()] = "",
    time_zone: Annotated[str, Form()] = "", theme: Annotated[str, Form()] = "",
) -> Response:
    try:
        with services.database.write() as unit:
            change_own_profile(unit, actor, name=name, language=language, time_zone=time_zone, theme=theme)
    except InvalidInput as exc:
        return _show_again(request, services, actor, "profile", exc)
    request.state.language = language
    response = redirect(request, request.app.url_path_for("account:show"), flash=_("Saved."))
    for cookie, value in ((LANGUAGE_COOKIE, language), (THEME_COOKIE, theme)):
        response.set_cookie(cookie, value, max_age=_YEAR_SECONDS, path="/", samesite="lax", httponly=True)
    return response


@router.post("/password", name="account:password")
def change_password(request: Request, actor: CurrentUser, services: Parts, current: Annotated[str, Form()] = "",
                    password: Annotated[str, Form()] = "", again: Annotated[str, Form()] = "") -> Response:
    """Change the password, by the old one and a fresh second factor; the other logins end."""
    require_step_up(actor, services.database.clock.now(), services.settings)
    with services.database.read() as reading:
        user = get_own_user(reading, actor)
    services.attempts.count_password(account=user.email, address=actor.address or "")
    try:
        if not check_password_in_turn(services, current, user.password_hash):
            raise InvalidInput(_("This is not your password."), field="current")
        check_new_password(password, email=user.email, name=user.name)
        if password != again:
            raise InvalidInput(_("The two passwords are not the same."), field="again")
        password_hash = hash_password_in_turn(services, password)
    except InvalidInput as exc:
        return _show_again(request, services, actor, "password", exc)
    with services.database.write() as unit:
        change_own_password(unit, actor, password_hash=password_hash)
    services.attempts.clear_password(account=user.email, address=actor.address or "")
    return redirect(request, request.app.url_path_for("account:show"), flash=_("The password is changed. Your other logins have ended."))


@router.post("/second-factor", name="account:second-factor-begin")
def begin_factor(request: Request, actor: CurrentUser, unit: Writing, services: Parts) -> Response:
    require_step_up(actor, unit.now, services.settings)
    token = begin_second_factor(unit, actor)
    return RedirectResponse(str(request.app.url_path_for("account:second-factor", token=token)), status_code=303)


@router.get("/second-factor/{token}", name="account:second-factor")
def show_factor(request: Request, unit: Reading, actor: CurrentUser, token: str) -> Response:
    opened = find_open_link(unit, token, SECOND_FACTOR)
    if opened.user is None or opened.user.id != get_own_user(unit, actor).id:
        raise Forbidden()
    return page(request, "account/second_factor.html", SecondFactorPage(token, group_secret(opened.totp_secret), {}))


@router.get("/second-factor/{token}/qr.svg", name="account:second-factor-qr")
def show_factor_code(unit: Reading, actor: CurrentUser, token: str) -> Response:
    opened = find_open_link(unit, token, SECOND_FACTOR)
    if opened.user is None or opened.user.id != get_own_user(unit, actor).id:
        raise Forbidden()
    return qr_code_of(unit, opened)


@router.post("/second-factor/{token}", name="account:second-factor-finish")
def finish_factor(request: Request, actor: CurrentUser, services: Parts, token: str, code: Annotated[str, Form()] = "") -> Response:
    require_step_up(actor, services.database.clock.now(), services.settings)
    services.attempts.count_code(user_id=actor.user_id or "")
    try:
        with services.database.write() as unit:
            complete_second_factor(unit, actor, token, code=code)
    except InvalidInput as exc:
        with services.database.read() as unit:
            opened = find_open_link(unit, token, SECOND_FACTOR)
        shown = SecondFactorPage(token, group_secret(opened.totp_secret), field_errors(request, exc))
        return page(request, "account/second_factor.html", shown, status=status_for(exc))
    done = _("The second factor is changed. Your other logins have ended.")
    return redirect(request, request.app.url_path_for("account:show"), flash=done)


@router.post("/logins/{login_id}/revoke", name="account:login-revoke")
def end_other_login(request: Request, actor: CurrentUser, unit: Writing, login_id: str) -> Response:
    revoke_login(unit, actor, login_id)
    return redirect(request, request.app.url_path_for("account:show"), flash=_("The login has ended."))


@router.post("/tokens", name="account:token-create")
def make_token(request: Request, actor: CurrentUser, services: Parts, rights: Annotated[list[str] | None, Form()] = None,
               name: Annotated[str, Form()] = "", address: Annotated[str, Form()] = "", hours: Annotated[str, Form()] = "") -> Response:
    """Make a token and show it, once. The page with it is never kept: a reload asks again."""
    require_step_up(actor, services.database.clock.now(), services.settings)
    try:
        with services.database.write() as unit:
            token = create_token(unit, actor, user=get_own_user(unit, actor), rights=rights or [], address=address,
                                 hours=_read_hours(hours), name=name)
    except (InvalidInput, Forbidden) as exc:
        return _show_again(request, services, actor, "token", exc)
    with services.database.read() as unit:
        return page(request, "account/show.html", replace(_account_page(unit, actor), new_token=token), status=201)


@router.post("/tokens/{token_id}/revoke", name="account:token-revoke")
def end_token(request: Request, actor: CurrentUser, unit: Writing, token_id: str) -> Response:
    revoke_token(unit, actor, token_id)
    return redirect(request, request.app.url_path_for("account:show"), flash=_("The token works no more."))


def _read_hours(text: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdecimal() or len(text.strip()) > 6:
        raise InvalidInput(_("Hours are a whole number."), field="hours")
    return int(text)
