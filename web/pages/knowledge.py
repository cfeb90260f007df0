"""Pages of the knowledge base: list and search, one article, the editor with its preview."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from orchestrator.accounts.actor import Right
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import Conflict, InvalidInput
from orchestrator.knowledge.markdown import render_markdown
from orchestrator.knowledge.models import Article, ArticleVersion
from orchestrator.knowledge.queries import get_article, list_articles, list_languages, list_versions
from orchestrator.knowledge.service import change_article, publish_article, withdraw_article, write_article
from orchestrator.search.service import SearchPage, search
from orchestrator.tickets.models import Ticket
from web.auth import CurrentUser
from web.deps import Parts, Reading, Writing
from web.forms import field_errors, status_for
from web.htmx import language_of, page, redirect

router = APIRouter(prefix="/knowledge", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class ArticleListPage:
    """``found`` is set when something was searched for, else ``articles`` is the list."""

    query: str
    state: str
    chosen_language: str
    articles: Sequence[Article]
    found: SearchPage | None
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class ArticleShowPage:
    article: Article
    problem_html: Markup
    body_html: Markup
    languages: Sequence[Article]
    versions: Sequence[ArticleVersion]
    from_ticket: Ticket | None


@dataclass(frozen=True, slots=True)
class ArticleValues:
    """What the form of an article holds."""

    title: str = ""
    problem: str = ""
    body: str = ""
    chosen_language: str = "de"
    internal: bool = True
    version: int = 0
    group_id: str = ""
    from_ticket: str = ""


@dataclass(frozen=True, slots=True)
class ArticleEditPage:
    """``article_id`` is empty for a new one."""

    article_id: str
    values: ArticleValues
    errors: dict[str, str]
    problem_html: Markup
    body_html: Markup


@router.get("", name="articles:list")
def list_all(request: Request, unit: Reading, actor: CurrentUser, q: str = "", state: str = "", language: str = "",
             cursor: str | None = None, offset: int = 0) -> Response:
    actor.require(Right.ARTICLES_READ)
    if q.strip():
        found = search(unit, actor, q[:300], kinds=["article"], offset=max(offset, 0))
        return page(request, "knowledge/list.html", ArticleListPage(q[:300], state, language, (), found, None), fragment="results")
    articles = list_articles(unit, actor, state=state or None, language=language or None, cursor=cursor)
    shown = ArticleListPage("", state, language, articles.items, None, articles.next)
    return page(request, "knowledge/list.html", shown, fragment="results")


@router.get("/new", name="articles:new")
def show_new(request: Request, unit: Reading, actor: CurrentUser, group: str = "", language: str = "", ticket: str = "") -> Response:
    actor.require(Right.ARTICLES_WRITE)
    source = _same_group(unit, actor, group)
    values = ArticleValues(
        title=source.title if source else "", problem=source.problem if source else "", body=source.body if source else "",
        chosen_language=language or str(language_of(request)), internal=source.internal if source else True,
        group_id=source.group_id if source else "", from_ticket=ticket)
    return _editor(request, "", values, {})


def _same_group(unit: ReadUnit, actor: CurrentUser, article_id: str) -> Article | None:
    return get_article(unit, actor, article_id) if article_id else None


@router.post("/preview", name="articles:preview")
def preview(request: Request, actor: CurrentUser, problem: Annotated[str, Form()] = "", body: Annotated[str, Form()] = "") -> HTMLResponse:
    """Answer what the text will look like; used while typing."""
    actor.require(Right.ARTICLES_WRITE)
    values = ArticleValues(problem=problem, body=body)
    return page(request, "knowledge/edit.html", _edit_page("", values, {}), fragment="preview")


@router.post("/new", name="articles:write")
def write(request: Request, parts: Parts, actor: CurrentUser, title: Annotated[str, Form()] = "", problem: Annotated[str, Form()] = "",
          body: Annotated[str, Form()] = "", language: Annotated[str, Form()] = "de", internal: Annotated[str, Form()] = "",
          group_id: Annotated[str, Form()] = "", from_ticket: Annotated[str, Form()] = "", do: Annotated[str, Form()] = "save") -> Response:
    values = ArticleValues(title, problem, body, language, internal == "yes", 0, group_id, from_ticket)
    if do == "preview":
        actor.require(Right.ARTICLES_WRITE)
        return _editor(request, "", values, {})
    try:
        with parts.database.write() as unit:
            article = write_article(unit, actor, title=title, problem=problem, body=body, language=language, internal=values.internal,
                                    group_id=group_id or None, from_ticket_id=from_ticket or None)
            if do == "publish":
                publish_article(unit, actor, article.id)
    except InvalidInput as error:
        return _editor(request, "", values, field_errors(request, error), status=status_for(error))
    return redirect(request, request.app.url_path_for("articles:show", article_id=article.id), flash="The article is saved.")


@router.get("/{article_id}", name="articles:show")
def show(request: Request, unit: Reading, actor: CurrentUser, article_id: str) -> Response:
    article = get_article(unit, actor, article_id)
    versions = list_versions(unit, actor, article) if actor.may(Right.ARTICLES_WRITE) else ()
    ticket = unit.db.get(Ticket, article.from_ticket_id) if article.from_ticket_id and actor.may(Right.TICKETS_READ) else None
    return page(request, "knowledge/show.html", ArticleShowPage(
        article, render_markdown(article.problem), render_markdown(article.body), list_languages(unit, actor, article), versions, ticket))


@router.get("/{article_id}/edit", name="articles:edit")
def show_editor(request: Request, unit: Reading, actor: CurrentUser, article_id: str) -> Response:
    actor.require(Right.ARTICLES_WRITE)
    article = get_article(unit, actor, article_id)
    values = ArticleValues(article.title, article.problem, article.body, article.language, article.internal, article.version,
                           article.group_id)
    return _editor(request, article.id, values, {})


@router.post("/{article_id}/edit", name="articles:change")
def change(request: Request, parts: Parts, actor: CurrentUser, article_id: str, title: Annotated[str, Form()] = "",
           problem: Annotated[str, Form()] = "", body: Annotated[str, Form()] = "", internal: Annotated[str, Form()] = "",
           version: Annotated[int, Form()] = 0, language: Annotated[str, Form()] = "", do: Annotated[str, Form()] = "save") -> Response:
    values = ArticleValues(title, problem, body, language, internal == "yes", version)
    if do == "preview":
        actor.require(Right.ARTICLES_WRITE)
        return _editor(request, article_id, values, {})
    try:
        with parts.database.write() as unit:
            change_article(unit, actor, article_id, title=title, problem=problem, body=body, internal=values.internal, version=version)
            if do == "publish":
                publish_article(unit, actor, article_id)
    except (InvalidInput, Conflict) as error:
        return _editor(request, article_id, values, field_errors(request, error), status=status_for(error))
    return redirect(request, request.app.url_path_for("articles:show", article_id=article_id), flash="The article is saved.")


@router.post("/{article_id}/publish", name="articles:publish")
def publish(request: Request, unit: Writing, actor: CurrentUser, article_id: str) -> Response:
    publish_article(unit, actor, article_id)
    return redirect(request, request.app.url_path_for("articles:show", article_id=article_id),
                    flash="The article is published: it is found and offered from now on.")


@router.post("/{article_id}/withdraw", name="articles:withdraw")
def withdraw(request: Request, unit: Writing, actor: CurrentUser, article_id: str) -> Response:
    withdraw_article(unit, actor, article_id)
    return redirect(request, request.app.url_path_for("articles:show", article_id=article_id),
                    flash="The article is withdrawn: it is offered no more.")


def _editor(request: Request, article_id: str, values: ArticleValues, errors: dict[str, str], *, status: int = 200) -> Response:
    return page(request, "knowledge/edit.html", _edit_page(article_id, values, errors), status=status)


def _edit_page(article_id: str, values: ArticleValues, errors: dict[str, str]) -> ArticleEditPage:
    return ArticleEditPage(article_id, values, errors, render_markdown(values.problem), render_markdown(values.body))
