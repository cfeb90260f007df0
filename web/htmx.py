"""Answering with pages: one template is page and fragment, and a form's success is a redirect.

A handler builds a frozen dataclass and calls ``page``. An htmx request that names a block in ``HX-Target-Block`` (or the
handler's ``fragment``) receives that block alone; everybody else the whole page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.templating import Jinja2Templates

from orchestrator.accounts.actor import Actor
from orchestrator.core.i18n import Language, translator
from web.i18n import build_environment, choose_language
from web.security import attach_form_cookie, csrf_token_of
from web.services import services_of

FLASH_COOKIE = "__Host-fernwart-flash"
LANGUAGE_COOKIE = "fernwart-language"
THEME_COOKIE = "fernwart-theme"


def actor_of(request: Request) -> Actor | None:
    """Return who the authentication found for this request, if it ran."""
    return getattr(request.state, "actor", None)


def language_of(request: Request) -> Language:
    """Return the reader's language: set for this page, else chosen by cookie or account, else the browser's."""
    forced = getattr(request.state, "language", None)
    if forced is not None:
        return Language(forced)
    actor = actor_of(request)
    chosen = actor.language if actor is not None else request.cookies.get(LANGUAGE_COOKIE)
    return choose_language(
        chosen=chosen,
        accept_language=request.headers.get("accept-language"),
        fallback=Language(services_of(request).settings.default_language),
    )


def is_htmx(request: Request) -> bool:
    return request.headers.get("hx-request") == "true" and request.headers.get("hx-history-restore-request") != "true"


def _templates(request: Request, language: Language) -> Jinja2Templates:
    known: dict[Language, Jinja2Templates] = request.app.state.templates
    if language not in known:
        known[language] = Jinja2Templates(env=build_environment(language, page_globals=request.app.state.page_globals))
    return known[language]


def page(request: Request, template: str, context: object, *, status: int = 200, fragment: str | None = None,
         headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """Render a page, or its block ``fragment`` alone when htmx asks for it.

    ``context`` is a dataclass (its fields become names) or a mapping. Beside them every template sees ``request``,
    ``actor``, ``language``, ``theme``, ``time_zone``, ``csrf_token``, ``flashes``, ``now``, ``demo``.
    """
    services = services_of(request)
    actor = actor_of(request)
    language = language_of(request)
    if dataclasses.is_dataclass(context) and not isinstance(context, type):
        names: dict[str, object] = {field.name: getattr(context, field.name) for field in dataclasses.fields(context)}
    else:
        names = dict(context) if isinstance(context, Mapping) else {}
    flash = request.cookies.get(FLASH_COOKIE)
    names |= {
        "actor": actor,
        "theme": request.cookies.get(THEME_COOKIE, "auto"),
        "time_zone": actor.time_zone if actor is not None else services.settings.time_zone,
        "csrf_token": csrf_token_of(request),
        "flashes": [unquote(flash)] if flash else [],
        "now": services.database.clock.now(),
        "demo": services.demo,
        "current_route": getattr(request.scope.get("route"), "name", ""),
    }
    templates = _templates(request, language)
    wanted = fragment if fragment is not None and is_htmx(request) else None
    if wanted is not None:
        names["request"] = request
        source = templates.env.get_template(template)
        jinja_context = source.new_context(names)
        next(source.root_render_func(jinja_context), None)  # runs the imports of macros at the top of the file
        block = source.blocks[wanted]
        response: HTMLResponse = HTMLResponse("".join(block(jinja_context)), status_code=status, headers=dict(headers or {}))
    else:
        response = templates.TemplateResponse(request, template, names, status_code=status, headers=dict(headers or {}))
    attach_form_cookie(request, response)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Vary"] = "HX-Request, Cookie"
    if flash and wanted is None:
        response.delete_cookie(FLASH_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


def redirect(request: Request, url: object, *, flash: str = "", values: Mapping[str, object] | None = None) -> Response:
    """Send the reader on with 303 after a change; ``flash`` is an English sentence, translated here."""
    response = RedirectResponse(str(url), status_code=303)
    if flash:
        text = translator(language_of(request)).gettext(flash)
        text = text.format(**values) if values else text
        response.set_cookie(FLASH_COOKIE, quote(text), max_age=60, path="/", secure=True, httponly=True, samesite="lax")
    return response


def page_error(request: Request, status: int, sentence: str, values: Mapping[str, object], *,
               headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """Show an error of the tree as a calm page that says what happened."""
    text = translator(language_of(request)).gettext(sentence)
    return page(request, "error.html", {"status": status, "message": text.format(**values) if values else text},
                status=status, headers=headers)
