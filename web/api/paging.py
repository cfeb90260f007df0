"""Cursor pages of lists that are short by nature and read whole: a ticket's sessions, a session's events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from orchestrator.core.cursors import decode_cursor, encode_cursor
from orchestrator.core.errors import InvalidInput
from orchestrator.core.i18n import _

Row = TypeVar("Row")


def cut_page(rows: Sequence[Row], key: Callable[[Row], str | int], cursor: str | None, limit: int) -> tuple[Sequence[Row], str | None]:
    """Return the rows behind the one whose key the cursor holds, at most ``limit``, and the cursor of what follows.

    Raises ``InvalidInput`` for a cursor that is none or whose row is gone.
    """
    start = 0
    if cursor:
        (wanted,) = decode_cursor(cursor, str)
        found = next((place for place, row in enumerate(rows) if str(key(row)) == wanted), None)
        if found is None:
            raise InvalidInput(_("This is not a place in the list. Start again at its top."), field="cursor")
        start = found + 1
    page = rows[start:start + limit]
    return page, encode_cursor(str(key(page[-1]))) if len(rows) > start + limit else None
