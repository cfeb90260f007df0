"""A draft of an article from a session: the chosen commands as steps, names and hosts replaced. Pure.

Output is only in it where it was asked for. What is replaced is what we know of the case; the technician reads the draft before
it is published.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.i18n import Translator

MOST_OUTPUT_CHARACTERS = 4000
SHORTEST_NAME = 3


@dataclass(frozen=True, slots=True)
class DraftStep:
    """One command line; ``output`` is empty unless it was asked for."""

    line: str
    exit_status: int | None
    output: str = ""


def write_draft(steps: Sequence[DraftStep], names: Mapping[str, str], words: Translator) -> str:
    """Write the body in Markdown. ``names`` maps what must not appear to what stands for it."""
    parts = []
    for number, step in enumerate(steps, start=1):
        mark = f"{number}. "
        indent = " " * len(mark)
        parts.append(mark + words("Run:") + "\n\n" + _block(replace_names(step.line, names), "sh", indent))
        if step.exit_status:
            parts.append(indent + words("It ended with status %(status)s.", status=step.exit_status) + "\n")
        if step.output:
            parts.append(indent + words("Output:") + "\n\n" + _block(replace_names(step.output[:MOST_OUTPUT_CHARACTERS], names), "text", indent))
    return "\n".join(parts)


def replace_names(text: str, names: Mapping[str, str]) -> str:
    """Put what stands for them in the place of names, whole words only and whatever their case; the longest first."""
    wanted = {name.casefold(): stand_in for name, stand_in in names.items() if len(name) >= SHORTEST_NAME}
    if not wanted:
        return text
    longest_first = sorted(wanted, key=len, reverse=True)
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(re.escape(name) for name in longest_first) + r")(?!\w)", re.IGNORECASE)
    return pattern.sub(lambda found: wanted.get(found.group().casefold(), found.group()), text)


def _block(text: str, language: str, indent: str) -> str:
    """Write a fenced block inside a list item, with a fence that the text does not contain."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    body = "\n".join(f"{indent}{line}".rstrip() for line in text.rstrip("\n").split("\n"))
    return f"{indent}{fence}{language}\n{body}\n{indent}{fence}\n"
