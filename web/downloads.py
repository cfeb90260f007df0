"""Sending stored bytes as a file to keep: never shown by the browser as part of our site, with a safe name."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response

_CSP = "default-src 'none'; sandbox"


def send_download(content: bytes, *, name: str) -> Response:
    """Answer with bytes that the browser stores under `name`; the type is neutral whatever the sender claimed."""
    plain = "".join(character if character.isascii() and (character.isalnum() or character in "._- ") else "_" for character in name)
    return Response(content, media_type="application/octet-stream", headers={
        "Content-Disposition": f"attachment; filename=\"{plain[:100] or 'file'}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": _CSP, "Cache-Control": "private, no-store",
    })
