"""The whole program, served in a thread of this process over real HTTP, with logins of every role."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from fastapi import FastAPI

from orchestrator.accounts.actor import SYSTEM, Role
from orchestrator.accounts.logins import begin_login, prove_login
from orchestrator.accounts.models import User
from orchestrator.accounts.secret_box import set_totp_secret
from orchestrator.accounts.tokens import create_token
from orchestrator.core.db import Database, WriteUnit
from orchestrator.core.settings import Settings
from tests.builders import make_user
from web.app import create_app
from web.security import LOGIN_COOKIE
from web.services import Services


@dataclass(slots=True)
class Whole:
    """A running program: ``app`` and ``services`` of this process, ``url`` to ask it."""

    app: FastAPI
    url: str

    @property
    def services(self) -> Services:
        return self.app.state.services

    @property
    def database(self) -> Database:
        return self.services.database

    def cookie_of(self, user: User) -> dict[str, str]:
        """Headers of a browser in which the user has logged in with both factors."""
        with self.database.write() as unit:
            login, _secret = begin_login(unit, user, address="127.0.0.1", agent_name="test")
            return {"Cookie": f"{LOGIN_COOKIE}={prove_login(unit, login, hours=1)}"}

    def token_of(self, user: User, *rights: str) -> dict[str, str]:
        """Headers of an API client with a token of the user."""
        with self.database.write() as unit:
            return {"Authorization": f"Bearer {create_token(unit, SYSTEM, user=user, rights=list(rights or ('all',)), hours=1)}"}

    def client(self, headers: Mapping[str, str] | None = None) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=headers, timeout=20)


def make_people(unit: WriteUnit) -> dict[str, User]:
    """One user of each role, by the role's name."""
    people = {role.value: make_user(unit, name=role.value.title(), roles=(role,), email=f"{role.value}@desk.example") for role in Role}
    for user in people.values():
        user.password_hash = "unusable"
        set_totp_secret(unit, user, "JBSWY3DPEHPK3PXP")
    unit.db.flush()
    return people


@contextmanager
def run_whole(settings: Settings, *, demo: bool = False) -> Generator[Whole, None, None]:
    """Serve the program on a free port until the block ends."""
    app = create_app(settings, demo=demo)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, ws="websockets-sansio", ws_per_message_deflate=False, lifespan="on",
                                           proxy_headers=bool(settings.trusted_proxies), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive() and time.monotonic() < until, "the program did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Whole(app, f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the program did not stop"
