"""The audit: entries and the list over them, filters, and a list that says something else than its chain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from orchestrator.accounts.actor import SYSTEM, Actor, ActorKind, Right, Role, rights_of
from orchestrator.audit.chain import ChainProblem
from orchestrator.audit.queries import get_audit_details, list_audit, list_audit_kinds, verify_audit
from orchestrator.audit.service import record_audit
from orchestrator.core.clock import FixedClock
from orchestrator.core.db import Database
from orchestrator.core.errors import Forbidden, NotFound
from tests.orchestrator.audit.tampering import tamper

ANNA = Actor(kind=ActorKind.USER, id="u1", name="Anna Kaya", rights=rights_of(frozenset({Role.AUDITOR})), address="192.0.2.1")


def write_some(database: Database) -> None:
    with database.write() as unit:
        record_audit(unit, ANNA, "login.succeeded", subject="user u1", summary="Logged in.")
        record_audit(unit, SYSTEM, "mail.received", ticket_number="2026-000001-7", details={"bytes": 12})
        record_audit(unit, ANNA, "login.failed", summary="100 % wrong_code")


def test_an_audit_entry_is_in_chain_and_list(database: Database) -> None:
    write_some(database)
    with database.read() as unit:
        report = verify_audit(unit)
        entries = list_audit(unit, ANNA)
        details = get_audit_details(unit, ANNA, 2)
    assert report.is_whole and report.count == 3
    assert [entry.kind for entry in entries] == ["login.failed", "mail.received", "login.succeeded"]
    assert entries[-1].address == "192.0.2.1"
    assert details["details"] == {"bytes": 12} and details["actor"]["kind"] == "system"


def test_the_list_is_filtered_and_paged(database: Database) -> None:
    write_some(database)
    with database.read() as unit:
        assert len(list_audit(unit, ANNA, kind="login")) == 2
        assert len(list_audit(unit, ANNA, kind="login.failed")) == 1
        assert len(list_audit(unit, ANNA, kind="log")) == 0
        assert len(list_audit(unit, ANNA, actor_name="kaya")) == 2
        assert len(list_audit(unit, ANNA, actor_name="%")) == 0
        assert [entry.seq for entry in list_audit(unit, ANNA, limit=2)] == [3, 2]
        assert [entry.seq for entry in list_audit(unit, ANNA, limit=2, before_seq=2)] == [1]
        assert list_audit_kinds(unit, ANNA) == ["login.failed", "login.succeeded", "mail.received"]


def test_the_list_is_filtered_by_time(database: Database) -> None:
    write_some(database)
    clock = FixedClock(database.clock.now() + timedelta(days=1))
    database.clock = clock
    with database.write() as unit:
        record_audit(unit, ANNA, "login.revoked")
    with database.read() as unit:
        assert [entry.kind for entry in list_audit(unit, ANNA, since=clock.moment)] == ["login.revoked"]
        assert len(list_audit(unit, ANNA, until=clock.moment)) == 3


def test_the_audit_is_not_for_everybody(database: Database) -> None:
    technician = Actor(kind=ActorKind.USER, id="u2", name="T", rights=rights_of(frozenset({Role.TECHNICIAN})))
    with database.read() as unit:
        for call in (list_audit, list_audit_kinds):
            with pytest.raises(Forbidden):
                call(unit, technician)
        with pytest.raises(Forbidden):
            get_audit_details(unit, technician, 1)
        with pytest.raises(NotFound):
            get_audit_details(unit, ANNA, 1)
    assert not technician.may(Right.AUDIT_READ)


def test_a_row_of_the_list_that_was_edited_is_named(database: Database) -> None:
    write_some(database)
    tamper(database, "update audit_entries set summary = 'nothing' where seq = 3")
    with database.read() as unit:
        report = verify_audit(unit)
    assert (report.first_bad_seq, report.problem) == (3, ChainProblem.LIST_DIFFERS)


def test_a_row_of_the_list_that_cannot_be_read_is_named(sqlite_database: Database) -> None:
    write_some(sqlite_database)
    tamper(sqlite_database, "update audit_entries set happened_at = 'yesterday' where seq = 2")
    with sqlite_database.read() as unit:
        assert verify_audit(unit).first_bad_seq == 2


def test_a_row_of_the_list_that_was_deleted_is_named(database: Database) -> None:
    write_some(database)
    tamper(database, "delete from audit_entries where seq = 2")
    with database.read() as unit:
        assert verify_audit(unit).first_bad_seq == 2


def test_a_row_of_the_list_that_no_entry_stands_behind_is_named(database: Database) -> None:
    write_some(database)
    tamper(database, "insert into audit_entries select 9, kind, actor_kind, actor_id, actor_name, subject, ticket_number, summary, "
                     "address, happened_at from audit_entries where seq = 1")
    with database.read() as unit:
        assert verify_audit(unit).first_bad_seq == 9


def test_the_first_of_two_bad_entries_is_named(database: Database) -> None:
    write_some(database)
    tamper(database, "update audit_entries set summary = 'nothing' where seq = 1", "delete from chain_links where seq = 3")
    with database.read() as unit:
        assert verify_audit(unit).first_bad_seq == 1
    tamper(database, "delete from chain_links where seq = 1")
    with database.read() as unit:
        assert verify_audit(unit).problem is ChainProblem.MISSING


@pytest.mark.parametrize("statement", ["update audit_entries set summary = 'x'", "delete from audit_entries"])
def test_triggers_refuse_to_change_the_list(database: Database, statement: str) -> None:
    write_some(database)
    with pytest.raises(DatabaseError, match="append-only"), database.write() as unit:
        unit.db.execute(text(statement))


def test_odd_and_long_texts_are_listed_and_still_verify(database: Database) -> None:
    odd = Actor(kind=ActorKind.USER, id="u3", name="N\x00ul \ud800 " + "x" * 300)
    with database.write() as unit:
        record_audit(unit, odd, "article.written", subject="s" * 500, summary="y" * 5000)
    with database.read() as unit:
        assert verify_audit(unit).is_whole
        entry = list_audit(unit, ANNA)[0]
    assert entry.actor_name.startswith("N?ul ? xxx") and len(entry.summary) == 1000


def test_what_an_api_token_did_is_listed_as_such(sqlite_database: Database) -> None:
    with sqlite_database.write() as unit:
        record_audit(unit, replace(ANNA, token_id="t1"), "session.requested")
    with sqlite_database.read() as unit:
        assert list_audit(unit, ANNA)[0].actor_name == "Anna Kaya (API token)"
        assert verify_audit(unit).is_whole


@pytest.mark.parametrize("kind", ["login", "Login.failed", "login.failed!", "a." + "b" * 60])
def test_a_kind_is_noun_and_verb(database: Database, kind: str) -> None:
    with pytest.raises(ValueError), database.write() as unit:
        record_audit(unit, SYSTEM, kind)
