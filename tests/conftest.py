"""Fixtures that every test may use: real databases of both kinds, settings in a temporary folder, the whole program.

``database`` and ``record_database`` run a test on SQLite and on PostgreSQL. Each test gets an empty schema: on SQLite a
copy of a template file, on PostgreSQL a database made from a template database.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import create_engine, text

from orchestrator.accounts.secret_box import prepare_secret_box
from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from tests.postgres import PostgresServer, start_postgres
from web.schema import create_schema

structlog.configure(processors=[
    structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, structlog.processors.StackInfoRenderer(),
    structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
])  # the default draws every local variable of a traceback, which takes a minute in a served program

FORBID_SKIPS = os.environ.get("FERNWART_FORBID_SKIPS") == "1"
SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            missing = (os.geteuid() != 0) if program == "root" else shutil.which(program) is None
            if missing:
                pytest.skip(f"needs {program}, which is not here")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, object, None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's result object
    if FORBID_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"a skip is forbidden here: {report.longrepr}"


@pytest.fixture(scope="session")
def postgres_server() -> Generator[PostgresServer, None, None]:
    """One PostgreSQL server for each test process, on a socket in a temporary folder, stopped at the end.

    The folder is not pytest's: run as root, the server belongs to another user, and any pytest that starts beside this one
    takes the rights on pytest's common folder away from everybody else.
    """
    folder = Path(tempfile.mkdtemp(prefix="fernwart-postgres-"))
    server = start_postgres(folder)
    try:
        template = Database(server.create_database("fernwart_template"), pool_size=2)
        create_schema(template, template)
        template.dispose()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with empty SQLite databases of the current schema, to be copied."""
    folder = tmp_path_factory.mktemp("sqlite")
    main = Database(f"sqlite:///{folder / 'fernwart.sqlite'}")
    records = Database(f"sqlite:///{folder / 'recordings.sqlite'}")
    create_schema(main, records)
    for store in (main, records):
        with store.write_engine.connect() as connection:
            connection.commit()
            connection.exec_driver_sql("rollback") if connection.in_transaction() else None
        store.dispose()
        raw = create_engine(store.url)
        with raw.connect() as connection:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        raw.dispose()
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The kind of database a test runs on; a test that asks for ``sqlite_settings`` runs on SQLite alone."""
    return str(request.param)


def _sqlite_settings(tmp_path: Path, template: Path) -> Settings:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    for name in ("fernwart.sqlite", "recordings.sqlite"):
        shutil.copyfile(template / name, data / name)
    return Settings(data_dir=data, mail_from="Fernwart <support@desk.example>", recording_reserve_bytes=1024)


@pytest.fixture
def sqlite_settings(tmp_path: Path, sqlite_template: Path) -> Settings:
    return _sqlite_settings(tmp_path, sqlite_template)


@pytest.fixture
def settings(request: pytest.FixtureRequest, engine_name: str, tmp_path: Path) -> Generator[Settings, None, None]:
    """Settings of a program with an empty database of ``engine_name``."""
    if engine_name == "sqlite":
        yield _sqlite_settings(tmp_path, request.getfixturevalue("sqlite_template"))
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database(template="fernwart_template")
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    yield Settings(data_dir=data, database_url=url, mail_from="Fernwart <support@desk.example>", recording_reserve_bytes=1024)
    server.drop_database(url)


@pytest.fixture
def database(settings: Settings) -> Generator[Database, None, None]:
    store = Database(settings.sqlalchemy_url, pool_size=25)
    prepare_secret_box(store, settings.data_dir)
    yield store
    store.dispose()


@pytest.fixture
def record_database(settings: Settings) -> Generator[Database, None, None]:
    store = Database(settings.recordings_url, pool_size=5)
    yield store
    store.dispose()


@pytest.fixture
def sqlite_database(sqlite_settings: Settings) -> Generator[Database, None, None]:
    """For tests whose subject does not depend on the engine."""
    store = Database(sqlite_settings.sqlalchemy_url)
    prepare_secret_box(store, sqlite_settings.data_dir)
    yield store
    store.dispose()


@pytest.fixture
def shared_mail() -> Path:
    """The folder of real and odd mail that lies beside a clone; skipped visibly where it is absent."""
    folder = SHARED_DATA / "mail"
    if not folder.is_dir():
        pytest.skip(f"needs the mail collection at {folder}, which is not here")
    return folder


@pytest.fixture(autouse=True)
def _no_inherited_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the machine must not leak into tests."""
    for name in list(os.environ):
        if name.startswith("FERNWART_") and name != "FERNWART_FORBID_SKIPS":
            monkeypatch.delenv(name)


assert sys.version_info >= (3, 11)
