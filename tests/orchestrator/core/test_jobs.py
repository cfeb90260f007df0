"""Due work goes on whatever a kind of it raises."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from sqlalchemy.exc import InternalError

from orchestrator.core.db import Database, WriteUnit
from orchestrator.core.jobs import DueWork, JobRunner
from orchestrator.core.signals import MemorySignals
from orchestrator.core.workers import Workers


class Broken:
    """Fails as long as ``errors`` has any left, then has one row."""

    name = "broken"

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.performed: list[str] = []

    def claim(self, unit: WriteUnit, *, lease_until: datetime, limit: int) -> Sequence[str]:
        if self.errors:
            raise self.errors.pop(0)
        return [] if self.performed else ["row"]

    def perform(self, row_id: str) -> None:
        self.performed.append(row_id)


class Healthy(Broken):
    name = "healthy"


async def until(condition: object) -> None:
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator]  # a callable
            await asyncio.sleep(0.005)


def run_works(database: Database, works: Sequence[DueWork], check: object) -> None:
    async def run() -> None:
        with ThreadPoolExecutor(2) as executor:
            runner = JobRunner(database, MemorySignals(), works, executor, idle_seconds=0.05)
            workers = Workers()
            workers.start("jobs", runner.run())
            try:
                await check(runner, workers)  # type: ignore[operator]  # a coroutine function
            finally:
                await workers.stop()

    asyncio.run(run())


def test_a_kind_of_work_that_raises_anything_is_tried_again_and_stops_no_other(sqlite_database: Database) -> None:
    broken = Broken(InternalError("select", {}, Exception("cut")), ValueError("malformed"), KeyError("row"))
    healthy = Healthy()

    async def check(runner: JobRunner, workers: Workers) -> None:
        await until(lambda: runner.failing() == ["broken"])
        await until(lambda: healthy.performed == ["row"])
        assert not broken.performed
        await until(lambda: broken.performed == ["row"])
        await until(lambda: not runner.failing())
        assert workers.state_of("jobs") == "ok"

    run_works(sqlite_database, [broken, healthy], check)


def test_a_worker_that_ends_is_reported_as_failed() -> None:
    async def ends() -> None:
        raise RuntimeError("dead")

    async def check() -> None:
        workers = Workers()
        workers.start("search", ends())
        await until(lambda: workers.state_of("search") == "failed: it has ended")
        assert workers.state_of("jobs").startswith("failed")
        await workers.stop()

    asyncio.run(check())
