"""Fixtures of remote sessions: a scene on both databases, and one on SQLite for what does not depend on the engine."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from tests.sessions.scene import Scene, build_scene


@pytest.fixture
def scene(settings: Settings, database: Database, record_database: Database) -> Scene:
    return build_scene(settings, database, record_database)


@pytest.fixture
def light_scene(sqlite_settings: Settings, sqlite_database: Database) -> Generator[Scene, None, None]:
    records = Database(sqlite_settings.recordings_url)
    yield build_scene(sqlite_settings, sqlite_database, records)
    records.dispose()
