"""Fixtures for the pages of accounts: a served desk, and people who can log in to it."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest

from orchestrator.accounts.actor import Role
from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from tests.orchestrator.accounts.builders import Person, add_person, log_in
from tests.web.desk import Browser, build_app, serve_app


@pytest.fixture
def desk(sqlite_settings: Settings, sqlite_database: Database) -> Generator[Callable[[], Browser], None, None]:
    """Opens a fresh browser on the served pages."""
    app = build_app(sqlite_settings, sqlite_database, sqlite_database)
    browsers: list[Browser] = []
    with serve_app(app) as address:

        def open_browser() -> Browser:
            browsers.append(Browser(address))
            return browsers[-1]

        yield open_browser
        for browser in browsers:
            browser.close()


@pytest.fixture
def enter(desk: Callable[[], Browser], sqlite_database: Database) -> Callable[..., tuple[Browser, Person]]:
    """Adds a person with roles and opens a browser that is logged in as them: ``enter(Role.LEAD, email=…)``."""

    def run(*roles: Role, email: str = "anna@desk.example", name: str = "Anna Kaya", password_hash: str = "no hash") -> tuple[Browser, Person]:
        person = add_person(sqlite_database, *roles, email=email, name=name, password_hash=password_hash)
        with sqlite_database.write() as unit:
            _actor, secret = log_in(unit, person, address="127.0.0.1")
        browser = desk()
        browser.cookies["__Host-fernwart-login"] = secret
        return browser, person

    return run
