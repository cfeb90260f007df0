"""What somebody with the database file in his hands can do: the triggers off, and any statement run."""

from __future__ import annotations

import re

from sqlalchemy import text

from orchestrator.audit.ddl import extra_ddl
from orchestrator.core.db import Database

_TRIGGER = re.compile(r"create trigger (\w+) before .+? on (\w+) ")


def tamper(database: Database, *statements: str, **values: object) -> None:
    """Take the triggers away and run statements behind the program's back."""
    postgresql = not database.is_sqlite
    with database.write_engine.begin() as connection:
        for statement in extra_ddl(database.write_engine.dialect.name):
            found = _TRIGGER.match(statement)
            if found:
                connection.exec_driver_sql(f"drop trigger if exists {found[1]}" + (f" on {found[2]}" if postgresql else ""))
        for statement in statements:
            connection.execute(text(statement), values)
