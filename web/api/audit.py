"""/audit: who did what; the list over the audit chain."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from orchestrator.audit.queries import list_audit
from web.api.shapes import AuditShape, Limit, Page
from web.auth import CurrentUser
from web.deps import Reading

router = APIRouter(prefix="/audit", tags=["audit"])


@router.get("", name="api:audit", response_model=Page[AuditShape])
def list_all(unit: Reading, actor: CurrentUser, kind: Annotated[str, Query(max_length=60)] = "",
             actor_name: Annotated[str, Query(max_length=200)] = "", since: AwareDatetime | None = None, until: AwareDatetime | None = None,
             cursor: Annotated[int | None, Query(ge=1)] = None, limit: Limit = 50) -> Page[AuditShape]:
    rows = list_audit(unit, actor, kind=kind, actor_name=actor_name, since=since, until=until, before_seq=cursor, limit=limit + 1)
    items = [AuditShape.model_validate(row) for row in rows[:limit]]
    return Page(items=items, next=str(items[-1].seq) if len(rows) > limit else None)
