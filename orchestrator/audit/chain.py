"""Hash chains: append an entry, and verify a chain so that the first entry that was touched is named.

The chain's row in ``chains`` is its head; ``append_entry`` locks it until the transaction ends, so entries of one chain
are ordered by commit. Who appends to a session's chain and to the audit chain in one transaction does it in that order.
The hash format is in ``hashes.py``, what may change in the tables in ``ddl.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, exists, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.orm import InstrumentedAttribute

from orchestrator.audit.hashes import SALT_BYTES, canonical_json, content_hash, link_hash, metadata_hash, start_hash
from orchestrator.audit.models import Chain, ChainContent, ChainLink, Erasure
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.i18n import _
from orchestrator.core.ids import new_id

AUDIT_CHAIN = "audit"
_BATCH_ROWS = 1000


class ChainProblem(StrEnum):
    """What is wrong with the first bad entry, as a sentence for the page and the command."""

    CONTENT_EDITED = _("its content was edited")
    CONTENT_DELETED = _("its content was deleted without an erasure that names it")
    LINK_EDITED = _("its link was edited or moved")
    MISSING = _("it is missing")
    CUT = _("it and what follows were cut off")
    HEAD_DIFFERS = _("it is not the entry that the head of the chain names")
    BEYOND_HEAD = _("it stands beyond the head of the chain")
    LIST_DIFFERS = _("the list shows something else than the chain")


@dataclass(frozen=True, slots=True)
class ChainReport:
    """The verdict over one chain: ``first_bad_seq`` and ``problem`` are None when it is whole. ``count`` is the number of
    links seen, ``head`` the hash of the last good one, ``erased`` how many contents are gone by an erasure."""

    chain_id: str
    first_bad_seq: int | None
    count: int
    head: bytes
    problem: ChainProblem | None
    erased: int = 0

    @property
    def is_whole(self) -> bool:
        return self.first_bad_seq is None


def append_entry(unit: WriteUnit, chain_id: str, kind: str, payload: Mapping[str, object], *,
                 chain_kind: str = "session") -> ChainLink:
    """Append an entry to a chain, which is begun when it does not exist yet; locks its head until the unit ends.

    ``kind`` is ``noun.verb``, at most 60 characters; ``chain_kind`` counts for a new chain only. The payload must be JSON.
    """
    seq, previous = _lock_head(unit, chain_id, chain_kind)
    data = canonical_json(payload)
    salt = os.urandom(SALT_BYTES)
    content = ChainContent(id=new_id(), payload=data, salt=salt)
    hashed = content_hash(salt, data)
    metadata = metadata_hash(kind=kind, content_id=content.id, happened_at=unit.now)
    link = ChainLink(
        chain_id=chain_id, seq=seq + 1, previous=previous, content_id=content.id, content_hash=hashed, kind=kind,
        happened_at=unit.now, metadata_hash=metadata,
        hash=link_hash(chain_id=chain_id, seq=seq + 1, previous=previous, content=hashed, metadata=metadata),
    )
    unit.db.add_all([content, link])
    unit.db.flush()
    unit.db.execute(
        update(Chain).where(Chain.id == chain_id).values(seq=link.seq, head=link.hash),
        execution_options={"synchronize_session": False},
    )
    return link


def _lock_head(unit: WriteUnit, chain_id: str, chain_kind: str) -> tuple[int, bytes]:
    head = select(Chain.seq, Chain.head).where(Chain.id == chain_id).with_for_update()
    row = unit.db.execute(head).one_or_none()
    if row is None:
        values = {"id": chain_id, "kind": chain_kind, "seq": 0, "head": start_hash(chain_id), "created_at": unit.now}
        if unit.db.get_bind().dialect.name == "postgresql":
            unit.db.execute(postgresql_insert(Chain).values(values).on_conflict_do_nothing())
        else:
            unit.db.execute(insert(Chain).values(values))
        row = unit.db.execute(head).one()
    return row.seq, row.head


def chain_head(unit: ReadUnit, chain_id: str) -> tuple[int, bytes] | None:
    """Return seq and hash of the head, or None where there is no such chain."""
    row = unit.db.execute(select(Chain.seq, Chain.head).where(Chain.id == chain_id)).one_or_none()
    return (row.seq, row.head) if row is not None else None


class StoredEntry(NamedTuple):
    """One link with its content as stored; ``payload`` and ``salt`` are None when the content is gone."""

    seq: int
    previous: bytes
    content_id: str
    content_hash: bytes
    kind: str
    happened_at: datetime
    metadata_hash: bytes
    hash: bytes
    payload: bytes | None
    salt: bytes | None
    is_erased: bool


def read_entries(unit: ReadUnit, chain_id: str) -> Iterator[StoredEntry]:
    """Read a chain from its start, in batches, without checking anything."""
    link = ChainLink
    statement = (
        select(
            link.seq, link.previous, link.content_id, link.content_hash, link.kind, link.happened_at, link.metadata_hash,
            link.hash, ChainContent.payload, ChainContent.salt, exists().where(Erasure.content_id == link.content_id),
        )
        .outerjoin(ChainContent, ChainContent.id == link.content_id)
        .where(link.chain_id == chain_id)
    )
    for row in read_in_batches(unit, statement, link.seq):
        yield StoredEntry(*row)


class UnreadableRow(Exception):
    """A row holds what its columns cannot mean, such as a time that is none: somebody wrote into the file."""


def read_in_batches(unit: ReadUnit, statement: Select[*tuple[Any, ...]], seq: InstrumentedAttribute[int]) -> Iterator[Row[*tuple[Any, ...]]]:
    """Yield the rows of a statement ordered by ``seq``, which must be its first column, some at a time and without a cursor
    that stays open. Raises ``UnreadableRow`` at the row that cannot be read, after all rows before it.
    """
    limit, after = _BATCH_ROWS, 0
    while True:
        try:
            rows = unit.db.execute(statement.where(seq > after).order_by(seq).limit(limit)).all()
        except (ValueError, TypeError) as exc:
            if limit == 1:
                raise UnreadableRow from exc
            limit = 1
            continue
        if not rows:
            return
        yield from rows
        after = rows[-1][0]


def verify_chain(unit: ReadUnit, chain_id: str) -> ChainReport:
    """Check every link and content of a chain against its hashes and its head, and name the first entry touched.

    A link that was changed together with its own hash is told from its neighbour by who the rest of the chain stands on.
    """
    stored_head = chain_head(unit, chain_id)
    head_seq, head_hash = stored_head if stored_head is not None else (0, start_hash(chain_id))
    previous = start_hash(chain_id)
    count, erased = 0, 0
    entries = read_entries(unit, chain_id)

    def bad(seq: int, problem: ChainProblem) -> ChainReport:
        return ChainReport(chain_id, seq, count, previous, problem, erased)

    while True:
        try:
            entry = next(entries, None)
        except UnreadableRow:
            return bad(count + 1, ChainProblem.LINK_EDITED)
        if entry is None:
            break
        if entry.seq != count + 1:
            return bad(count + 1, ChainProblem.MISSING)
        if count >= head_seq:  # somebody may have appended since the head was read
            head_seq, head_hash = chain_head(unit, chain_id) or (0, head_hash)
        if count >= head_seq:
            return bad(entry.seq, ChainProblem.BEYOND_HEAD)
        if not _link_holds(chain_id, entry):
            return bad(entry.seq, ChainProblem.LINK_EDITED)
        if entry.previous != previous:
            anchor = _next_previous(entries, head_hash)
            touched = entry.seq - 1 if anchor == entry.hash and entry.seq > 1 else entry.seq
            return bad(touched, ChainProblem.LINK_EDITED)
        problem = _content_problem(entry)
        if problem is not None:
            return bad(entry.seq, problem)
        erased += entry.payload is None
        count += 1
        previous = entry.hash
    if count < head_seq:
        return bad(count + 1, ChainProblem.CUT)
    if previous != head_hash:
        return bad(max(count, 1), ChainProblem.HEAD_DIFFERS)
    return ChainReport(chain_id, None, count, previous, None, erased)


def _next_previous(entries: Iterator[StoredEntry], head_hash: bytes) -> bytes:
    try:
        following = next(entries, None)
    except UnreadableRow:
        return head_hash
    return following.previous if following is not None else head_hash


def _link_holds(chain_id: str, entry: StoredEntry) -> bool:
    try:
        metadata = metadata_hash(kind=entry.kind, content_id=entry.content_id, happened_at=entry.happened_at)
        own = link_hash(chain_id=chain_id, seq=entry.seq, previous=entry.previous, content=entry.content_hash, metadata=metadata)
    except TypeError:  # SQLite stores text where bytes belong, if told so
        return False
    return metadata == entry.metadata_hash and own == entry.hash


def _content_problem(entry: StoredEntry) -> ChainProblem | None:
    if entry.payload is None or entry.salt is None:
        return None if entry.is_erased else ChainProblem.CONTENT_DELETED
    if not isinstance(entry.payload, bytes) or not isinstance(entry.salt, bytes):
        return ChainProblem.CONTENT_EDITED
    return None if content_hash(entry.salt, entry.payload) == entry.content_hash else ChainProblem.CONTENT_EDITED
