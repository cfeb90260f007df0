"""Errors of the tree as messages beside the fields of a form. Not here: the status table (`web/errors.py`)."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from orchestrator.core.errors import AppError
from orchestrator.core.i18n import translator
from web.errors import status_of
from web.htmx import language_of


def say(request: Request, error: AppError) -> str:
    """Return an error's sentence in the reader's language."""
    text = translator(language_of(request)).gettext(error.sentence)
    return text.format(**error.values) if error.values else text


def field_errors(request: Request, error: AppError, *, names: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the error under the name of its form field; what is about no field comes under the empty name.

    `names` translates the service's field names into those of the form.
    """
    field = getattr(error, "field", None) or ""
    return {(names or {}).get(field, field): say(request, error)}


def status_for(error: AppError) -> int:
    """Return the HTTP status of a form that is shown again."""
    return status_of(error)
