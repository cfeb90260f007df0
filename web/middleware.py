"""What every response carries and every request must respect: security headers, body limits, one log line.

Written as plain ASGI so that WebSockets pass untouched and streaming stays streaming.
"""

from __future__ import annotations

import re
import time

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.core.logging import mask_token_links

log = structlog.get_logger("fernwart.access")

REQUESTS = Counter("fernwart_http_requests_total", "Answered HTTP requests", ["method", "status"])
SECONDS = Histogram("fernwart_http_request_seconds", "Time to answer an HTTP request", buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5))

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)
CSP_TERMINAL = CSP.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")

BODY_BYTES = 256 * 1024
LONG_TEXT_BYTES = 4 * 1024 * 1024
"""Tickets and articles hold texts of up to half a million characters, and a form writes one in up to nine bytes."""
ATTACHMENT_BYTES = 32 * 1024 * 1024

_LONG_TEXTS = re.compile(r"/(?:api/v1/)?(?:tickets|knowledge|articles|sessions)(?:/|\Z)")
_ATTACHMENTS = re.compile(r"/tickets/[^/]+/reply\Z")


def body_limit_of(path: str) -> int:
    """Bytes that the body of a request to this path may have: little where anybody may ask."""
    if _ATTACHMENTS.match(path):
        return ATTACHMENT_BYTES
    return LONG_TEXT_BYTES if _LONG_TEXTS.match(path) else BODY_BYTES


HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """Set the headers of the policy on every HTTP response. A handler may set its own Content-Security-Policy first."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", CSP)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "private, no-store")
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if self._https:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyLimit:
    """Refuse a request whose body is larger than its path allows with 413, before anything reads it into memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = body_limit_of(scope["path"])
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > limit:
            await _refuse(send)
            return
        seen = 0
        refused = False

        async def receive_counted() -> Message:
            nonlocal seen, refused
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    refused = True
                    return {"type": "http.disconnect"}
            return message

        async def send_unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        await self._app(scope, receive_counted, send_unless_refused)
        if refused:
            await _refuse(send)


async def _refuse(send: Send) -> None:
    body = b"The request is too large."
    await send({"type": "http.response.start", "status": 413,
                "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


class AccessLog:
    """Count every request and log those that changed something, failed, or were slow. Token links are masked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            seconds = time.perf_counter() - started
            REQUESTS.labels(scope["method"], str(status)).inc()
            SECONDS.observe(seconds)
            if scope["method"] not in ("GET", "HEAD") or status >= 400 or seconds > 1:
                log.info("request", method=scope["method"], path=mask_token_links(scope["path"]), status=status, ms=round(seconds * 1000, 1))
