"""/articles: the knowledge base."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from orchestrator.knowledge.queries import get_article, list_articles
from orchestrator.knowledge.service import change_article, publish_article, withdraw_article, write_article
from web.api.idempotency import KeyHeader, answer_once
from web.api.shapes import ArticleChange, ArticleShape, Cursor, Limit, NewArticle, Page
from web.auth import CurrentUser
from web.deps import Reading, Writing

router = APIRouter(prefix="/articles", tags=["articles"])


@router.get("", name="api:articles", response_model=Page[ArticleShape])
def list_all(unit: Reading, actor: CurrentUser, cursor: Cursor = None, limit: Limit = 50,
             state: Annotated[str | None, Query(max_length=20)] = None, language: Annotated[str | None, Query(max_length=5)] = None,
             ) -> Page[ArticleShape]:
    page = list_articles(unit, actor, state=state, language=language, cursor=cursor, limit=limit)
    return Page(items=[ArticleShape.model_validate(article) for article in page.items], next=page.next)


@router.post("", name="api:articles-write", status_code=201, response_model=ArticleShape)
def write(request: Request, unit: Writing, actor: CurrentUser, body: NewArticle, key: KeyHeader = None) -> Response:
    def make() -> ArticleShape:
        article = write_article(unit, actor, title=body.title, problem=body.problem, body=body.body, language=body.language, internal=body.internal)
        if body.publish:
            publish_article(unit, actor, article.id)
        return ArticleShape.model_validate(article)

    return answer_once(unit, actor, request, key, body, make)


@router.get("/{article_id}", name="api:article", response_model=ArticleShape)
def show(unit: Reading, actor: CurrentUser, article_id: str, response: Response) -> ArticleShape:
    article = get_article(unit, actor, article_id)
    response.headers["ETag"] = f'"{article.version}"'
    return ArticleShape.model_validate(article)


@router.put("/{article_id}", name="api:article-change", response_model=ArticleShape)
def change(unit: Writing, actor: CurrentUser, article_id: str, body: ArticleChange) -> ArticleShape:
    return ArticleShape.model_validate(change_article(unit, actor, article_id, title=body.title, problem=body.problem, body=body.body,
                                                      internal=body.internal, version=body.version))


@router.post("/{article_id}/publish", name="api:article-publish", response_model=ArticleShape)
def publish(request: Request, unit: Writing, actor: CurrentUser, article_id: str, key: KeyHeader = None) -> Response:
    return answer_once(unit, actor, request, key, None, lambda: ArticleShape.model_validate(publish_article(unit, actor, article_id)), status=200)


@router.post("/{article_id}/withdraw", name="api:article-withdraw", response_model=ArticleShape)
def withdraw(request: Request, unit: Writing, actor: CurrentUser, article_id: str, key: KeyHeader = None) -> Response:
    return answer_once(unit, actor, request, key, None, lambda: ArticleShape.model_validate(withdraw_article(unit, actor, article_id)), status=200)
