"""Reading articles: one, a list, versions, and what the search index holds of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from orchestrator.accounts.actor import Actor, Right
from orchestrator.core.cursors import decode_cursor, encode_cursor
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import NotFound
from orchestrator.core.ids import parse_id
from orchestrator.core.ports import SearchDocument
from orchestrator.knowledge.models import Article, ArticleVersion


@dataclass(frozen=True, slots=True)
class ArticlePage:
    """``next`` is the cursor of the following page, or None."""

    items: Sequence[Article]
    next: str | None


def get_article(unit: ReadUnit, actor: Actor, article_id: str) -> Article:
    """Return an article. Drafts and withdrawn ones are for those who may write.

    Raises:
        NotFound: there is none, or it is not yours to see.
    """
    article = unit.db.get(Article, parse_id(article_id))
    if article is None or not actor.may(Right.ARTICLES_READ) or (article.state != "published" and not actor.may(Right.ARTICLES_WRITE)):
        raise NotFound()
    return article


def list_articles(unit: ReadUnit, actor: Actor, *, state: str | None = None, language: str | None = None, cursor: str | None = None,
                  limit: int = 50) -> ArticlePage:
    """List articles, newest first. ``cursor`` is what the page before called ``next``."""
    actor.require(Right.ARTICLES_READ)
    statement = select(Article).order_by(Article.id.desc()).limit(limit + 1)
    if not actor.may(Right.ARTICLES_WRITE):
        statement = statement.where(Article.state == "published")
    elif state:
        statement = statement.where(Article.state == state)
    if language:
        statement = statement.where(Article.language == language)
    if cursor:
        (last_id,) = decode_cursor(cursor, str)
        statement = statement.where(Article.id < last_id)
    rows = list(unit.db.scalars(statement))
    return ArticlePage(rows[:limit], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None)


def list_languages(unit: ReadUnit, actor: Actor, article: Article) -> Sequence[Article]:
    """Return the same article in its other languages."""
    others = unit.db.scalars(select(Article).where(Article.group_id == article.group_id, Article.id != article.id).order_by(Article.language))
    return [other for other in others if other.state == "published" or actor.may(Right.ARTICLES_WRITE)]


def list_versions(unit: ReadUnit, actor: Actor, article: Article) -> Sequence[ArticleVersion]:
    """Return the versions of an article, newest first; for those who may write."""
    actor.require(Right.ARTICLES_WRITE)
    return list(unit.db.scalars(select(ArticleVersion).where(ArticleVersion.article_id == article.id).order_by(ArticleVersion.version.desc())))


class ArticleDocuments:
    """The search source of articles: published ones only."""

    kind = "article"

    def document(self, unit: ReadUnit, ref_id: str) -> SearchDocument | None:
        article = unit.db.get(Article, ref_id)
        return _document(article) if article is not None and article.state == "published" else None

    def all_documents(self, unit: ReadUnit) -> Iterator[SearchDocument]:
        for article in unit.db.scalars(select(Article).where(Article.state == "published").execution_options(yield_per=500)):
            yield _document(article)


def _document(article: Article) -> SearchDocument:
    return SearchDocument("article", article.id, article.title, f"{article.problem}\n\n{article.body}", article.language, None, None, None,
                          article.internal, article.published_at or article.changed_at)
