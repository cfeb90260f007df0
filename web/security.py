"""Cookies and form tokens: how the login cookie looks, and how a form proves that it is ours (CSRF).

A form's token is an HMAC. For somebody logged in its key is the login's own ``csrf_secret`` in the database; the check sits
where the login cookie is accepted as authority (``web/auth.py``), so no handler can forget it. A form before the login uses
a cookie of its own, with a random value, and the token is an HMAC over that value with a key only this server has
(signed double submit). Security headers are in ``web/middleware.py``.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from orchestrator.core.errors import Forbidden
from orchestrator.core.i18n import _
from web.services import services_of

LOGIN_COOKIE = "__Host-fernwart-login"
FORM_COOKIE = "__Host-fernwart-form"
CSRF_FIELD = "csrf_token"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_LOGIN_LABEL = b"fernwart login form v1\0"
_ANONYMOUS_LABEL = b"fernwart anonymous form v1\0"


class ForeignForm(Forbidden):
    """An unsafe request came without the token of a form of ours."""

    code = "foreign_form"

    def __init__(self) -> None:
        super().__init__(_("This form is too old or does not come from this page. Load the page again and repeat what you did."))


def set_cookie(response: Response, name: str, value: str, *, max_age_seconds: int | None = None) -> None:
    """Set a cookie that scripts cannot read and that goes to this host over a safe connection alone."""
    response.set_cookie(name, value, max_age=max_age_seconds, path="/", secure=True, httponly=True, samesite="lax")


def clear_cookie(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")


def set_login_cookie(response: Response, secret: str) -> None:
    """Give the browser its login; a session cookie, its age is decided by the row behind it."""
    set_cookie(response, LOGIN_COOKIE, secret)


def make_login_token(csrf_secret: str) -> str:
    """Return the form token of a login."""
    return hmac.new(csrf_secret.encode(), _LOGIN_LABEL, hashlib.sha256).hexdigest()


def make_anonymous_token(key: bytes, cookie_value: str) -> str:
    """Return the form token that belongs to the value of the form cookie."""
    return hmac.new(key, _ANONYMOUS_LABEL + cookie_value.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def check_login_token(csrf_secret: str, submitted: str) -> None:
    """Raise ``ForeignForm`` unless the submitted token is the login's."""
    if not hmac.compare_digest(make_login_token(csrf_secret).encode(), submitted.encode("utf-8", "replace")):
        raise ForeignForm()


def check_anonymous_token(request: HTTPConnection, submitted: str) -> None:
    """Raise ``ForeignForm`` unless the submitted token belongs to the request's form cookie."""
    value = request.cookies.get(FORM_COOKIE, "")
    expected = make_anonymous_token(form_key(request), value)
    if not value or not hmac.compare_digest(expected.encode(), submitted.encode("utf-8", "replace")):
        raise ForeignForm()


def form_key(connection: HTTPConnection) -> bytes:
    """Return the key of anonymous forms: 32 random bytes in the data folder, made when first needed."""
    state = connection.app.state
    if getattr(state, "form_key", None) is None:
        state.form_key = _read_or_make_key(services_of(connection).settings.data_dir / "keys" / "forms.key")
    return state.form_key


def _read_or_make_key(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # of two processes that start together, one wins
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    key = path.read_bytes()
    if len(key) != 32:
        raise RuntimeError(f"{path} is damaged: delete it and start again")
    return key


class FormToken:
    """The token of the page's forms, made when a template writes it: a page without forms sets no cookie."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __str__(self) -> str:
        csrf_secret = getattr(self._request.state, "csrf_secret", None)
        if csrf_secret is not None:
            return make_login_token(csrf_secret)
        value = self._request.cookies.get(FORM_COOKIE) or getattr(self._request.state, "new_form_cookie", None)
        if not value:
            value = self._request.state.new_form_cookie = secrets.token_urlsafe(32)
        return make_anonymous_token(form_key(self._request), value)


def csrf_token_of(request: Request) -> FormToken:
    """Return the token that forms of this request's page carry."""
    return FormToken(request)


def attach_form_cookie(request: Request, response: Response) -> None:
    """Give the browser the form cookie if the page just rendered needs one it does not have yet."""
    value = getattr(request.state, "new_form_cookie", None)
    if value:
        set_cookie(response, FORM_COOKIE, value)
