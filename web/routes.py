"""The modules whose routers make up the program. Add a line here for each new page, API or socket module."""

from __future__ import annotations

from collections import deque
from importlib import import_module

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

PAGES = (
    "web.pages.login",
    "web.pages.set_up",
    "web.pages.account",
    "web.pages.preferences",
    "web.pages.settings",
    "web.pages.audit",
    "web.pages.board",
    "web.pages.ticket_customer",
    "web.pages.new_ticket",
    "web.pages.tickets",
    "web.pages.ticket_actions",
    "web.pages.ticket",
    "web.pages.connect",
    "web.pages.customers",
    "web.pages.contacts",
    "web.pages.knowledge",
    "web.pages.search",
    "web.pages.endpoints",
    "web.pages.sessions",
    "web.pages.replay",
    "web.pages.session_draft",
    "web.pages.consent",
    "web.pages.requests",
    "web.pages.health",
)
SOCKETS = ("web.sockets.link", "web.sockets.channel", "web.sockets.console", "web.sockets.watch", "web.sockets.live")
API = ("web.api.router",)


def include_routes(app: FastAPI, *, demo: bool) -> None:
    """Include every router; the demo inbox only in ``fernwart demo``."""
    names = (*PAGES, *SOCKETS, *API, *(("web.pages.demo",) if demo else ()))
    for name in names:
        app.include_router(import_module(name).router)
    deque(iter_route_contexts(app.routes), maxlen=0)  # resolved now, not by the first visitor
