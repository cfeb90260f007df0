"""Who asks: the actor of a request, by login cookie or bearer token, and the dependencies that handlers ask for.

A request with an ``Authorization`` header is judged by that header alone, never by its cookies as well. A login cookie is
accepted for an unsafe method only together with the login's form token. Agents have no way in here: their credentials are
neither logins nor API tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote, urlsplit

import structlog
from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from orchestrator.accounts.actor import Actor, Right
from orchestrator.accounts.errors import NotLoggedIn, StepUpNeeded
from orchestrator.accounts.logins import actor_for_login, find_login, needs_touch, touch_login
from orchestrator.accounts.tokens import actor_for_token, token_needs_touch, touch_token
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import AppError, Unavailable
from web.security import CSRF_FIELD, CSRF_HEADER, LOGIN_COOKIE, SAFE_METHODS, check_anonymous_token, check_login_token
from web.services import services_of

log = structlog.get_logger(__name__)
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def address_of(connection: HTTPConnection) -> str:
    """Return the address of who asks, as the server sees it behind trusted proxies; empty where there is none."""
    return connection.client.host if connection.client is not None else ""


async def read_submitted_token(request: Request) -> str:
    """Return the form token that an unsafe request carries, in its header or its form; empty where there is none."""
    if request.method in SAFE_METHODS:
        return ""
    header = request.headers.get(CSRF_HEADER)
    if header is not None:
        return header
    if request.headers.get("content-type", "").split(";")[0].strip().lower() in _FORMS:
        field = (await request.form()).get(CSRF_FIELD)
        return field if isinstance(field, str) else ""
    return ""


SubmittedToken = Annotated[str, Depends(read_submitted_token)]


def load_actor(request: HTTPConnection, unit: ReadUnit, *, submitted_token: str = "") -> Actor | None:
    """Find who asks and note it in ``request.state.actor``; None for nobody.

    Raises:
        ForeignForm: a cookie on an unsafe method without the login's form token.
    """
    address = address_of(request)
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, bearer = authorization.partition(" ")
        actor = actor_for_token(unit, bearer.strip(), address) if scheme.lower() == "bearer" else None
    else:
        actor = _load_by_cookie(request, unit, address, submitted_token)
    request.state.actor = actor
    if actor is not None:
        _note_use(request, unit, actor)
    return actor


def _load_by_cookie(request: HTTPConnection, unit: ReadUnit, address: str, submitted_token: str) -> Actor | None:
    secret = request.cookies.get(LOGIN_COOKIE, "")
    actor = actor_for_login(unit, secret, address) if secret else None
    if actor is None:
        return None
    login = find_login(unit, secret)
    assert login is not None
    if request.scope["type"] == "http" and request.scope["method"] not in SAFE_METHODS:
        check_login_token(login.csrf_secret, submitted_token)
    request.state.csrf_secret = login.csrf_secret
    return actor


def _note_use(request: HTTPConnection, unit: ReadUnit, actor: Actor) -> None:
    """Write when a login or token was last used, every few minutes at most; never at the cost of the request itself."""

    def touch(writing: WriteUnit) -> None:
        if actor.login_id:
            touch_login(writing, actor.login_id, address=actor.address)
        elif actor.token_id:
            touch_token(writing, actor.token_id)

    stale = (needs_touch(unit, actor.login_id) if actor.login_id
             else actor.token_id is not None and token_needs_touch(unit, actor.token_id))
    if not stale:
        return
    if isinstance(unit, WriteUnit):
        touch(unit)
        return
    try:
        with services_of(request).database.write() as writing:
            touch(writing)
    except Unavailable as exc:
        log.warning("cannot note the use of a login", reason=str(exc))


def get_maybe_user(request: Request, submitted_token: SubmittedToken) -> Actor | None:
    """Find who asks, in the handler's unit where one is open already, else in a short one of its own."""
    unit = getattr(request.state, "unit", None)
    if unit is not None:
        return load_actor(request, unit, submitted_token=submitted_token)
    with services_of(request).database.read() as reading:
        return load_actor(request, reading, submitted_token=submitted_token)


MaybeUser = Annotated[Actor | None, Depends(get_maybe_user)]


def get_current_user(actor: MaybeUser) -> Actor:
    """Return who asks.

    Raises:
        NotLoggedIn: nobody known; pages answer with the login form.
    """
    if actor is None:
        raise NotLoggedIn()
    return actor


CurrentUser = Annotated[Actor, Depends(get_current_user)]


def require_right(right: Right) -> Callable[[Actor], Actor]:
    """Make a dependency that returns who asks and raises ``Forbidden`` without the right."""

    def get_user_with_right(actor: CurrentUser) -> Actor:
        actor.require(right)
        return actor

    return get_user_with_right


def check_anonymous_form(request: Request, submitted_token: SubmittedToken) -> None:
    """Refuse an unsafe request before any login that does not carry the token of its form cookie."""
    if request.method not in SAFE_METHODS:
        check_anonymous_token(request, submitted_token)


AnonymousForm = Depends(check_anonymous_form)


def safe_next(text: str | None) -> str:
    """Return a path of ours to go on to, or the board's; an address elsewhere is not followed."""
    if not text or not text.startswith("/") or text.startswith("//"):
        return "/"
    if any(letter <= " " or letter == "\\" or letter == "\x7f" for letter in text):
        return "/"
    parts = urlsplit(text)
    return "/" if parts.scheme or parts.netloc else text


def login_redirect(request: Request, error: AppError) -> str | None:
    """Return where a page sends somebody who has to log in, or show the second factor again, first; None for other errors."""
    if isinstance(error, NotLoggedIn):
        route = "login:show"
    elif isinstance(error, StepUpNeeded):
        route = "login:step-up"
    else:
        return None
    if request.method in SAFE_METHODS:
        came_from = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    else:
        referer = urlsplit(request.headers.get("referer", ""))
        came_from = referer.path + (f"?{referer.query}" if referer.query else "") if referer.netloc == request.url.netloc else "/"
    return f"{request.app.url_path_for(route)}?next={quote(safe_next(came_from), safe='/')}"
