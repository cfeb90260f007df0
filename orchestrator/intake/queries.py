"""Reading intake: what waits and what failed, for health page and readiness."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select

from orchestrator.core.db import ReadUnit
from orchestrator.intake.models import RawInput
from orchestrator.intake.raw import RawState

_NORMAL_WAIT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class InputCounts:
    """Hold how many inputs were stored and not understood within a minute, and how many could not be understood."""

    waiting: int
    failed: int


def count_inputs(unit: ReadUnit) -> InputCounts:
    """Count what needs a person's look; both are zero on a healthy desk."""
    waiting = unit.db.scalar(
        select(func.count()).select_from(RawInput).where(RawInput.state == str(RawState.STORED), RawInput.received_at < unit.now - _NORMAL_WAIT)
    )
    failed = unit.db.scalar(select(func.count()).select_from(RawInput).where(RawInput.state == str(RawState.FAILED)))
    return InputCounts(waiting or 0, failed or 0)
