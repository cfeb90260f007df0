"""What happens to articles."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.events import Event


@dataclass(frozen=True, slots=True)
class ArticleChanged(Event):
    """Written, changed, published or withdrawn."""

    article_id: str
    ticket_id: str | None
