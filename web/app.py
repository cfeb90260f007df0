"""Puts the program together: settings in, an ASGI application out. Nothing else assembles parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from orchestrator.core.settings import Settings
from web.doors import HostCheck
from web.errors import install_error_handlers
from web.lifespan import build_services, run_services
from web.links import RouteLinks
from web.middleware import AccessLog, BodyLimit, SecurityHeaders
from web.routes import include_routes
from web.static_files import StaticFiles


def create_app(settings: Settings, *, demo: bool = False) -> FastAPI:
    """Build the application. Databases are opened and migrated when it starts, not when it is built."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = build_services(settings, links=RouteLinks(settings.public_url, app), demo=demo)
        app.state.services = services
        async with run_services(services):
            yield

    app = FastAPI(title="Fernwart", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None,
                  redirect_slashes=False)
    static = StaticFiles()
    app.state.templates = {}
    app.state.page_globals = {"static": static.url, "url_for": None}
    app.mount("/static", static, name="static")
    include_routes(app, demo=demo)
    install_error_handlers(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(HostCheck, public_url=settings.public_url, listen_host=settings.host)
    app.add_middleware(SecurityHeaders, https=settings.public_url.startswith("https://"))
    app.add_middleware(AccessLog)
    return app
