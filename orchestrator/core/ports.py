"""Ports: what a lower room needs from a higher one, implemented above and registered in ``web/app.py``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestrator.core.db import ReadUnit


class LinkBuilder(Protocol):
    """Absolute addresses for mails; built from the public URL and the route table."""

    def ticket(self, number: str) -> str: ...

    def session(self, session_id: str) -> str: ...

    def consent(self, token: str) -> str: ...

    def set_up(self, token: str) -> str: ...


@dataclass(frozen=True, slots=True)
class SearchDocument:
    """What a source offers for the search index. ``ticket_id`` and ``organisation_id`` serve the permission filter."""

    kind: str
    ref_id: str
    title: str
    body: str
    language: str | None
    ticket_id: str | None
    organisation_id: str | None
    queue_id: str | None
    internal: bool
    happened_at: datetime


class SearchSource(Protocol):
    """Offer documents of one kind: one by reference (None = gone), or all for a rebuild."""

    kind: str

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None: ...

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]: ...

