"""The pages of accounts, served over real HTTP in this process, and a small browser that shows what it sends and gets.

Only the routers that are asked about are included; the names that the frame of the pages links to lead nowhere here.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.cookies import SimpleCookie
from types import ModuleType
from typing import Any, cast

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.responses import PlainTextResponse

from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from orchestrator.core.signals import MemorySignals
from web.errors import install_error_handlers
from web.links import RouteLinks
from web.middleware import AccessLog, BodyLimit, SecurityHeaders
from web.pages import account, audit, login, preferences, set_up
from web.pages import settings as settings_page
from web.services import Services
from web.static_files import StaticFiles

ELSEWHERE = {
    "board:show": "/", "tickets:list": "/tickets", "tickets:new": "/tickets/new", "tickets:show": "/tickets/{number}",
    "articles:list": "/knowledge", "customers:list": "/customers", "endpoints:list": "/endpoints", "sessions:list": "/sessions",
    "search:show": "/search",
}


_TEMPLATES: dict[Any, Any] = {}
"""Compiled once for all tests of a process: what they compile to does not depend on the app."""


@cache
def _static_files() -> StaticFiles:
    return StaticFiles()


async def _nowhere() -> PlainTextResponse:
    return PlainTextResponse("elsewhere")


def build_app(settings: Settings, database: Database, record_database: Database,
              modules: Sequence[ModuleType] = (login, set_up, account, settings_page, audit, preferences)) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    static = _static_files()
    app.state.templates = _TEMPLATES
    app.state.page_globals = {"static": static.url, "url_for": None}
    app.mount("/static", static, name="static")
    for module in modules:
        app.include_router(module.router)
    for name, path in ELSEWHERE.items():
        app.add_api_route(path, _nowhere, name=name)
    app.add_api_route("/tickets/take-next", _nowhere, methods=["POST"], name="tickets:take-next")
    install_error_handlers(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders, https=True)
    app.add_middleware(AccessLog)
    absent = cast(Any, None)
    app.state.services = Services(
        settings=settings, database=database, record_database=record_database, events=database.events, signals=MemorySignals(),
        blocking=ThreadPoolExecutor(2), hashing=ThreadPoolExecutor(2), keys=absent, links=RouteLinks(settings.public_url, app),
        live=absent, indexing=absent,
    )
    return app


@contextmanager
def serve_app(app: FastAPI) -> Generator[str, None, None]:
    """Serve an app on a free port of this machine in a thread; yield its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, ws="none", lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.005)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        services: Services = app.state.services
        services.blocking.shutdown()
        services.hashing.shutdown()


@dataclass(slots=True)
class Browser:
    """Keeps cookies as they were set (also ``Secure`` ones, as browsers do on loopback), and never follows by itself."""

    address: str
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)
    page: httpx.Response | None = None
    _client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20))

    def request(self, method: str, path: str, *, data: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None,
                content: bytes | None = None) -> httpx.Response:
        sent = {"accept-language": "en", **(headers or {})}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self._client.cookies.clear()
        response = self._client.request(method, self.address + path, data=data, content=content, headers=sent)
        self.set_cookies = response.headers.get_list("set-cookie")
        for line in self.set_cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        self.page = response
        return response

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form with the token of the page that was loaded last."""
        return self.request("POST", path, data={"csrf_token": self.token(), **fields})

    def token(self) -> str:
        found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', self.page.text if self.page is not None else "")
        assert found, "the page has no form"
        return found[1]

    def close(self) -> None:
        self._client.close()
