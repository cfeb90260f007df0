"""Reading the audit: the filtered list, one entry with its details, and the verdict over chain and list together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import exists, func, select

from orchestrator.accounts.actor import Actor, Right
from orchestrator.audit.chain import AUDIT_CHAIN, ChainProblem, ChainReport, UnreadableRow, read_in_batches, verify_chain
from orchestrator.audit.models import AuditEntry, ChainContent, ChainLink
from orchestrator.audit.service import list_values
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import NotFound

MAX_PAGE = 500


def list_audit(unit: ReadUnit, actor: Actor, *, kind: str = "", actor_name: str = "", since: datetime | None = None,
               until: datetime | None = None, before_seq: int | None = None, limit: int = 50) -> Sequence[AuditEntry]:
    """List audit entries, newest first. ``kind`` matches whole or by its noun (``login`` finds ``login.failed``);
    ``actor_name`` anywhere in the name; ``until`` is exclusive; ``before_seq`` is the cursor. Needs ``audit:read``."""
    actor.require(Right.AUDIT_READ)
    statement = select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(max(1, min(limit, MAX_PAGE)))
    if kind:
        wanted = [kind] if "." in kind else [known for known in _find_kinds(unit) if known.startswith(f"{kind}.")]
        statement = statement.where(AuditEntry.kind.in_(word.replace("\0", "") for word in wanted))
    if actor_name:
        statement = statement.where(AuditEntry.actor_name.icontains(actor_name.replace("\0", ""), autoescape=True))
    if since is not None:
        statement = statement.where(AuditEntry.happened_at >= since)
    if until is not None:
        statement = statement.where(AuditEntry.happened_at < until)
    if before_seq is not None:
        statement = statement.where(AuditEntry.seq < before_seq)
    return unit.db.scalars(statement).all()


def list_audit_kinds(unit: ReadUnit, actor: Actor) -> Sequence[str]:
    """List the kinds that occur, for the filter. Needs ``audit:read``."""
    actor.require(Right.AUDIT_READ)
    return sorted(_find_kinds(unit))


def _find_kinds(unit: ReadUnit) -> Sequence[str]:
    """Step over the index from kind to kind: there are some dozens among millions of entries."""
    step = select(func.min(AuditEntry.kind).label("kind")).cte("kinds", recursive=True)
    following = select(func.min(AuditEntry.kind)).where(AuditEntry.kind > step.c.kind).correlate(step).scalar_subquery()
    kinds = step.union_all(select(following).where(step.c.kind.is_not(None)))
    return unit.db.scalars(select(kinds.c.kind).where(kinds.c.kind.is_not(None))).all()


def get_audit_entry(unit: ReadUnit, actor: Actor, seq: int) -> AuditEntry:
    """Return an entry of the list. Needs ``audit:read``; raises ``NotFound``."""
    actor.require(Right.AUDIT_READ)
    entry = unit.db.get(AuditEntry, seq) if 0 < seq < 2**31 else None
    if entry is None:
        raise NotFound()
    return entry


def get_audit_details(unit: ReadUnit, actor: Actor, seq: int) -> dict[str, Any]:
    """Return the whole payload of an entry as the chain holds it. Needs ``audit:read``.

    Raises:
        NotFound: no such entry, or its content was erased.
    """
    actor.require(Right.AUDIT_READ)
    payload = unit.db.scalar(
        select(ChainContent.payload)
        .join(ChainLink, ChainLink.content_id == ChainContent.id)
        .where(ChainLink.chain_id == AUDIT_CHAIN, ChainLink.seq == seq)
    )
    if payload is None:
        raise NotFound()
    return json.loads(payload)


def verify_audit(unit: ReadUnit) -> ChainReport:
    """Verify the audit chain, then that the list says what the chain says; the lower of two bad entries is named."""
    report = verify_chain(unit, AUDIT_CHAIN)
    bad_row = _find_differing_row(unit)
    if bad_row is None or (report.first_bad_seq is not None and report.first_bad_seq <= bad_row):
        return report
    return ChainReport(AUDIT_CHAIN, bad_row, report.count, report.head, ChainProblem.LIST_DIFFERS, report.erased)


def _find_differing_row(unit: ReadUnit) -> int | None:
    statement = (
        select(ChainLink.seq, ChainLink.kind, ChainLink.happened_at, ChainContent.payload, AuditEntry)
        .outerjoin(ChainContent, ChainContent.id == ChainLink.content_id)
        .outerjoin(AuditEntry, AuditEntry.seq == ChainLink.seq)
        .where(ChainLink.chain_id == AUDIT_CHAIN)
    )
    checked = 0
    try:
        for seq, kind, happened_at, payload, entry in read_in_batches(unit, statement, ChainLink.seq):
            if entry is None or entry.happened_at != happened_at:
                return seq
            if payload is not None and not _row_agrees(entry, kind, payload):
                return seq
            checked = seq
    except UnreadableRow:
        return checked + 1
    linked = exists().where(ChainLink.chain_id == AUDIT_CHAIN, ChainLink.seq == AuditEntry.seq)
    return unit.db.scalar(select(AuditEntry.seq).where(~linked).order_by(AuditEntry.seq).limit(1))


def _row_agrees(entry: AuditEntry, kind: str, payload: bytes) -> bool:
    try:
        values = list_values(kind, json.loads(payload))
    except (ValueError, AttributeError):
        return False
    return all(getattr(entry, name) == value for name, value in values.items())
