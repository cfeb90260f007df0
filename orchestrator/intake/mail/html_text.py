"""HTML of a mail as plain text, as a reader sees it.

Here: lines, paragraphs, lists, link targets, quotes marked with `>`. Not here: splitting that text (`replies.py`).
"""

import re

from orchestrator.intake.mail.html_tokens import read_attribute, read_tokens
from orchestrator.intake.mail.limits import ParseLimits

_BLOCKS = frozenset(
    """
    address article aside blockquote body caption center dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6 header
    hr li main nav ol p pre section table tbody tfoot thead tr ul
    """.split()  # words read better than a list of strings
)
_PARAGRAPHS = frozenset(
    """
    p h1 h2 h3 h4 h5 h6 ul ol table blockquote dl pre
    """.split()  # words read better than a list of strings
)
_SILENT = frozenset(
    """
    script style title template
    """.split()  # words read better than a list of strings
)
_SPACES = re.compile(r"[ \t\n\xa0]+")


def html_to_text(source: str, *, limits: ParseLimits) -> str:
    """Give the text of a page as a reader sees it; lines inside quotes begin with `> `. Linear in the input."""
    source = source[: 2 * limits.max_html_characters]
    return _read_text(source, _SILENT, limits) or _read_text(source, frozenset(), limits)


def _read_text(source: str, never_shown: frozenset[str], limits: ParseLimits) -> str:
    lines: list[str] = []
    current: list[str] = []
    silent: list[str] = []
    quotes = 0
    links: list[str] = []
    preformatted = 0
    size = 0

    def finish_line(*, paragraph: bool = False) -> None:
        text = "".join(current)
        current.clear()
        text = text.rstrip() if preformatted else _SPACES.sub(" ", text).strip()
        prefix = "> " * min(quotes, 5)
        if text:
            lines.append(prefix + text)
        if paragraph and lines and lines[-1] != prefix.rstrip():
            lines.append(prefix.rstrip())

    for token in read_tokens(source):
        name = token.name
        if silent:
            if token.closing and name == silent[-1]:
                silent.pop()
            continue
        if not name:
            size += len(token.text)
            if size > limits.max_text_characters:
                break
            if preformatted:
                for position, piece in enumerate(token.text.split("\n")):
                    if position:
                        lines.append("> " * min(quotes, 5) + "".join(current).rstrip())
                        current.clear()
                    current.append(piece)
            else:
                current.append(token.text)
            continue
        if name in never_shown:
            if not token.closing:
                silent.append(name)
            continue
        if name == "br":
            text = "".join(current)
            current.clear()
            lines.append("> " * min(quotes, 5) + (text.rstrip() if preformatted else _SPACES.sub(" ", text).strip()))
            continue
        if name == "img" and (alt := read_attribute(token.attributes, "alt")):
            current.append(f"[{alt}]")
        if name == "a":
            if token.closing:
                _close_link(links, current)
            else:
                links.append(read_attribute(token.attributes, "href") or "")
            continue
        if name in ("td", "th") and token.closing:
            current.append(" ")
        if name in _BLOCKS:
            finish_line(paragraph=name in _PARAGRAPHS)
            if name == "li" and not token.closing:
                current.append("- ")
            if name == "hr" and not token.closing:
                lines.append("> " * min(quotes, 5) + "________________________________")
            if name == "pre":
                preformatted = max(0, preformatted + (-1 if token.closing else 1))
            if name == "blockquote":
                quotes = max(0, quotes - 1) if token.closing else min(100, quotes + 1)
    finish_line()
    return _tidy(lines)


def _close_link(links: list[str], current: list[str]) -> None:
    """Write the target of a link behind its text where the text does not show it."""
    href = links.pop() if links else ""
    shown = "".join(current[-3:])
    if href.startswith(("http://", "https://")) and href.rstrip("/") not in shown and len(href) <= 500:
        bare = href.removeprefix("https://").removeprefix("http://").rstrip("/")
        if bare not in shown:
            current.append(f" <{href}>")


def _tidy(lines: list[str]) -> str:
    """Join lines with no more than one blank line between two."""
    out: list[str] = []
    for line in lines:
        if not line.strip() and (not out or not out[-1].strip()):
            continue
        out.append(line.rstrip())
    return "\n".join(out).strip("\n")
