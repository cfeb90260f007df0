"""/audit: who did what; the list over the audit chain."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from orchestrator.audit.queries import list_audit
from web.api.shapes.base import Filter, Limit, Page
from web.api.shapes.findings import AuditShape
from web.auth import CurrentUser
from web.deps import Reading

router = APIRouter(prefix="/audit", tags=["audit"])


@router.get("", name="api:audit", response_model=Page[AuditShape])
def list_all(unit: Reading, actor: CurrentUser, kind: Filter = None, actor_name: Filter = None, since: AwareDatetime | None = None,
             until: AwareDatetime | None = None, cursor: Annotated[int | None, Query(ge=1, lt=2**31)] = None, limit: Limit = 50) -> Page[AuditShape]:
    """List audit entries, the newest first; ``kind`` whole or by its noun."""
    rows = list_audit(unit, actor, kind=kind or "", actor_name=actor_name or "", since=since, until=until, before_seq=cursor, limit=limit + 1)
    items = [AuditShape.model_validate(row) for row in rows[:limit]]
    return Page(items=items, next=str(items[-1].seq) if len(rows) > limit else None)
