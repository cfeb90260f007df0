"""Known problems for a ticket: articles that share its telling words, in the reader's language where there is a choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.db import ReadUnit
from orchestrator.knowledge.models import Article, ArticleUse
from orchestrator.search.service import find_alike
from orchestrator.tickets.models import Entry, Ticket


@dataclass(frozen=True, slots=True)
class KnownProblem:
    """``helped`` of ``used`` tickets were helped by it (as far as somebody said)."""

    article: Article
    helped: int
    used: int


def known_problems(unit: ReadUnit, actor: Actor, ticket: Ticket, *, limit: int = 5) -> Sequence[KnownProblem]:
    """Return the articles most alike to the ticket's subject and first entry, best first."""
    if not actor.may(Right.ARTICLES_READ):
        return []
    first = unit.db.scalar(select(Entry.text).where(Entry.ticket_id == ticket.id, Entry.seq == 1)) or ""
    found = find_alike(unit, actor, f"{ticket.subject}\n{first[:2000]}", kind="article", limit=limit * 3)
    articles = {article.id: article for article in unit.db.scalars(select(Article).where(Article.id.in_([ref for ref, _ in found])))}
    chosen: dict[str, Article] = {}
    for ref_id, _score in found:
        article = articles.get(ref_id)
        if article is None or article.state != "published":
            continue
        known = chosen.get(article.group_id)
        if known is None or (known.language != actor.language and article.language == actor.language):
            chosen[article.group_id] = article
    best = list(chosen.values())[:limit]
    counts = {row.article_id: row for row in unit.db.execute(
        select(ArticleUse.article_id, func.count().label("used"), func.count().filter(ArticleUse.helped.is_(True)).label("helped"))
        .where(ArticleUse.article_id.in_([article.id for article in best])).group_by(ArticleUse.article_id))}
    return [KnownProblem(article, counts[article.id].helped if article.id in counts else 0, counts[article.id].used if article.id in counts else 0)
            for article in best]
