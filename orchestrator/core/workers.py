"""The program's own tasks by name, and whether each still lives. Not here: what they do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Workers:
    """Tasks that run as long as the program. ``start`` and ``stop`` on the event loop; ``state_of`` from any thread."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` under ``name``. When it ends by itself, that is logged, and ``state_of`` says so for good."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(_report_end)

    def state_of(self, name: str) -> str:
        """``ok`` while the worker runs, else a sentence that begins with ``failed``."""
        task = self._tasks.get(name)
        if task is None:
            return "failed: it was never started"
        return "failed: it has ended" if task.done() else "ok"

    async def stop(self) -> None:
        """Cancel all and wait for their ends."""
        for task in self._tasks.values():
            task.cancel()
        for task in self._tasks.values():
            with contextlib.suppress(asyncio.CancelledError, Exception):  # its error was logged when it ended
                await task


def _report_end(task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    log.critical("a worker has ended", worker=task.get_name(), exc_info=task.exception())
