"""A recorder on a database of its own, and small builders."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from orchestrator.core.db import Database
from orchestrator.core.ids import new_id
from orchestrator.core.settings import Settings
from sessions.recording.channel import RecordedChannel
from sessions.recording.interface import ChannelOpening, RecorderLimits
from sessions.recording.writer import RecordWriter

NONCE = "00112233445566778899aabbccddeeff"
FAST = RecorderLimits(batch_seconds=0.02)


def mark(body: str) -> bytes:
    return f"\x1b]633;fw1;{NONCE};{body}\x07".encode()


def make_opening(**changes: object) -> ChannelOpening:
    values: dict[str, object] = {
        "channel_id": new_id(), "session_id": new_id(), "kind": "shell", "shell": "bash", "marks_nonce": NONCE,
        "columns": 80, "rows": 24, "started_at": datetime.now(UTC),
    }  # fmt: skip
    return ChannelOpening(**{**values, **changes})  # type: ignore[arg-type]  # the values are those of the fields


async def wait_until(holds: Callable[[], bool], *, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)


async def wait_durable(channel: RecordedChannel) -> None:
    await wait_until(lambda: channel.durable_items == channel.queued_items)


class Stage:
    """Opens recorders on one record database, one after the other or side by side."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @asynccontextmanager
    async def recorder(self, limits: RecorderLimits = FAST, *, database: Database | None = None) -> AsyncIterator[RecordWriter]:
        writer = RecordWriter(database or Database(self.settings.recordings_url, pool_size=2), limits=limits, room=self.settings.data_dir)
        writer.start()
        try:
            yield writer
        finally:
            await writer.stop()


@pytest.fixture
def stage(settings: Settings) -> Stage:
    """A stage on both databases, one after the other."""
    return Stage(settings)


@pytest.fixture
def sqlite_stage(sqlite_settings: Settings) -> Stage:
    """For tests whose subject does not depend on the engine, or is SQLite's own."""
    return Stage(sqlite_settings)


@pytest.fixture
def sqlite_records(sqlite_settings: Settings) -> Iterator[Database]:
    store = Database(sqlite_settings.recordings_url, pool_size=5)
    yield store
    store.dispose()
