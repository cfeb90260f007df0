"""Serves the program's own static files from memory: hashed addresses, compressed once, cached for ever.

Here: the ASGI application mounted at `/static` and the addresses of its files. Not here: anything a user stored;
recordings and attachments never come from a folder.

An address is `/static/<version>/<path>`. The version is one hash over all files, so that ES modules may import each other by
relative paths and still change together. Only files that existed at start are served, so a path cannot leave the folder.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

FOLDER = Path(__file__).resolve().parent / "static"
_FOREVER = "public, max-age=31536000, immutable"
_SERVED = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
}
_LARGEST_SMALL_FILE_BYTES = 512


@dataclass(slots=True)
class StaticFile:
    """One file as it is sent. `packed` is made at the first request that accepts gzip and kept."""

    media_type: str
    content: bytes
    etag: str
    packed: bytes | None = None

    def pack(self) -> bytes:
        """Return the file compressed with gzip; repeatable, so that the ETag stays true."""
        if self.packed is None:
            self.packed = gzip.compress(self.content, compresslevel=9, mtime=0)
        return self.packed


class StaticFiles:
    """ASGI application for `/static`; `url(path)` gives the address of a file and raises for an unknown one."""

    def __init__(self, folder: Path = FOLDER, *, prefix: str = "/static") -> None:
        self._prefix = prefix
        self._files = dict(_read_files(folder))
        whole = hashlib.sha256()
        for name, file in sorted(self._files.items()):
            whole.update(f"{name}\0{file.etag}\0".encode())
        self.version = whole.hexdigest()[:12]

    def url(self, path: str) -> str:
        """Return the address of a static file, for templates: `static("fernwart.css")`."""
        if path not in self._files:
            raise KeyError(f"there is no static file {path}")
        return f"{self._prefix}/{self.version}/{path}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = self._answer(scope) if scope["type"] == "http" else PlainTextResponse("Not found", 404)
        await response(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Method not allowed", 405, headers={"Allow": "GET, HEAD"})
        path = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        version, _, name = path.partition("/")
        file = self._files.get(name) if version == self.version else self._files.get(path)
        if file is None and len(version) == len(self.version):
            # A page from before an update asks with the old version: the present file is better than none.
            file = self._files.get(name)
        if file is None:
            return PlainTextResponse("Not found", 404)
        sent = {name.lower(): value for name, value in scope["headers"]}
        headers = {
            "ETag": file.etag,
            "Vary": "Accept-Encoding",
            "Cache-Control": _FOREVER if version == self.version else "no-cache",
        }
        if file.etag.encode() in [tag.strip() for tag in sent.get(b"if-none-match", b"").split(b",")]:
            return Response(status_code=304, headers=headers)
        content = file.content
        if len(content) > _LARGEST_SMALL_FILE_BYTES and b"gzip" in sent.get(b"accept-encoding", b"") and _is_text(file.media_type):
            content = file.pack()
            headers["Content-Encoding"] = "gzip"
        return Response(content, headers=headers, media_type=file.media_type)


def _is_text(media_type: str) -> bool:
    return not media_type.startswith("image/") or media_type == "image/svg+xml"


def _read_files(folder: Path) -> list[tuple[str, StaticFile]]:
    files: list[tuple[str, StaticFile]] = []
    for path in sorted(folder.rglob("*")):
        media_type = _SERVED.get(path.suffix) or (mimetypes.guess_type(path.name)[0] if path.suffix == ".woff2" else None)
        if media_type is None or not path.is_file():
            continue
        content = path.read_bytes()
        etag = f'W/"{hashlib.sha256(content).hexdigest()[:20]}"'
        files.append((path.relative_to(folder).as_posix(), StaticFile(media_type=media_type, content=content, etag=etag)))
    return files
