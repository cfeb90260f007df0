"""Shapes of articles of the knowledge base."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from web.api.shapes.base import Body, Line, Shape, Text
from web.api.shapes.customers import Language


class NewArticle(Body):
    """``publish`` makes it known at once; otherwise it is a draft."""

    title: Line
    problem: Text = ""
    body: Text = ""
    language: Language
    internal: bool = True
    publish: bool = False


class ArticleChange(Body):
    """The whole new text. Say which version was edited: by ``version`` here, or by ``If-Match``."""

    title: Line
    problem: Text = ""
    body: Text = ""
    internal: bool = True
    version: Annotated[int, Field(ge=1)] | None = None


class ArticleShape(Shape):
    """``state``: draft, published, withdrawn. Articles with the same ``group_id`` say the same in another language."""

    id: str
    group_id: str
    language: str
    title: str
    problem: str
    body: str
    internal: bool
    state: str
    version: int
    from_session_id: str | None
    from_ticket_id: str | None
    created_at: datetime
    changed_at: datetime
    published_at: datetime | None
