"""Articles as HTML: CommonMark with tables, raw HTML shown as text, links only to http, https, mailto and our own pages."""

from __future__ import annotations

import re

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

_PARSER = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").enable("strikethrough")
_TAGS = frozenset("h1 h2 h3 h4 h5 h6 p br hr ul ol li pre code em strong s blockquote table thead tbody tr th td a".split())
_HEADING = re.compile(r"(</?h)([1-6])")


def render_markdown(text: str) -> Markup:
    """Return safe HTML; headings move two levels down, since the page has its own first two. Images are left out."""
    html = _HEADING.sub(lambda found: f"{found.group(1)}{min(6, int(found.group(2)) + 2)}", _PARSER.render(text))
    clean = nh3.clean(html, tags=set(_TAGS), attributes={"a": {"href"}, "ol": {"start"}}, url_schemes={"http", "https", "mailto"},
                      link_rel="noopener noreferrer nofollow")
    return Markup(clean)  # noqa: S704 - nh3 has just cleaned it
