"""Migrations: they lead to exactly the tables of the models, with every trigger, on both databases; twice changes nothing."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from orchestrator.core.db import Base, Database, RecordBase
from tests.postgres import PostgresServer
from web.schema import list_missing_triggers, migrate


@pytest.fixture
def empty(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Generator[tuple[Database, Database], None, None]:
    """Two empty databases (on PostgreSQL the same one)."""
    if engine_name == "sqlite":
        stores = Database(f"sqlite:///{tmp_path / 'main.sqlite'}"), Database(f"sqlite:///{tmp_path / 'records.sqlite'}")
        yield stores
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.create_database()
        stores = Database(url, pool_size=2), Database(url, pool_size=2)
        yield stores
    for store in stores:
        store.dispose()


def differences(store: Database, base: type[Base] | type[RecordBase], *, others: set[str]) -> list[str]:
    """What the models have and the database has not, or the other way round; search structures are DDL of their own."""
    own = ("search_fts", "schema_version", "record_schema_version")

    def included(item: object, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
        table = name if kind == "table" else getattr(getattr(item, "table", None), "name", "")
        return not (str(table).startswith(own) or table in others or name in ("vector", "ix_search_documents_vector"))

    with store.write_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": included})
        return [str(difference) for difference in compare_metadata(context, base.metadata)]


def test_migrations_lead_to_the_tables_of_the_models(empty: tuple[Database, Database]) -> None:
    main, records = empty
    migrate(main, records)
    assert differences(main, Base, others=set(RecordBase.metadata.tables)) == []
    assert differences(records, RecordBase, others=set(Base.metadata.tables)) == []
    assert list_missing_triggers(main, records) == []
    migrate(main, records)
    assert list_missing_triggers(main, records) == []


def test_a_missing_trigger_is_named(empty: tuple[Database, Database]) -> None:
    main, records = empty
    migrate(main, records)
    with main.write_engine.begin() as connection:
        if main.is_sqlite:
            name = connection.execute(text("select name from sqlite_master where type = 'trigger' and name like 'chain_links%' limit 1")).scalar_one()
            connection.exec_driver_sql(f"drop trigger {name}")
        else:
            name = connection.execute(text("select tgname from pg_trigger where not tgisinternal and tgname like 'chain_links%' limit 1")).scalar_one()
            connection.exec_driver_sql(f"drop trigger {name} on chain_links")
    assert list_missing_triggers(main, records) == [name]
