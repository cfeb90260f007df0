"""How the pages look to one reader: theme and language, changed by a plain form on every page.

Both belong to the account and are kept in cookies too, so that the pages before a login look the same."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from orchestrator.accounts.service import change_own_profile
from orchestrator.core.i18n import find_language
from web.auth import CurrentUser, safe_next
from web.deps import Writing
from web.htmx import LANGUAGE_COOKIE, THEME_COOKIE

THEMES = ("auto", "light", "dark")
_YEAR_SECONDS = 365 * 24 * 3600

router = APIRouter(include_in_schema=False)


@router.post("/preferences", name="preferences:save")
def save_preferences(
    request: Request, unit: Writing, actor: CurrentUser, theme: Annotated[str, Form()] = "", language: Annotated[str, Form()] = "",
    next_path: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    """Keep what was chosen and go back; an unknown value changes nothing. The language also belongs to the account: mails use it."""
    response = RedirectResponse(safe_next(next_path), status_code=303)
    chosen_theme = theme if theme in THEMES else None
    chosen_language = find_language(language)
    change_own_profile(unit, actor, theme=chosen_theme, language=str(chosen_language) if chosen_language else None)
    if chosen_theme:
        _keep(response, THEME_COOKIE, chosen_theme)
    if chosen_language:
        _keep(response, LANGUAGE_COOKIE, str(chosen_language))
    return response


def _keep(response: Response, name: str, value: str) -> None:
    response.set_cookie(name, value, max_age=_YEAR_SECONDS, path="/", samesite="lax", httponly=True)
