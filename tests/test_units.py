"""Units of work: what they promise about reading, writing, committing and telling others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from orchestrator.accounts.models import StoredSetting
from orchestrator.core.db import Database
from orchestrator.core.errors import AppError
from orchestrator.core.events import Event


@dataclass(frozen=True, slots=True)
class Counted(Event):
    value: int


def test_fifty_read_then_write_units_at_once_all_count(database: Database) -> None:
    with database.write() as unit:
        unit.db.add(StoredSetting(key="count", value="0", changed_at=unit.now))

    def count_up() -> None:
        with database.write() as unit:
            row = unit.db.execute(select(StoredSetting).where(StoredSetting.key == "count").with_for_update()).scalar_one()
            row.value = str(int(row.value) + 1)

    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(count_up) for _ in range(50)]:
            done.result()
    with database.read() as unit:
        assert unit.db.get(StoredSetting, "count").value == "50"  # type: ignore[union-attr]


def test_a_read_unit_cannot_write(database: Database) -> None:
    with pytest.raises((DBAPIError, AppError)), database.read() as unit:
        unit.db.add(StoredSetting(key="x", value="1", changed_at=unit.now))
        unit.db.flush()
    with database.read() as unit:
        assert unit.db.get(StoredSetting, "x") is None


def test_listeners_after_commit_hear_nothing_of_a_failed_unit(database: Database) -> None:
    heard: list[int] = []
    inside: list[int] = []
    database.events.after_commit(Counted, lambda event: heard.append(event.value))
    database.events.inside(Counted, lambda _unit, event: inside.append(event.value))
    with pytest.raises(ZeroDivisionError), database.write() as unit:
        unit.emit(Counted(1))
        raise ZeroDivisionError
    with database.write() as unit:
        unit.emit(Counted(2))
    assert (inside, heard) == ([1, 2], [2])


def test_times_come_back_aware_in_utc(database: Database) -> None:
    with database.write() as unit:
        unit.db.add(StoredSetting(key="t", value="1", changed_at=unit.now))
        moment = unit.now
    with database.read() as unit:
        row = unit.db.get(StoredSetting, "t")
        assert row is not None
        assert row.changed_at == moment
        assert row.changed_at.utcoffset() is not None
