"""Priority from impact × urgency: the default matrix as data, an organisation's own one, and its check. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.errors import InvalidInput
from orchestrator.tickets.models import Level

DEFAULT_MATRIX: Mapping[str, int] = {
    "high/high": 1, "high/medium": 2, "high/low": 3,
    "medium/high": 2, "medium/medium": 3, "medium/low": 4,
    "low/high": 3, "low/medium": 4, "low/low": 5,
}
"""``impact/urgency`` → priority 1 (breaks first) to 5."""


def priority_of(impact: Level | str, urgency: Level | str, matrix: Mapping[str, int] | None = None) -> int:
    """Look up the priority; an organisation's own ``matrix`` goes before the default."""
    return (matrix or DEFAULT_MATRIX)[f"{Level(impact)}/{Level(urgency)}"]


def check_matrix(matrix: Mapping[str, object]) -> dict[str, int]:
    """Return a complete matrix of priorities 1 to 5. Raises ``InvalidInput`` otherwise."""
    if set(matrix) != set(DEFAULT_MATRIX):
        raise InvalidInput("A priority matrix needs a value for each of the nine pairs of impact and urgency.", field="priority_matrix")
    checked: dict[str, int] = {}
    for pair, value in matrix.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 5:
            raise InvalidInput("A priority is a number from 1 to 5.", field="priority_matrix")
        checked[pair] = value
    return checked
