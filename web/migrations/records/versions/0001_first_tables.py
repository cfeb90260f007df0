"""The first tables, with their triggers and full-text structures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from web.schema import RECORD_DDL, run_statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "commands",
        sa.Column("channel_id", sa.String(length=36), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("session_id", sa.String(length=36), nullable=False),
        sa.Column("shell_sequence", sa.Integer(), nullable=True),
        sa.Column("line", sa.Text(), nullable=True),
        sa.Column("line_length", sa.Integer(), nullable=False),
        sa.Column("directory", sa.String(length=4096), nullable=True),
        sa.Column("directory_after", sa.String(length=4096), nullable=True),
        sa.Column("exit_status", sa.Integer(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("offset_start", sa.BigInteger(), nullable=False),
        sa.Column("offset_end", sa.BigInteger(), nullable=True),
        sa.Column("shell", sa.String(length=40), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "seq", name=op.f("pk_commands")),
    )
    op.create_index(op.f("ix_commands_session_id"), "commands", ["session_id"], unique=False)
    op.create_table(
        "record_contents",
        sa.Column("channel_id", sa.String(length=36), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=False),
        sa.Column("encoding", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "seq", name=op.f("pk_record_contents")),
    )
    op.create_table(
        "record_erasures",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("channel_id", sa.String(length=36), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("actor_name", sa.String(length=200), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_erasures")),
    )
    op.create_table(
        "record_links",
        sa.Column("channel_id", sa.String(length=36), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("previous", sa.LargeBinary(length=32), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("metadata_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("offset_start", sa.BigInteger(), nullable=False),
        sa.Column("offset_end", sa.BigInteger(), nullable=False),
        sa.Column("time_start", sa.Float(precision=53), nullable=False),
        sa.Column("time_end", sa.Float(precision=53), nullable=False),
        sa.Column("event_count", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "seq", name=op.f("pk_record_links")),
        sa.UniqueConstraint("channel_id", "previous", name=op.f("uq_record_links_channel_id_previous")),
    )
    op.create_index("ix_record_links_channel_offset", "record_links", ["channel_id", "offset_end"], unique=False)
    op.create_table(
        "recorded_exits",
        sa.Column("channel_id", sa.String(length=36), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("output_bytes", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("channel_id", name=op.f("pk_recorded_exits")),
    )
    connection = op.get_bind()
    for extra in RECORD_DDL:
        run_statements(connection, extra(connection.dialect.name))


def downgrade() -> None:
    op.drop_table("recorded_exits")
    op.drop_index("ix_record_links_channel_offset", table_name="record_links")
    op.drop_table("record_links")
    op.drop_table("record_erasures")
    op.drop_table("record_contents")
    op.drop_index(op.f("ix_commands_session_id"), table_name="commands")
    op.drop_table("commands")
