"""Triggers that hold the chains append-only, in both databases, one statement each.

Links, erasures and the audit list never change or go. A content may go when an erasure names it, and never changes. The
head of a chain moves forward by one only. SQLite's REPLACE deletes without asking delete triggers, so replacing inserts
are refused by themselves; PostgreSQL's TRUNCATE likewise.
"""

from __future__ import annotations

_FROZEN = ("chain_links", "erasures", "audit_entries")
_SAME_ROW = {
    "chain_links": "exists (select 1 from chain_links where chain_id = new.chain_id and (seq = new.seq or previous = new.previous))",
    "chain_contents": "exists (select 1 from chain_contents where id = new.id)",
    "erasures": "exists (select 1 from erasures where id = new.id)",
    "audit_entries": "exists (select 1 from audit_entries where seq = new.seq)",
    "chains": "exists (select 1 from chains where id = new.id)",
}


def extra_ddl(dialect_name: str) -> list[str]:
    """Return the statements to run after the tables were created."""
    return _postgresql() if dialect_name == "postgresql" else _sqlite()


def _sqlite() -> list[str]:
    def refuse(table: str, name: str, event: str, condition: str = "") -> str:
        when = f" when {condition}" if condition else ""
        return (f"create trigger {table}_{name} before {event} on {table} for each row{when} "
                f"begin select raise(abort, '{table} is append-only'); end")

    statements = [refuse(table, "no_update", "update") for table in (*_FROZEN, "chain_contents")]
    statements += [refuse(table, "no_delete", "delete") for table in (*_FROZEN, "chains")]
    statements.append(refuse("chain_contents", "erased_only", "delete",
                             "not exists (select 1 from erasures where content_id = old.id)"))
    statements.append(refuse("chains", "forward_only", "update", (
        "new.id is not old.id or new.kind is not old.kind or new.created_at is not old.created_at "
        "or new.seq is not old.seq + 1")))
    statements += [refuse(table, "no_replace", "insert", same) for table, same in _SAME_ROW.items()]
    return statements


def _postgresql() -> list[str]:
    refuse_body = "begin raise exception using message = tg_table_name || ' is append-only', errcode = 'restrict_violation'; end"
    statements = [
        f"create or replace function fernwart_refuse_change() returns trigger language plpgsql as $$ {refuse_body} $$",
        "create or replace function fernwart_refuse_unerased() returns trigger language plpgsql as $$ begin "
        "if not exists (select 1 from erasures where content_id = old.id) then "
        "raise exception using message = 'chain_contents is append-only', errcode = 'restrict_violation'; "
        "end if; return old; end $$",
        "create or replace function fernwart_refuse_step_back() returns trigger language plpgsql as $$ begin "
        "if new.id <> old.id or new.kind <> old.kind or new.created_at <> old.created_at or new.seq <> old.seq + 1 then "
        "raise exception using message = 'chains is append-only', errcode = 'restrict_violation'; "
        "end if; return new; end $$",
    ]

    def trigger(table: str, name: str, event: str, function: str, each: str = "row") -> str:
        return f"create trigger {table}_{name} before {event} on {table} for each {each} execute function {function}()"

    statements += [trigger(table, "no_update", "update", "fernwart_refuse_change") for table in (*_FROZEN, "chain_contents")]
    statements += [trigger(table, "no_delete", "delete", "fernwart_refuse_change") for table in (*_FROZEN, "chains")]
    statements.append(trigger("chain_contents", "erased_only", "delete", "fernwart_refuse_unerased"))
    statements.append(trigger("chains", "forward_only", "update", "fernwart_refuse_step_back"))
    statements += [trigger(table, "no_truncate", "truncate", "fernwart_refuse_change", "statement")
                   for table in (*_FROZEN, "chain_contents", "chains")]
    return statements
