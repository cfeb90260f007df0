"""Alembic's entry for this database; the engine is handed over by ``web.schema.migrate``."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Engine

from web import tables

engine: Engine = context.config.attributes["engine"]

with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=tables.RecordBase.metadata, version_table="record_schema_version",
                      render_as_batch=False, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
