"""Closing what hangs on a session when it ends: open requests are withdrawn, links get the day on which they die.

Making requests is in ``requests.py``, deciding them in ``service.py``; this room's lower part, so that the lifecycle may use it.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update

from orchestrator.core.db import ReadUnit, WriteUnit
from sessions.consent.models import ConsentLink, ConsentRequest

LINK_LIFE_AFTER_END = timedelta(days=30)


def withdraw_open_requests(unit: WriteUnit, session_id: str, *, state: str = "withdrawn") -> list[str]:
    """Close the session's open requests; return their ids."""
    ids = list(unit.db.scalars(select(ConsentRequest.id).where(
        ConsentRequest.session_id == session_id, ConsentRequest.state == "open").with_for_update(key_share=True)))
    if ids:
        unit.db.execute(update(ConsentRequest).where(ConsentRequest.id.in_(ids)).values(state=state, decided_at=unit.now))
    return ids


def let_links_die(unit: WriteUnit, session_id: str) -> None:
    """From now on, state and *stop* of the session's links work for 30 days."""
    requests = select(ConsentRequest.id).where(ConsentRequest.session_id == session_id)
    unit.db.execute(update(ConsentLink).where(ConsentLink.request_id.in_(requests)).values(
        dies_at=unit.now + LINK_LIFE_AFTER_END))


def list_open_requests(unit: ReadUnit, session_id: str) -> list[ConsentRequest]:
    """The session's requests that nobody has answered, the oldest first."""
    return list(unit.db.scalars(select(ConsentRequest).where(
        ConsentRequest.session_id == session_id, ConsentRequest.state == "open").order_by(ConsentRequest.created_at)))
