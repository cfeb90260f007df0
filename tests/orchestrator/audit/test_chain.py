"""The chain: what is appended verifies, and whatever is touched afterwards is named."""

from __future__ import annotations

import hashlib
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from orchestrator.audit.chain import ChainProblem, append_entry, chain_head, verify_chain
from orchestrator.audit.hashes import canonical_json, link_hash, metadata_hash, start_hash
from orchestrator.audit.models import ChainContent, ChainLink, Erasure
from orchestrator.core.db import Database
from tests.orchestrator.audit.tampering import tamper

CHAIN = "session-1"


def write_entries(database: Database, count: int = 5, chain_id: str = CHAIN) -> None:
    with database.write() as unit:
        for number in range(1, count + 1):
            append_entry(unit, chain_id, "step.done", {"number": number, "who": "Jürgen"})


def verdict(database: Database, chain_id: str = CHAIN) -> tuple[int | None, ChainProblem | None]:
    with database.read() as unit:
        report = verify_chain(unit, chain_id)
    return report.first_bad_seq, report.problem


def rehash(database: Database, seq: int) -> None:
    """Make a changed link agree with itself again, as a forger would."""
    with database.write() as unit:
        link = unit.db.get_one(ChainLink, (CHAIN, seq))
        metadata = metadata_hash(kind=link.kind, content_id=link.content_id, happened_at=link.happened_at)
        own = link_hash(chain_id=CHAIN, seq=link.seq, previous=link.previous, content=link.content_hash, metadata=metadata)
        link.metadata_hash, link.hash = metadata, own


def test_a_whole_chain_verifies_and_its_head_is_the_last_link(database: Database) -> None:
    write_entries(database, 5)
    write_entries(database, 2, "session-2")
    with database.read() as unit:
        report = verify_chain(unit, CHAIN)
        last = unit.db.scalars(select(ChainLink).where(ChainLink.chain_id == CHAIN).order_by(ChainLink.seq.desc())).first()
        assert last is not None
        assert chain_head(unit, CHAIN) == (5, last.hash)
    assert report.is_whole
    assert (report.count, report.head) == (5, last.hash)


def test_the_first_link_can_be_computed_by_hand(database: Database) -> None:
    with database.write() as unit:
        link = append_entry(unit, CHAIN, "step.done", {"b": 1, "a": "ä"})
        content = unit.db.get_one(ChainContent, link.content_id)
    assert content.payload == '{"a":"ä","b":1}'.encode()
    hashed = hashlib.sha256(b"fernwart chain content v1\0" + content.salt + content.payload).digest()
    at = link.happened_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    described = json.dumps({"at": at, "content": link.content_id, "kind": "step.done"}, separators=(",", ":")).encode()
    metadata = hashlib.sha256(b"fernwart chain metadata v1\0" + described).digest()
    previous = hashlib.sha256(b"fernwart chain start v1\0" + CHAIN.encode()).digest()
    parts = b"\0\0\0\x09session-1" + (1).to_bytes(8, "big") + previous + hashed + metadata
    assert link.hash == hashlib.sha256(b"fernwart chain link v1\0" + parts).digest()
    assert link.previous == previous == start_hash(CHAIN)


def test_an_unknown_chain_is_empty_and_whole(database: Database) -> None:
    with database.read() as unit:
        report = verify_chain(unit, "nobody")
    assert report.is_whole and report.count == 0


def test_a_rolled_back_unit_leaves_no_entry(database: Database) -> None:
    write_entries(database, 1)
    with pytest.raises(RuntimeError), database.write() as unit:
        append_entry(unit, CHAIN, "step.done", {})
        raise RuntimeError
    with database.read() as unit:
        assert verify_chain(unit, CHAIN).count == 1


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_edited_content_is_named(database: Database, seq: int) -> None:
    write_entries(database)
    tamper(database, "update chain_contents set payload = :payload where id = (select content_id from chain_links where seq = :seq)",
           payload=b'{"number":0}', seq=seq)
    assert verdict(database) == (seq, ChainProblem.CONTENT_EDITED)


def test_content_deleted_without_an_erasure_is_named(database: Database) -> None:
    write_entries(database)
    tamper(database, "delete from chain_contents where id = (select content_id from chain_links where seq = 4)")
    assert verdict(database) == (4, ChainProblem.CONTENT_DELETED)


@pytest.mark.parametrize("change", ["kind = 'step.undone'", "happened_at = '2020-01-01 00:00:00'"])
def test_edited_link_is_named(database: Database, change: str) -> None:
    write_entries(database)
    tamper(database, f"update chain_links set {change} where seq = 3")
    assert verdict(database) == (3, ChainProblem.LINK_EDITED)


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_an_edited_link_with_its_hash_made_right_is_named(database: Database, seq: int) -> None:
    write_entries(database)
    tamper(database, f"update chain_links set kind = 'step.undone' where seq = {seq}")
    rehash(database, seq)
    bad, problem = verdict(database)
    assert bad == seq
    assert problem in (ChainProblem.LINK_EDITED, ChainProblem.HEAD_DIFFERS)


@pytest.mark.parametrize("change", ["happened_at = 'yesterday'", "hash = 'text'", "previous = 'text'", "content_hash = 7", "kind = x'00ff'"])
def test_what_does_not_even_fit_its_column_is_named(sqlite_database: Database, change: str) -> None:
    write_entries(sqlite_database)
    tamper(sqlite_database, f"update chain_links set {change} where seq = 3")
    assert verdict(sqlite_database) == (3, ChainProblem.LINK_EDITED)


