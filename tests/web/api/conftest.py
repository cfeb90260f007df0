"""One office for the modules that need SQLite only, and one for each engine where the engine matters."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from orchestrator.core.settings import Settings
from tests.postgres import PostgresServer
from tests.web.api.office import Office, open_office


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Generator[Office, None, None]:
    """The program on SQLite."""
    data = tmp_path_factory.mktemp("api") / "data"
    with open_office(Settings(data_dir=data, mail_from="Fernwart <support@desk.example>", recording_reserve_bytes=1024)) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgresql_office(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Generator[Office, None, None]:
    """The program on PostgreSQL."""
    url = postgres_server.create_database()
    data = tmp_path_factory.mktemp("api-pg") / "data"
    settings = Settings(data_dir=data, database_url=url, mail_from="Fernwart <support@desk.example>", recording_reserve_bytes=1024)
    with open_office(settings) as opened:
        yield opened
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def each_office(request: pytest.FixtureRequest) -> Office:
    """The program on both engines."""
    return request.getfixturevalue("office" if request.param == "sqlite" else "postgresql_office")
