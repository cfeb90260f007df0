"""The audit page: who did what, with filters, one entry in full, and the verdict over the chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.accounts.actor import Right
from orchestrator.audit.chain import AUDIT_CHAIN, ChainReport, chain_head
from orchestrator.audit.models import AuditEntry
from orchestrator.audit.queries import get_audit_details, get_audit_entry, list_audit, list_audit_kinds, verify_audit
from orchestrator.core.errors import InvalidInput, NotFound
from orchestrator.core.i18n import _
from web.auth import CurrentUser
from web.deps import Parts, Reading
from web.htmx import page
from web.moments import find_zone

router = APIRouter(prefix="/audit", include_in_schema=False)
PAGE_ROWS = 50


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """As typed; ``since`` and ``until`` are days in the reader's zone, both included."""

    kind: str = ""
    name: str = ""
    since: str = ""
    until: str = ""

    def as_query(self) -> dict[str, str]:
        values = {"kind": self.kind, "name": self.name, "since": self.since, "until": self.until}
        return {key: value for key, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class AuditListPage:
    """``count`` is how many entries the chain has; ``next_seq`` the cursor of the next page."""

    wanted: AuditFilter
    kinds: Sequence[str]
    entries: Sequence[AuditEntry]
    next_seq: int | None
    count: int


@dataclass(frozen=True, slots=True)
class AuditEntryPage:
    seq: int
    entry: AuditEntry
    details: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class AuditVerdictPage:
    report: ChainReport
    problem: str
    seconds: float


@router.get("", name="audit:list")
def list_entries(request: Request, unit: Reading, actor: CurrentUser, kind: str = "", name: str = "", since: str = "", until: str = "",
                 before: str = "") -> Response:
    wanted = AuditFilter(kind=kind[:60], name=name[:200], since=since[:10], until=until[:10])
    zone = find_zone(actor.time_zone)

    def start_of(text: str, days: int = 0) -> datetime | None:
        if not text:
            return None
        try:
            return datetime.combine(date.fromisoformat(text) + timedelta(days=days), time.min, zone).astimezone(UTC)
        except (ValueError, OverflowError) as exc:
            raise InvalidInput(_("This is not a day: {text}"), field="since", text=text) from exc

    entries = list_audit(
        unit, actor, kind=wanted.kind, actor_name=wanted.name, since=start_of(wanted.since), until=start_of(wanted.until, 1),
        before_seq=int(before) if before.isascii() and before.isdigit() and len(before) < 16 else None, limit=PAGE_ROWS + 1,
    )
    shown = entries[:PAGE_ROWS]
    head = chain_head(unit, AUDIT_CHAIN)
    return page(request, "audit/list.html", AuditListPage(
        wanted=wanted, kinds=list_audit_kinds(unit, actor), entries=shown, next_seq=shown[-1].seq if len(entries) > PAGE_ROWS else None,
        count=head[0] if head is not None else 0,
    ), fragment="entries")


@router.get("/verdict", name="audit:verify")
def show_verdict(request: Request, actor: CurrentUser, services: Parts) -> Response:
    """Verify the whole chain now. It is read in batches in a unit of its own, so that nobody waits for it."""
    actor.require(Right.AUDIT_READ)
    started = services.database.clock.now()
    with services.database.read() as unit:
        report = verify_audit(unit)
    seconds = (services.database.clock.now() - started).total_seconds()
    return page(request, "audit/verdict.html", AuditVerdictPage(report, str(report.problem or ""), seconds), fragment="verdict")


@router.get("/{seq}", name="audit:show")
def show_entry(request: Request, unit: Reading, actor: CurrentUser, seq: int) -> Response:
    entry = get_audit_entry(unit, actor, seq)
    try:
        payload: dict[str, Any] | None = get_audit_details(unit, actor, seq)
    except NotFound:
        payload = None
    return page(request, "audit/show.html", AuditEntryPage(seq, entry, payload["details"] if payload is not None else None))
