"""What a failing statement becomes: 503 when the database is away, an error of the program when the statement is wrong;
and its secrets stay out of the log."""

from __future__ import annotations

import time

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from orchestrator.accounts.models import User
from orchestrator.core.db import Database
from orchestrator.core.errors import Unavailable
from tests.builders import make_user

SECRET = "never-write-this-into-a-log"
ADDRESS = "anna@desk.example"


def log_text(exc: BaseException) -> str:
    """The text that a log line about the error carries."""
    entry = structlog.processors.format_exc_info(None, "error", {"exc_info": exc})
    return str(entry["exception"]) + str(exc)


def test_a_secret_bound_in_a_failing_statement_is_not_logged(database: Database) -> None:
    with database.write() as unit:
        make_user(unit, email=ADDRESS)
    with pytest.raises(IntegrityError) as twice, database.write() as unit:
        user = make_user(unit, email=ADDRESS)
        user.password_hash = SECRET
        unit.db.flush()
    with pytest.raises(IntegrityError) as missing, database.write() as unit:
        user = make_user(unit, email="other@desk.example")
        user.password_hash = SECRET
        unit.db.flush()
        unit.db.execute(text(f"update {User.__tablename__} set name = null where id = :id"), {"id": user.id})
    for raised in (twice, missing):
        assert "constraint" in log_text(raised.value).lower()
        assert SECRET not in log_text(raised.value)
        assert ADDRESS not in log_text(raised.value)


def test_a_wrong_statement_is_not_taken_for_a_database_that_is_away(database: Database) -> None:
    for statement in ("select nothing from nowhere", "selekt 1"):
        with pytest.raises(DBAPIError), database.read() as unit:
            unit.db.execute(text(statement))


def wait_until_ended(database: Database, backend: int) -> None:
    until = time.monotonic() + 10
    with database.read() as unit:
        while unit.db.scalar(text("select count(*) from pg_stat_activity where pid = :pid"), {"pid": backend}):
            assert time.monotonic() < until, "the connection was not ended"
            time.sleep(0.02)


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
@pytest.mark.parametrize("cause", ["cut by the administrator", "idle for too long"])
def test_a_connection_that_the_server_ended_means_unavailable(database: Database, cause: str) -> None:
    with pytest.raises(Unavailable), database.write() as unit:
        backend = unit.db.scalar(text("select pg_backend_pid()"))
        assert isinstance(backend, int)
        if cause == "idle for too long":
            unit.db.execute(text("set idle_in_transaction_session_timeout = 50"))
        else:
            with database.write() as other:
                other.db.execute(text("select pg_terminate_backend(:pid)"), {"pid": backend})
        wait_until_ended(database, backend)
        unit.db.execute(text("select 1"))
    database.ping()


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_a_damaged_or_locked_file_means_unavailable(database: Database, tmp_path: object) -> None:
    path = database.url.database
    assert path is not None
    locker = Database(f"sqlite:///{path}")
    with locker.write(), pytest.raises(Unavailable), database.read() as unit:
        unit.db.execute(text("PRAGMA query_only=OFF"))
        unit.db.execute(text("PRAGMA busy_timeout=10"))
        unit.db.execute(text("delete from users"))
    locker.dispose()
    database.dispose()
    with open(path, "r+b") as file:
        file.write(b"this is no database" * 200)
    with pytest.raises(Unavailable):
        Database(f"sqlite:///{path}").ping()
