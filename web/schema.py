"""Make the tables: by Alembic in the product, by the same statements for tests and scratch databases.

Triggers and full-text structures are not part of SQLAlchemy's metadata; each room that needs some offers them as
``extra_ddl(dialect_name)``. ``list_missing_triggers`` is what ``fernwart check`` compares.
"""

from __future__ import annotations

import re
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

import orchestrator.audit.ddl
import orchestrator.search.ddl
import sessions.recording.ddl
from orchestrator.core.db import Base, Database, RecordBase
from web import tables

MAIN_DDL = (orchestrator.audit.ddl.extra_ddl, orchestrator.search.ddl.extra_ddl)
RECORD_DDL = (sessions.recording.ddl.extra_ddl,)


def create_schema(database: Database, record_database: Database) -> None:
    """Create everything in empty databases, without Alembic; for tests and scratch databases."""
    assert tables.Base is Base
    for store, metadata, extras in (
        (database, Base.metadata, MAIN_DDL), (record_database, RecordBase.metadata, RECORD_DDL),
    ):
        with store.write_engine.begin() as connection:
            metadata.create_all(connection)
            for extra in extras:
                run_statements(connection, extra(connection.dialect.name))


def run_statements(connection: Connection, statements: list[str]) -> None:
    """Run DDL statements as they are, without looking for bind parameters in them."""
    for statement in statements:
        connection.exec_driver_sql(statement)


def migrate(database: Database, record_database: Database) -> None:
    """Bring both databases to the newest revision; safe to call at every start."""
    for store, branch in ((database, "main"), (record_database, "records")):
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations" / branch))
        config.attributes["engine"] = store.write_engine
        command.upgrade(config, "head")


_TRIGGER = re.compile(r"create\s+(?:or\s+replace\s+)?(?:constraint\s+)?trigger\s+(?:if\s+not\s+exists\s+)?([a-z_0-9]+)", re.IGNORECASE)


def list_missing_triggers(database: Database, record_database: Database) -> list[str]:
    """Name the triggers that ought to be there and are not."""
    missing: list[str] = []
    for store, extras in ((database, MAIN_DDL), (record_database, RECORD_DDL)):
        wanted = {name.lower() for extra in extras for statement in extra(store.write_engine.dialect.name)
                  for name in _TRIGGER.findall(statement)}
        missing += sorted(wanted - _present_triggers(store.write_engine))
    return missing


def _present_triggers(engine: Engine) -> set[str]:
    query = ("select name from sqlite_master where type = 'trigger'" if engine.dialect.name == "sqlite"
             else "select tgname from pg_trigger where not tgisinternal")
    with engine.connect() as connection:
        return {str(row[0]).lower() for row in connection.execute(text(query))}
