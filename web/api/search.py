"""/search: what the search box finds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from orchestrator.search.service import search
from web.api.shapes.base import Filter, Limit, Page
from web.api.shapes.findings import HitShape
from web.auth import CurrentUser
from web.deps import Reading

router = APIRouter(prefix="/search", tags=["search"])


@router.get("", name="api:search", response_model=Page[HitShape])
def find(unit: Reading, actor: CurrentUser, q: Filter = None, cursor: Annotated[str, Query(pattern=r"^[0-9]{1,6}$")] = "0",
         limit: Limit = 20) -> Page[HitShape]:
    """Search with the query language of the search box."""
    page = search(unit, actor, q or "", offset=int(cursor), limit=limit)
    hits = [HitShape(kind=hit.kind, id=hit.ref_id, title=hit.title, snippet="".join(part.text for part in hit.snippet), ticket=hit.ticket_number,
                     happened_at=hit.happened_at) for hit in page.hits]
    return Page(items=hits, next=None if page.next is None else str(page.next))
