"""Structured logs: one JSON object a line (or readable text on a console), secrets masked, control characters encoded."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

_TOKEN_PATHS = re.compile(r"(/(?:consent|set-up|login/link)/)[A-Za-z0-9_\-]{8,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def mask_token_links(text: str) -> str:
    """Replace the secret part of our own token links by ``***``."""
    return _TOKEN_PATHS.sub(r"\1***", text)


def _clean(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in entry.items():
        if key == "exception" and isinstance(value, str):  # the only text with lines; each begins with "| ", so that none passes for an entry
            entry[key] = "\n".join(f"| {_clean_value(line)}" for line in value.split("\n"))
        elif not key.startswith("_"):
            entry[key] = _clean_value(value)
    return entry


def _clean_value(value: Any) -> Any:
    """Mask and encode text at any depth; what is neither text nor a collection stays as it is."""
    if isinstance(value, str):
        return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", mask_token_links(value))
    if isinstance(value, dict):
        return {_clean_value(name): _clean_value(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean_value(each) for each in value]
    return value


def configure_logging(log_format: Literal["json", "console"], *, level: int = logging.INFO) -> None:
    """Route structlog and the standard library to standard error in one format."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _clean,
    ]
    renderer: Any = structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    ))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for talkative in ("uvicorn.access", "alembic", "mail.log", "websockets"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
