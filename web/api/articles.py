"""/articles: the knowledge base."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.core.errors import InvalidInput
from orchestrator.core.i18n import _
from orchestrator.knowledge.queries import get_article, list_articles
from orchestrator.knowledge.service import change_article, lock_article, publish_article, withdraw_article, write_article
from web.api.conditions import IfMatch, check_if_match, set_etag
from web.api.idempotency import KeyHeader, answer_once
from web.api.shapes.articles import ArticleChange, ArticleShape, NewArticle
from web.api.shapes.base import Cursor, Filter, Limit, Page
from web.auth import CurrentUser
from web.deps import Reading, Writing

router = APIRouter(prefix="/articles", tags=["articles"])


@router.get("", name="api:articles", response_model=Page[ArticleShape])
def list_all(unit: Reading, actor: CurrentUser, state: Filter = None, language: Filter = None, cursor: Cursor = None,
             limit: Limit = 50) -> Page[ArticleShape]:
    """List articles, the newest first; drafts and withdrawn ones for those who may write."""
    page = list_articles(unit, actor, state=state, language=language, cursor=cursor, limit=limit)
    return Page(items=[ArticleShape.model_validate(article) for article in page.items], next=page.next)


@router.post("", name="api:articles-write", status_code=201, response_model=ArticleShape)
def write(request: Request, unit: Writing, actor: CurrentUser, body: NewArticle, key: KeyHeader = None) -> Response:
    """Write an article, as a draft unless it is to be published."""

    def make() -> ArticleShape:
        article = write_article(unit, actor, title=body.title, problem=body.problem, body=body.body, language=body.language, internal=body.internal)
        if body.publish:
            publish_article(unit, actor, article.id)
        return ArticleShape.model_validate(article)

    return answer_once(unit, actor, request, key, body, make)


@router.get("/{article_id}", name="api:article", response_model=ArticleShape)
def show(unit: Reading, actor: CurrentUser, article_id: str, response: Response) -> ArticleShape:
    """Read an article."""
    article = get_article(unit, actor, article_id)
    set_etag(response, article.version)
    return ArticleShape.model_validate(article)


@router.put("/{article_id}", name="api:article-change", response_model=ArticleShape)
def change(unit: Writing, actor: CurrentUser, article_id: str, body: ArticleChange, response: Response, if_match: IfMatch = None) -> ArticleShape:
    """Change an article's text; each change is a version. Name the version that was edited, by If-Match or ``version``."""
    if if_match is None and body.version is None:
        raise InvalidInput(_("Say which version you edited, by If-Match or version."), field="version")
    article = lock_article(unit, get_article(unit, actor, article_id).id)
    check_if_match(if_match, article.version)
    changed = change_article(unit, actor, article.id, title=body.title, problem=body.problem, body=body.body, internal=body.internal,
                             version=body.version or article.version)
    set_etag(response, changed.version)
    return ArticleShape.model_validate(changed)


@router.post("/{article_id}/publish", name="api:article-publish", response_model=ArticleShape)
def publish(request: Request, unit: Writing, actor: CurrentUser, article_id: str, key: KeyHeader = None) -> Response:
    """Publish an article: it is found and offered on tickets."""
    return answer_once(unit, actor, request, key, None, lambda: ArticleShape.model_validate(
        publish_article(unit, actor, get_article(unit, actor, article_id).id)), status=200)


@router.post("/{article_id}/withdraw", name="api:article-withdraw", response_model=ArticleShape)
def withdraw(request: Request, unit: Writing, actor: CurrentUser, article_id: str, key: KeyHeader = None) -> Response:
    """Withdraw an article: it is offered no more."""
    return answer_once(unit, actor, request, key, None, lambda: ArticleShape.model_validate(
        withdraw_article(unit, actor, get_article(unit, actor, article_id).id)), status=200)
