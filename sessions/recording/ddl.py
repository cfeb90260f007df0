"""Triggers that hold recordings append-only, in both databases, one statement each.

Links, exits and erasures never change or go. A content may go when an erasure names it, and never changes. Command rows
are an index that can be made again from the recording: they are no proof and carry no trigger. SQLite's REPLACE deletes
without asking delete triggers, so replacing inserts are refused by themselves; PostgreSQL's TRUNCATE likewise.
"""

from __future__ import annotations

_FROZEN = ("record_links", "record_erasures", "recorded_exits")
_SAME_ROW = {
    "record_contents": "channel_id = new.channel_id and seq = new.seq",
    "record_links": "channel_id = new.channel_id and (seq = new.seq or previous = new.previous)",
    "record_erasures": "id = new.id",
    "recorded_exits": "channel_id = new.channel_id",
}
_ERASED = "exists (select 1 from record_erasures where channel_id = old.channel_id and seq = old.seq)"


def extra_ddl(dialect_name: str) -> list[str]:
    """Return the statements to run after the tables were created."""
    return _postgresql() if dialect_name == "postgresql" else _sqlite()


def _sqlite() -> list[str]:
    def refuse(table: str, name: str, event: str, condition: str = "") -> str:
        when = f" when {condition}" if condition else ""
        return (
            f"create trigger {table}_{name} before {event} on {table} for each row{when} "
            f"begin select raise(abort, '{table} is append-only'); end"
        )

    statements = [refuse(table, "no_update", "update") for table in (*_FROZEN, "record_contents")]
    statements += [refuse(table, "no_delete", "delete") for table in _FROZEN]
    statements.append(refuse("record_contents", "erased_only", "delete", f"not {_ERASED}"))
    statements += [
        refuse(table, "no_replace", "insert", f"exists (select 1 from {table} where {same})")  # noqa: S608 - our own names
        for table, same in _SAME_ROW.items()
    ]
    return statements


def _postgresql() -> list[str]:
    refuse_body = "begin raise exception using message = tg_table_name || ' is append-only', errcode = 'restrict_violation'; end"
    statements = [
        f"create or replace function fernwart_refuse_record_change() returns trigger language plpgsql as $$ {refuse_body} $$",
        "create or replace function fernwart_refuse_unerased_record() returns trigger language plpgsql as $$ begin "
        f"if not {_ERASED} then "
        "raise exception using message = 'record_contents is append-only', errcode = 'restrict_violation'; "
        "end if; return old; end $$",
    ]

    def trigger(table: str, name: str, event: str, function: str, each: str = "row") -> str:
        return f"create trigger {table}_{name} before {event} on {table} for each {each} execute function {function}()"

    tables = (*_FROZEN, "record_contents")
    statements += [trigger(table, "no_update", "update", "fernwart_refuse_record_change") for table in tables]
    statements += [trigger(table, "no_delete", "delete", "fernwart_refuse_record_change") for table in _FROZEN]
    statements.append(trigger("record_contents", "erased_only", "delete", "fernwart_refuse_unerased_record"))
    statements += [trigger(table, "no_truncate", "truncate", "fernwart_refuse_record_change", "statement") for table in tables]
    return statements
