"""Changing articles: write, change (each change a version), publish, withdraw, note that one was used on a ticket."""

from __future__ import annotations

from orchestrator.accounts.actor import Actor, Right
from orchestrator.audit.service import record_audit
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, InvalidInput, NotFound
from orchestrator.core.ids import new_id, parse_id
from orchestrator.knowledge.events import ArticleChanged
from orchestrator.knowledge.models import Article, ArticleUse, ArticleVersion
from orchestrator.search.index import touch

LANGUAGES = ("de", "en")
BODY_LIMIT = 200_000
"""Characters of an article's body."""


def write_article(unit: WriteUnit, actor: Actor, *, title: str, problem: str, body: str, language: str, internal: bool = True,
                  group_id: str | None = None, from_session_id: str | None = None, from_ticket_id: str | None = None) -> Article:
    """Write a draft. ``group_id`` joins it to the other language of an article.

    Raises:
        InvalidInput: an empty title, an unknown language, a body that is too long.
    """
    actor.require(Right.ARTICLES_WRITE)
    title, problem, body = _checked(title, problem, body, language)
    article = Article(
        id=new_id(), group_id=group_id or new_id(), language=language, title=title, problem=problem, body=body, internal=internal,
        from_session_id=from_session_id, from_ticket_id=from_ticket_id, owner_id=actor.user_id, created_at=unit.now, changed_at=unit.now,
        state="draft", version=1, published_at=None)
    unit.db.add(article)
    unit.db.flush()
    _keep_version(unit, actor, article)
    if from_ticket_id is not None:
        unit.db.add(ArticleUse(article_id=article.id, ticket_id=from_ticket_id, helped=None, created_at=unit.now))
    _tell(unit, article)
    return article


def change_article(unit: WriteUnit, actor: Actor, article_id: str, *, title: str, problem: str, body: str, internal: bool,
                   version: int) -> Article:
    """Change an article; ``version`` is the one that was edited.

    Raises:
        Conflict: somebody else has changed it in between.
    """
    actor.require(Right.ARTICLES_WRITE)
    article = lock_article(unit, article_id)
    if article.version != version:
        raise Conflict("Somebody has changed this article in the meantime. Compare with the current text and save again.")
    title, problem, body = _checked(title, problem, body, article.language)
    article.title, article.problem, article.body, article.internal = title, problem, body, internal
    article.version += 1
    article.changed_at = unit.now
    unit.db.flush()
    _keep_version(unit, actor, article)
    _tell(unit, article)
    return article


def publish_article(unit: WriteUnit, actor: Actor, article_id: str) -> Article:
    """Make a draft (or a withdrawn article) known: found by search and offered on tickets."""
    return _set_state(unit, actor, article_id, "published")


def withdraw_article(unit: WriteUnit, actor: Actor, article_id: str) -> Article:
    """Take an article back: it stays readable to those who write, and is offered no more."""
    return _set_state(unit, actor, article_id, "withdrawn")


def note_use(unit: WriteUnit, actor: Actor, article_id: str, ticket_id: str, *, helped: bool | None) -> None:
    """Note that an article was used on a ticket, and whether it helped."""
    actor.require(Right.TICKETS_WRITE)
    use = unit.db.get(ArticleUse, (article_id, ticket_id))
    if use is None:
        lock_article(unit, article_id)
        unit.db.add(ArticleUse(article_id=article_id, ticket_id=ticket_id, helped=helped, created_at=unit.now))
    else:
        use.helped = helped


def _checked(title: str, problem: str, body: str, language: str) -> tuple[str, str, str]:
    title = " ".join(title.split())
    if not title:
        raise InvalidInput("Give the article a title.", field="title")
    if len(title) > 300:
        raise InvalidInput("The title is longer than 300 characters.", field="title")
    if language not in LANGUAGES:
        raise InvalidInput("Choose German or English.", field="language")
    if len(body) > BODY_LIMIT or len(problem) > BODY_LIMIT:
        raise InvalidInput("The text is longer than {limit} characters.", field="body", limit=BODY_LIMIT)
    return title, problem.strip(), body.strip()


def lock_article(unit: WriteUnit, article_id: str) -> Article:
    """Hold an article's row until the unit ends, brought up to date. Raises ``NotFound``."""
    article = unit.db.get(Article, parse_id(article_id), with_for_update=True, populate_existing=True)
    if article is None:
        raise NotFound()
    return article


def _set_state(unit: WriteUnit, actor: Actor, article_id: str, state: str) -> Article:
    actor.require(Right.ARTICLES_WRITE)
    article = lock_article(unit, article_id)
    if article.state != state:
        article.state = state
        article.changed_at = unit.now
        if state == "published":
            article.published_at = unit.now
        record_audit(unit, actor, f"article.{state}", subject=article.title)
        _tell(unit, article)
    return article


def _keep_version(unit: WriteUnit, actor: Actor, article: Article) -> None:
    unit.db.add(ArticleVersion(id=new_id(), article_id=article.id, version=article.version, title=article.title, problem=article.problem,
                               body=article.body, author_name=actor.name, created_at=unit.now))


def _tell(unit: WriteUnit, article: Article) -> None:
    touch(unit, "article", article.id)
    unit.emit(ArticleChanged(article.id, article.from_ticket_id))
