"""Text from outside in a form that both databases store: no NUL, no lone surrogates; one line where one line is meant."""

from __future__ import annotations

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_NOT_ONE_LINE = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029\ud800-\udfff]+")


def storable(text: str) -> str:
    """Replace what no database stores by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def one_line(text: str, length: int) -> str:
    """Make one storable line of at most ``length`` characters; what is cut off is marked by an ellipsis."""
    line = _NOT_ONE_LINE.sub(" ", text).strip()
    return line if len(line) <= length else line[: length - 1] + "…"
