"""The only table from errors to HTTP, and the two ways to show one: a page, or problem details (RFC 9457)."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from orchestrator.accounts.errors import LinkSpent, NotLoggedIn, TooManyAttempts
from orchestrator.core.errors import AppError, Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from web.api.conditions import Outdated
from web.auth import login_redirect
from web.htmx import is_htmx, page_error

log = structlog.get_logger(__name__)

STATUS: dict[type[AppError], int] = {
    NotLoggedIn: 401, TooManyAttempts: 429, LinkSpent: 410, Outdated: 412,
    NotFound: 404, Forbidden: 403, Conflict: 409, InvalidInput: 422, Unavailable: 503,
}


def status_of(error: AppError) -> int:
    """Find the HTTP status of an error by its nearest class in the tree."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def problem(status: int, title: str, *, detail: str = "", code: str = "error", field: str | None = None,
            errors: list[dict[str, str]] | None = None, headers: dict[str, str] | None = None) -> JSONResponse:
    """Build a problem details answer (RFC 9457); ``code`` is stable, ``title`` is for people."""
    body: dict[str, object] = {"type": f"urn:fernwart:problem:{code}", "title": title, "status": status}
    if detail:
        body["detail"] = detail
    if field:
        body["field"] = field
    if errors:
        body["errors"] = errors
    return JSONResponse(body, status_code=status, media_type="application/problem+json", headers=headers)


def wants_problem(request: Request) -> bool:
    return request.url.path.startswith("/api/") or "application/json" in request.headers.get("accept", "")


def _show(request: Request, status: int, sentence: str, *, code: str, values: dict[str, object] | None = None,
          field: str | None = None, headers: dict[str, str] | None = None) -> Response:
    if wants_problem(request):
        text = sentence.format(**values) if values else sentence
        return problem(status, text, code=code, field=field, errors=[{"field": field, "message": text}] if field else None, headers=headers)
    return page_error(request, status, sentence, values or {}, headers=headers)


def install_error_handlers(app: FastAPI) -> None:
    """Register the handlers of the tree, of validation, and of plain HTTP errors."""

    async def on_app_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, AppError)
        headers = {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, Unavailable) else None
        location = None if wants_problem(request) else login_redirect(request, error)
        if location is not None:
            if is_htmx(request):
                return Response(status_code=status_of(error), headers={"HX-Redirect": location})
            return Response(status_code=303, headers={"Location": location})
        if isinstance(error, NotLoggedIn):
            headers = {"WWW-Authenticate": 'Bearer realm="fernwart"'}
        return _show(request, status_of(error), error.sentence, code=error.code, values=error.values,
                     field=getattr(error, "field", None), headers=headers)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = [{"field": ".".join(str(part) for part in item["loc"][1:]), "message": item["msg"]} for item in error.errors()]
        if wants_problem(request):
            return problem(422, "Some fields cannot be used.", code="invalid_input", errors=errors)
        return page_error(request, 422, "Some fields cannot be used: {fields}", {"fields": ", ".join(item["field"] for item in errors)})

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        known = {404: NotFound().sentence, 405: "This address does not take that kind of request.", 403: Forbidden().sentence}
        sentence = known.get(error.status_code, str(error.detail))
        headers = dict(error.headers) if error.headers else None
        return _show(request, error.status_code, sentence, code=f"http_{error.status_code}", headers=headers)

    async def on_anything(request: Request, error: Exception) -> Response:
        log.error("request failed", path=request.url.path, method=request.method, exc_info=error)
        return _show(request, 500, "Something went wrong on our side. It has been logged.", code="internal")

    app.add_exception_handler(AppError, on_app_error)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_anything)
