"""A page cut into text and tags, in linear time whatever is in it.

Here: the tokeniser that estimate (`html.py`) and text form (`html_text.py`) share. It builds no tree.
"""

import html as entities
import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.intake.mail.charsets import clean_text

_TAG_NAME = re.compile(r"/?\s{0,10}([a-zA-Z][a-zA-Z0-9:\-]{0,30})")
_ATTRIBUTE = re.compile(r"""([a-zA-Z\-]{1,30})\s{0,10}=\s{0,10}("[^"]{0,2000}"|'[^']{0,2000}'|[^\s"'>]{1,2000})""")
_QUOTED_VALUE = re.compile(r"=\s{0,10}[\"']")
_LONG_REFERENCE = re.compile(r"&#[xX]?[0-9a-fA-F]{8,}")
_MAX_ATTRIBUTE = 5000


@dataclass(frozen=True, slots=True)
class HtmlToken:
    """Hold a run of text (`name` empty) or one tag."""

    name: str
    text: str = ""
    closing: bool = False
    attributes: str = ""


def read_tokens(source: str) -> Iterator[HtmlToken]:
    """Cut a page into text and tags; every character is looked at a bounded number of times."""
    position = 0
    length = len(source)
    comment_ends = True
    while position < length:
        opening = source.find("<", position)
        if opening < 0:
            yield HtmlToken("", _unescape(source[position:]))
            return
        if opening > position:
            yield HtmlToken("", _unescape(source[position:opening]))
        if source.startswith("<!--", opening):
            closing = source.find("-->", opening + 4) if comment_ends else -1
            if closing < 0:
                comment_ends = False
                closing = source.find(">", opening)
                position = length if closing < 0 else closing + 1
            else:
                position = closing + 3
            continue
        if source[opening + 1 : opening + 2] in ("!", "?"):
            closing = source.find(">", opening)
            position = length if closing < 0 else closing + 1
            continue
        match = _TAG_NAME.match(source, opening + 1)
        if match is None:
            yield HtmlToken("", "<")
            position = opening + 1
            continue
        closing = _tag_end(source, match.end())
        if closing < 0:
            yield HtmlToken("", _unescape(source[opening:]))
            return
        name = match.group(1).lower()
        yield HtmlToken(name, closing=source[opening + 1] == "/", attributes=source[match.end() : closing])
        position = closing + 1


def _tag_end(source: str, position: int) -> int:
    """Find the `>` of a tag, passing over quoted values; a quote that never ends is no quote. -1 when there is none."""
    first = closing = source.find(">", position)
    while closing >= 0:
        opened = _QUOTED_VALUE.search(source, position, closing)
        if opened is None:
            return closing
        quote_end = source.find(source[opened.end() - 1], opened.end(), opened.end() + _MAX_ATTRIBUTE)
        if quote_end < 0:
            position = opened.end()
            continue
        position = quote_end + 1
        if quote_end > closing:
            closing = source.find(">", position)
    return first


def read_attribute(attributes: str, wanted: str) -> str | None:
    for found in _ATTRIBUTE.finditer(attributes[:4000]):
        if found.group(1).lower() == wanted:
            return _unescape(found.group(2).strip("\"'")).strip()
    return None


def _unescape(text: str) -> str:
    """Read character references; absurdly long numbers, on which Python's reader fails, are left out."""
    if "&" not in text:
        return clean_text(text)
    return clean_text(entities.unescape(_LONG_REFERENCE.sub("", text)))