@pytest.mark.parametrize("change", ["payload = 'text'", "salt = 7"])
def test_content_that_does_not_even_fit_its_column_is_named(sqlite_database: Database, change: str) -> None:
    write_entries(sqlite_database)
    tamper(sqlite_database, f"update chain_contents set {change} where id = (select content_id from chain_links where seq = 3)")
    assert verdict(sqlite_database) == (3, ChainProblem.CONTENT_EDITED)


def test_a_link_hung_elsewhere_with_its_hash_made_right_is_named(database: Database) -> None:
    write_entries(database)
    tamper(database, "update chain_links set previous = :other where seq = 3", other=b"x" * 32)
    rehash(database, 3)
    assert verdict(database) == (3, ChainProblem.LINK_EDITED)


def test_a_deleted_entry_is_missing(database: Database) -> None:
    write_entries(database)
    tamper(database, "delete from chain_links where seq = 2")
    assert verdict(database) == (2, ChainProblem.MISSING)


def test_a_deleted_first_entry_is_missing(database: Database) -> None:
    write_entries(database)
    tamper(database, "delete from chain_links where seq = 1")
    assert verdict(database) == (1, ChainProblem.MISSING)


def test_a_gap_closed_by_renumbering_is_found_at_the_gap(database: Database) -> None:
    write_entries(database)
    tamper(database, "delete from chain_links where seq = 3", "update chain_links set seq = 3 where seq = 4",
           "update chain_links set seq = 4 where seq = 5")
    assert verdict(database) == (3, ChainProblem.LINK_EDITED)


def test_swapped_entries_are_found_at_the_first(database: Database) -> None:
    write_entries(database)
    tamper(database, "update chain_links set seq = 99 where seq = 2", "update chain_links set seq = 2 where seq = 3",
           "update chain_links set seq = 3 where seq = 99")
    assert verdict(database) == (2, ChainProblem.LINK_EDITED)


def test_a_cut_tail_is_found_by_the_head(database: Database) -> None:
    write_entries(database)
    tamper(database, "delete from chain_links where seq >= 4")
    assert verdict(database) == (4, ChainProblem.CUT)


def test_a_head_set_back_shows_what_stands_beyond(database: Database) -> None:
    write_entries(database)
    tamper(database, "update chains set seq = 3")
    assert verdict(database) == (4, ChainProblem.BEYOND_HEAD)


def test_erased_content_keeps_the_chain_whole(database: Database) -> None:
    write_entries(database)
    with database.write() as unit:
        link = unit.db.get_one(ChainLink, (CHAIN, 2))
        unit.db.add(Erasure(content_id=link.content_id, reason="asked for", actor_name="A", happened_at=unit.now))
        unit.db.flush()
        unit.db.delete(unit.db.get_one(ChainContent, link.content_id))
    with database.read() as unit:
        report = verify_chain(unit, CHAIN)
    assert report.is_whole and report.erased == 1


@pytest.mark.parametrize("statement", [
    "update chain_links set kind = 'x'",
    "delete from chain_links",
    "update chain_contents set payload = salt",
    "delete from chain_contents",
    "update erasures set reason = 'other'",
    "delete from erasures",
    "update chains set seq = seq",
    "update chains set seq = seq - 1",
    "delete from chains",
])
def test_triggers_refuse_to_change_what_is_written(database: Database, statement: str) -> None:
    write_entries(database)
    with database.write() as unit:
        unit.db.add(Erasure(content_id="0" * 32, reason="r", actor_name="A", happened_at=unit.now))
    with pytest.raises(DatabaseError, match="append-only"), database.write() as unit:
        unit.db.execute(text(statement))
    assert verdict(database) == (None, None)


@pytest.mark.parametrize("table", ["chain_links", "chain_contents", "chains"])
def test_replacing_and_truncating_are_refused(database: Database, table: str) -> None:
    write_entries(database)
    statement = f"insert or replace into {table} select * from {table}" if database.is_sqlite else f"truncate {table} cascade"
    with pytest.raises(DatabaseError, match="append-only"), database.write() as unit:
        unit.db.execute(text(statement))


def test_concurrent_writers_make_one_chain(database: Database) -> None:
    failures: list[BaseException] = []

    def write_ten() -> None:
        try:
            for number in range(10):
                with database.write() as unit:
                    append_entry(unit, CHAIN, "step.done", {"number": number})
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=write_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not failures
    with database.read() as unit:
        report = verify_chain(unit, CHAIN)
    assert report.is_whole and report.count == 40


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_canonical_json_does_not_depend_on_the_order_of_keys(payload: dict[str, object]) -> None:
    turned = dict(reversed(payload.items()))
    assert canonical_json(payload) == canonical_json(turned)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_canonical_json_reads_back_as_the_same_value(payload: dict[str, object]) -> None:
    assert json.loads(canonical_json(payload)) == payload


def test_canonical_json_carries_lone_surrogates_as_question_marks_and_refuses_nan() -> None:
    assert canonical_json({"a": "\ud800"}) == b'{"a":"?"}'
    with pytest.raises(ValueError):
        canonical_json({"a": float("nan")})
