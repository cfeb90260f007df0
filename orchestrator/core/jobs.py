"""Work that is due: rows of our own tables with a due time and a lease, written in the transaction that wants them.

There is no queue beside the database. A ``DueWork`` claims due rows (its own table) under a lease and performs them;
a worker that dies leaves a lease that runs out. A hint on the topic ``jobs`` wakes the runner, the clock is the fallback.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy import Select

from orchestrator.core.db import Database, WriteUnit
from orchestrator.core.errors import AppError
from orchestrator.core.signals import Signals

log = structlog.get_logger(__name__)

LEASE = timedelta(minutes=2)
MOST_BACKOFF_SECONDS = 30.0


class DueWork(Protocol):
    """One kind of due row. Order of calls: ``claim`` in a unit of its own (sets the lease, returns ids), then for each id
    ``perform``, outside that unit, in a worker thread. ``perform`` opens its own units, and must be safe to run again
    after a crash at any point."""

    name: str

    def claim(self, unit: WriteUnit, *, lease_until: datetime, limit: int) -> Sequence[str]: ...

    def perform(self, row_id: str) -> None: ...


def skip_locked(unit: WriteUnit, statement: Select[str]) -> Select[str]:
    """Add FOR UPDATE SKIP LOCKED where the database knows it; SQLite has one writer anyway."""
    bind = unit.db.get_bind()
    return statement.with_for_update(skip_locked=True) if bind.dialect.name == "postgresql" else statement


class JobRunner:
    """Run all kinds of due work until stopped. One task per kind; at most ``parallel`` rows of a kind at once."""

    def __init__(self, database: Database, signals: Signals, works: Sequence[DueWork], executor: Executor, *,
                 idle_seconds: float = 5.0, parallel: int = 4) -> None:
        self._database = database
        self._signals = signals
        self._works = works
        self._executor = executor
        self._idle_seconds = idle_seconds
        self._parallel = parallel
        self._failures: dict[str, int] = {}

    def failing(self) -> list[str]:
        """Names of the kinds whose rows could not be claimed the last time; for any thread."""
        return sorted(self._failures)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in self._works:
                group.create_task(self._run_kind(work), name=f"jobs:{work.name}")

    async def _run_kind(self, work: DueWork) -> None:
        with self._signals.subscribe(["jobs"]) as hints:
            while True:
                try:
                    claimed = await self.run_once(work)
                except AppError as exc:
                    log.warning("due work cannot be claimed", work=work.name, reason=str(exc))
                    await self._back_off(work)
                except Exception:  # the boundary of the task: a kind of work never ends, the next try may find the cause mended
                    log.exception("due work cannot be claimed", work=work.name)
                    await self._back_off(work)
                else:
                    self._failures.pop(work.name, None)
                    if not claimed:
                        await hints.wait(self._idle_seconds)

    async def _back_off(self, work: DueWork) -> None:
        """Wait longer after each failure in a row; hints do not shorten it."""
        failures = self._failures[work.name] = self._failures.get(work.name, 0) + 1
        await asyncio.sleep(min(self._idle_seconds * 2 ** min(failures - 1, 10), MOST_BACKOFF_SECONDS))

    async def run_once(self, work: DueWork) -> int:
        """Claim what is due and perform it; return how many rows that was."""
        loop = asyncio.get_running_loop()
        ids = await loop.run_in_executor(self._executor, self._claim, work)
        if ids:
            await asyncio.gather(*(loop.run_in_executor(self._executor, self._perform, work, row_id) for row_id in ids))
        return len(ids)

    def _claim(self, work: DueWork) -> Sequence[str]:
        with self._database.write() as unit:
            return work.claim(unit, lease_until=unit.now + LEASE, limit=self._parallel)

    @staticmethod
    def _perform(work: DueWork, row_id: str) -> None:
        try:
            work.perform(row_id)
        except Exception:  # the row's lease runs out and it is tried again; one bad row must not stop the others
            log.exception("due work failed", work=work.name, row=row_id)
