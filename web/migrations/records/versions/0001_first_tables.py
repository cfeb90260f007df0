"""The first tables, with their triggers and full-text structures."""

from __future__ import annotations

from alembic import op

from web import tables
from web.schema import RECORD_DDL, run_statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    tables.RecordBase.metadata.create_all(connection)
    for extra in RECORD_DDL:
        run_statements(connection, extra(connection.dialect.name))


def downgrade() -> None:
    tables.RecordBase.metadata.drop_all(op.get_bind())
