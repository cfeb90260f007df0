"""The readiness route tells what is true of each part."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from orchestrator.core.settings import Settings
from orchestrator.intake.models import RawInput
from tests.web.whole import Whole, run_whole


@pytest.fixture
def whole(tmp_path: Path) -> Generator[Whole, None, None]:
    with run_whole(Settings(data_dir=tmp_path / "data", recording_reserve_bytes=1024, smtp_listen="127.0.0.1:0")) as running:
        yield running


def ready_of(whole: Whole) -> tuple[int, dict[str, str]]:
    with whole.client() as client:
        answer = client.get("/readyz")
    return answer.status_code, answer.json()["parts"]


def test_a_desk_that_works_is_ready(whole: Whole) -> None:
    status, parts = ready_of(whole)
    assert status == 200, parts
    assert parts["jobs"] == parts["search"] == parts["sessions"] == parts["smtp"] == parts["intake"] == "ok", parts


def test_a_stored_mail_that_nobody_understood_is_told(whole: Whole) -> None:
    with whole.database.write() as unit:
        unit.db.add(RawInput(door="smtp", key="0" * 64, raw=b"", size=0, state="failed", received_at=unit.now))
    status, parts = ready_of(whole)
    assert status == 200
    assert parts["intake"] == "failed: 1 stored mails could not be understood, 0 wait"


def test_a_dead_smtp_door_makes_the_program_unready(whole: Whole) -> None:
    door = whole.services.smtp_door
    assert door is not None and door._loop is not None and door._thread is not None
    door._loop.call_soon_threadsafe(door._loop.stop)
    door._thread.join(10)
    door._loop = None  # its stop has nothing left to do
    status, parts = ready_of(whole)
    assert status == 503
    assert parts["smtp"].startswith("failed")


def test_a_dead_worker_makes_the_program_unready(whole: Whole) -> None:
    loop = whole.services.live._loop
    assert loop is not None
    for name in ("jobs", "search"):
        task = whole.services.workers._tasks[name]
        loop.call_soon_threadsafe(task.cancel)
    with whole.client() as client:
        for _ in range(200):
            answer = client.get("/readyz")
            if answer.status_code == 503:
                break
    assert answer.status_code == 503
    assert answer.json()["parts"]["jobs"].startswith("failed")
