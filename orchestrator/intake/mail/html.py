"""HTML of a mail, sanitised for display.

Here: the list of what may stay, remote images, the estimate that keeps hostile pages away from the HTML parser. The only
module that touches nh3. Not here: the text form (`html_text.py`), which part is the body (`body.py`).
"""

import html as entities
from dataclasses import dataclass

import nh3

from orchestrator.intake.mail.charsets import clean_text
from orchestrator.intake.mail.html_tokens import read_tokens
from orchestrator.intake.mail.limits import ParseLimits

_TAGS = frozenset(
    """
    a abbr b bdi blockquote br caption center cite code col colgroup dd del details dfn div dl dt em figcaption figure
    font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strike strong sub summary sup table tbody
    td tfoot th thead tr tt u ul var
    """.split()  # words read better than a list of strings
)
_ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href", "title"},
    "img": {"src", "alt", "width", "height", "title"},
    "td": {"colspan", "rowspan", "align", "valign"},
    "th": {"colspan", "rowspan", "align", "valign"},
    "table": {"border", "cellpadding", "cellspacing"},
    "ol": {"start", "type"},
    "li": {"value"},
    "font": {"color"},
    "blockquote": {"type"},
    "*": {"dir", "lang"},
}
_DROP_WITH_CONTENT = {"script", "style", "title", "template", "noscript", "iframe", "object", "svg", "math", "select", "textarea"}
_SCHEMES = {"http", "https", "mailto", "tel", "cid"}
_FORMATS = frozenset(
    """
    a b big code em font i nobr s small strike strong tt u
    """.split()  # words read better than a list of strings
)
_NESTING = frozenset(
    """
    div table blockquote center span ul ol dl pre section article q sub sup ins del svg math object
    """.split()  # words read better than a list of strings
)
_MAX_NODES = 100_000
_MAX_REFERENCES = 50_000
_MAX_ATTRIBUTES = 500
_MAX_NESTING = 400


@dataclass(frozen=True, slots=True)
class CleanHtml:
    """Hold HTML fit for a page and how many remote pictures were taken out."""

    html: str
    blocked_images: int


def sanitise_html(source: str, *, limits: ParseLimits) -> CleanHtml | None:
    """Give HTML that holds no script, no style, no form and loads nothing from elsewhere; pictures of the mail itself
    (`cid:`) stay. None when the page is too large to be cleaned in bounded time."""
    if len(source) > limits.max_html_characters or source.count("<") > limits.max_html_tags:
        return None
    if source.count("&") > _MAX_REFERENCES:
        return None
    if not _is_affordable(source):
        return None
    blocked = 0

    def keep(element: str, attribute: str, value: str) -> str | None:
        nonlocal blocked
        if element == "img" and attribute == "src" and not value.strip().lower().startswith("cid:"):
            blocked += value.strip()[:5].lower() != "data:"
            return None
        if attribute == "href" and value.strip().lower().startswith("cid:"):
            return None
        return value

    cleaned = nh3.clean(
        clean_text(source),
        tags=set(_TAGS),
        clean_content_tags=_DROP_WITH_CONTENT,
        attributes=_ATTRIBUTES,
        attribute_filter=keep,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )
    return CleanHtml(cleaned.strip(), blocked)


def text_to_html(text: str) -> str:
    """Give plain text as HTML that looks like it."""
    return "<pre>" + entities.escape(text, quote=False) + "</pre>"


def _is_affordable(source: str) -> bool:
    """Tell whether a page can be cleaned in bounded time and memory.

    An HTML parser copies every open formatting element into every new block (the standard demands it), so a few
    thousand unclosed tags make millions of nodes. The sum of these copies is estimated from the tags alone.
    """
    open_formats = open_blocks = nodes = 0
    for token in read_tokens(source):
        if not token.name:
            continue
        nodes += 1 + open_formats
        if len(token.attributes.split(None, _MAX_ATTRIBUTES + 1)) > _MAX_ATTRIBUTES:
            return False
        if token.name in _FORMATS:
            open_formats = max(0, open_formats - 1) if token.closing else open_formats + 1
        elif token.name in _NESTING:
            open_blocks = max(0, open_blocks - 1) if token.closing else open_blocks + 1
        if nodes > _MAX_NODES or open_blocks > _MAX_NESTING:
            return False
    return True
