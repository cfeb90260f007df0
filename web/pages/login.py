"""Logging in, in two steps; showing the second factor again; logging out.

The order of a login: password right → a login that is nobody yet, in a new cookie → code right → the same login under
another cookie, from now on somebody. Both steps are decided here on the server; what the browser skips is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from orchestrator.accounts.actor import SYSTEM, Actor
from orchestrator.accounts.errors import TooManyAttempts
from orchestrator.accounts.logins import begin_login, drop_login, end_login, find_login, prove_login
from orchestrator.accounts.models import Login, User
from orchestrator.accounts.people import normalise_email
from orchestrator.accounts.queries import actor_for_user, find_user_by_email
from orchestrator.accounts.second_factor import prove_second_factor
from orchestrator.audit.service import record_audit
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import AppError, Forbidden, InvalidInput
from orchestrator.core.i18n import _
from web.auth import AnonymousForm, CurrentUser, MaybeUser, SubmittedToken, address_of, safe_next
from web.deps import Parts, Reading, Writing
from web.forms import say
from web.hashing import check_password_in_turn
from web.htmx import LANGUAGE_COOKIE, THEME_COOKIE, page
from web.security import LOGIN_COOKIE, check_login_token, clear_cookie, set_login_cookie
from web.services import Services

router = APIRouter(include_in_schema=False)

WRONG_PASSWORD = _("Mail address or password is wrong.")
WRONG_CODE = _("This code is not right, or it was used before. Wait for the next one.")
_YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class LoginPage:
    email: str
    next_path: str
    errors: dict[str, str]


@dataclass(frozen=True, slots=True)
class CodePage:
    """``again`` when somebody who is logged in shows the second factor once more."""

    again: bool
    next_path: str
    errors: dict[str, str]


@router.get("/login", name="login:show")
def show_login(request: Request, actor: MaybeUser, next_path: str | None = None) -> Response:
    wanted = safe_next(next_path or request.query_params.get("next"))
    if actor is not None:
        return RedirectResponse(wanted, status_code=303)
    return page(request, "login/password.html", LoginPage("", wanted, {}))


@router.post("/login", name="login:begin", dependencies=[AnonymousForm])
def begin(request: Request, services: Parts, email: Annotated[str, Form()] = "", password: Annotated[str, Form()] = "",
          next_path: Annotated[str, Form(alias="next")] = "") -> Response:
    """Check the password. Unknown, disabled, or wrong: the same answer after the same work."""
    address, wanted = address_of(request), safe_next(next_path)
    try:
        services.attempts.count_password(account=email, address=address)
        user = _find_user(services, email)
        if not check_password_in_turn(services, password, user.password_hash if user is not None else None):
            user = None
    except AppError as exc:
        retry = {"Retry-After": str(exc.retry_after_seconds)} if isinstance(exc, TooManyAttempts) else None
        return page(request, "login/password.html", LoginPage(email[:254], wanted, {"": say(request, exc)}),
                    status=429 if isinstance(exc, TooManyAttempts) else 503, headers=retry)
    with services.database.write() as unit:
        # Who typed a wrong address may have typed a password there: the audit names accounts that exist, never the input.
        current = unit.db.get(User, user.id) if user is not None else None
        if user is None or current is None or not _may_begin(current, user):
            _note_failure(unit, services, email, address)
            secret = None
        else:
            drop_login(unit, request.cookies.get(LOGIN_COOKIE, ""))
            _login, secret = begin_login(unit, current, address=address, agent_name=request.headers.get("user-agent", ""))
    if secret is None:
        errors = {"": say(request, InvalidInput(WRONG_PASSWORD))}
        return page(request, "login/password.html", LoginPage(email[:254], wanted, errors), status=422)
    services.attempts.clear_password(account=email, address=address)
    response = RedirectResponse(_path(request, "login:code", wanted), status_code=303)
    set_login_cookie(response, secret)
    return response


@router.get("/login/code", name="login:code")
def show_code(request: Request, unit: Reading) -> Response:
    wanted = safe_next(request.query_params.get("next"))
    login = find_login(unit, request.cookies.get(LOGIN_COOKIE, ""))
    if login is None:
        return _to_start(request, wanted)
    if login.proved_at is not None:
        return RedirectResponse(wanted, status_code=303)
    request.state.csrf_secret = login.csrf_secret
    return page(request, "login/code.html", CodePage(again=False, next_path=wanted, errors={}))


@router.post("/login/code", name="login:prove")
def prove(request: Request, services: Parts, submitted_token: SubmittedToken, code: Annotated[str, Form()] = "",
          next_path: Annotated[str, Form(alias="next")] = "") -> Response:
    """Check the code and turn the login into somebody."""
    wanted, cookie = safe_next(next_path), request.cookies.get(LOGIN_COOKIE, "")
    with services.database.read() as reading:
        known = find_login(reading, cookie)
    if known is None:
        return _to_start(request, wanted)
    check_login_token(known.csrf_secret, submitted_token)
    if known.proved_at is not None:
        return RedirectResponse(wanted, status_code=303)
    request.state.csrf_secret = known.csrf_secret
    services.attempts.count_code(user_id=known.user_id)
    with services.database.write() as unit:
        login = find_login(unit, cookie)
        user = unit.db.get(User, login.user_id) if login is not None else None
        if login is None or user is None:
            return _to_start(request, wanted)
        actor = _actor_at(unit, user, login, address_of(request))
        if not prove_second_factor(unit, user.id, code):
            record_audit(unit, actor, "login.failed", subject=f"user {user.id}", summary="Wrong code of the second factor.")
            secret = None
        else:
            secret = prove_login(unit, login, hours=services.settings.login_hours)
            record_audit(unit, actor, "login.succeeded", subject=f"user {user.id}", summary="Logged in.",
                         details={"agent": login.agent_name})
    if secret is None:
        return page(request, "login/code.html", CodePage(False, wanted, {"code": say(request, InvalidInput(WRONG_CODE))}), status=422)
    services.attempts.clear_codes(user_id=user.id)
    return welcome(user, secret, wanted)


@router.get("/login/step-up", name="login:step-up")
def show_step_up(request: Request, actor: CurrentUser) -> Response:
    if actor.login_id is None:
        raise Forbidden()
    return page(request, "login/code.html", CodePage(again=True, next_path=safe_next(request.query_params.get("next")), errors={}))


@router.post("/login/step-up", name="login:step-up-prove")
def prove_again(request: Request, actor: CurrentUser, services: Parts, code: Annotated[str, Form()] = "",
                next_path: Annotated[str, Form(alias="next")] = "") -> Response:
    """Check a code of somebody who is logged in; the last proof is now."""
    wanted = safe_next(next_path)
    if actor.login_id is None or actor.user_id is None:
        raise Forbidden()
    services.attempts.count_code(user_id=actor.user_id)
    secret: str | None = None
    with services.database.write() as unit:
        login = find_login(unit, request.cookies.get(LOGIN_COOKIE, ""))
        if login is None or login.id != actor.login_id:
            return _to_start(request, wanted)
        if prove_second_factor(unit, actor.user_id, code):
            secret = prove_login(unit, login, hours=services.settings.login_hours)
            record_audit(unit, actor, "login.proved", subject=f"user {actor.user_id}", summary="Showed the second factor again.")
        else:
            record_audit(unit, actor, "login.failed", subject=f"user {actor.user_id}", summary="Wrong code of the second factor.")
    if secret is None:
        return page(request, "login/code.html", CodePage(True, wanted, {"code": say(request, InvalidInput(WRONG_CODE))}), status=422)
    services.attempts.clear_codes(user_id=actor.user_id)
    response = RedirectResponse(wanted, status_code=303)
    set_login_cookie(response, secret)
    return response


@router.post("/logout", name="login:end")
def log_out(request: Request, actor: CurrentUser, unit: Writing) -> Response:
    end_login(unit, actor)
    response = _to_start(request, "/")
    clear_cookie(response, LOGIN_COOKIE)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def welcome(user: User, secret: str, wanted: str) -> Response:
    """Send somebody on who has just logged in, with the cookies of the login and of how the pages look to them."""
    response = RedirectResponse(wanted, status_code=303)
    set_login_cookie(response, secret)
    for name, value in ((LANGUAGE_COOKIE, user.language), (THEME_COOKIE, user.theme)):
        response.set_cookie(name, value, max_age=_YEAR_SECONDS, path="/", samesite="lax", httponly=True)
    return response


def _to_start(request: Request, wanted: str) -> Response:
    return RedirectResponse(_path(request, "login:show", wanted), status_code=303)


def _path(request: Request, route: str, wanted: str) -> str:
    path = str(request.app.url_path_for(route))
    return path if wanted == "/" else f"{path}?next={quote(wanted, safe='/')}"


def _may_begin(current: User, checked: User) -> bool:
    """Whether the account is still as it was when its password was checked, and can be logged in to at all."""
    return current.disabled_at is None and current.totp_secret is not None and current.password_hash == checked.password_hash


def _find_user(services: Services, email: str) -> User | None:
    try:
        normal = normalise_email(email)
    except InvalidInput:
        return None
    with services.database.read() as unit:
        return find_user_by_email(unit, normal)


def _note_failure(unit: WriteUnit, services: Services, email: str, address: str) -> None:
    try:
        user = find_user_by_email(unit, normalise_email(email))
    except InvalidInput:
        user = None
    actor = replace(SYSTEM, name="nobody", address=address)
    record_audit(unit, actor, "login.failed", subject=f"user {user.id}" if user is not None else "",
                 summary="Wrong password." if user is not None else "Unknown mail address.")


def _actor_at(unit: ReadUnit, user: User, login: Login, address: str) -> Actor:
    return replace(actor_for_user(unit, user), login_id=login.id, address=address)
