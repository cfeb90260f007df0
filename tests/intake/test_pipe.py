"""The pipe command: over the running server's socket, and alone; and the parser on the command line."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from orchestrator.accounts.desk import publish_desk_facts
from orchestrator.core.db import Database
from orchestrator.core.errors import Unavailable
from orchestrator.core.ids import new_secret
from orchestrator.core.settings import Settings
from orchestrator.intake.models import RawInput
from orchestrator.intake.pipe import SOCKET_NAME, IntakeSocket, hand_over, is_served
from orchestrator.intake.raw import store_raw
from orchestrator.intake.receive import arrive
from orchestrator.intake.understand import Outcome
from orchestrator.tickets.models import Ticket
from tests.builders import make_queue
from tests.intake.mail import samples

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def served(settings: Settings, database: Database) -> Generator[IntakeSocket, None, None]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    executor = ThreadPoolExecutor(4)
    listener = IntakeSocket(settings, database, executor)
    try:
        asyncio.run_coroutine_threadsafe(listener.start(), loop).result(10)
        yield listener
    finally:
        asyncio.run_coroutine_threadsafe(listener.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        executor.shutdown()


@pytest.fixture
def desk(sqlite_database: Database, sqlite_settings: Settings) -> Database:
    with sqlite_database.write() as unit:
        publish_desk_facts(unit, sqlite_settings)
        make_queue(unit, name="Support", address="support@desk.example")
    return sqlite_database


def tickets(database: Database) -> int:
    with database.read() as unit:
        return unit.db.scalar(select(func.count()).select_from(Ticket)) or 0


def command(settings: Settings, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FERNWART_")}
    environment |= {"FERNWART_DATA_DIR": str(settings.data_dir), "FERNWART_MAIL_FROM": settings.mail_from, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", "import sys; from web.commands.intake import app; app(sys.argv[1:])", *arguments],
                          input=stdin, capture_output=True, env=environment, cwd=ROOT, timeout=90, check=False)  # fmt: skip


def test_mail_goes_over_the_socket_of_the_running_server(desk: Database, sqlite_settings: Settings) -> None:
    with served(sqlite_settings, desk):
        mode = (sqlite_settings.data_dir / SOCKET_NAME).stat().st_mode & 0o777
        assert mode == 0o600
        result = hand_over(sqlite_settings, samples.german_outlook(), envelope_from="erika@example.de", envelope_to=["support@desk.example"])
        assert result is not None
        assert result.outcome is Outcome.CREATED
        again = hand_over(sqlite_settings, samples.german_outlook(), envelope_from=None, envelope_to=[])
        assert again is not None
        assert (again.outcome, again.ticket_number, again.entry_id) == (Outcome.DUPLICATE, result.ticket_number, result.entry_id)
    assert tickets(desk) == 1
    assert not is_served(sqlite_settings)
    assert not (sqlite_settings.data_dir / SOCKET_NAME).exists()


def test_without_a_server_nothing_is_handed_over(sqlite_settings: Settings) -> None:
    assert hand_over(sqlite_settings, samples.simple(), envelope_from=None, envelope_to=[]) is None


def test_socket_of_a_server_that_died_is_replaced(desk: Database, sqlite_settings: Settings) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(sqlite_settings.data_dir / SOCKET_NAME))
    assert hand_over(sqlite_settings, samples.simple(), envelope_from=None, envelope_to=[]) is None
    with served(sqlite_settings, desk):
        assert is_served(sqlite_settings)


def test_too_large_mail_is_refused_over_the_socket(desk: Database, sqlite_settings: Settings) -> None:
    small = sqlite_settings.model_copy(update={"smtp_max_bytes": 1000})
    with served(small, desk), pytest.raises(Unavailable):
        hand_over(small, b"x" * 100_000, envelope_from=None, envelope_to=[])
    assert tickets(desk) == 0


def test_socket_works_in_a_folder_with_a_very_long_name(desk: Database, sqlite_settings: Settings) -> None:
    folder = sqlite_settings.data_dir / ("x" * 120)
    folder.mkdir()
    long_settings = sqlite_settings.model_copy(update={"data_dir": folder})
    with served(long_settings, desk):
        result = hand_over(long_settings, samples.simple(), envelope_from=None, envelope_to=[])
        assert result is not None
        assert result.outcome is Outcome.CREATED


def test_start_of_the_server_understands_what_waits(desk: Database, sqlite_settings: Settings) -> None:
    with desk.write() as unit:
        store_raw(unit, arrive(samples.simple(), sqlite_settings, door="smtp", envelope_from="erika@example.de"))
    with served(sqlite_settings, desk):
        pass
    assert tickets(desk) == 1


@pytest.fixture
def empty(tmp_path: Path) -> Settings:
    """A data folder in which nothing was ever started."""
    return Settings(data_dir=tmp_path / "fresh", mail_from="Fernwart <support@desk.example>")


def test_command_takes_a_mail_without_a_server_and_prints_its_line(empty: Settings) -> None:
    done = command(empty, "mail", "--to", "support@desk.example", stdin=samples.german_outlook())
    assert done.returncode == 0, done.stderr.decode()
    line = json.loads(done.stdout)
    assert set(line) == {"outcome", "ticket", "entry", "reason"}
    assert line["outcome"] == "created"
    assert done.stdout.count(b"\n") == 1
    again = json.loads(command(empty, "mail", stdin=samples.german_outlook()).stdout)
    assert (again["outcome"], again["ticket"], again["entry"]) == ("duplicate", line["ticket"], line["entry"])
    database = Database(empty.sqlalchemy_url)
    assert tickets(database) == 1
    database.dispose()


def test_command_hands_over_to_the_running_server(desk: Database, sqlite_settings: Settings) -> None:
    with served(sqlite_settings, desk):
        done = command(sqlite_settings, "mail", "--to", "support@desk.example", "--from", "erika@example.de", stdin=samples.simple())
    assert json.loads(done.stdout)["outcome"] == "created"
    with desk.read() as unit:
        row = unit.db.scalars(select(RawInput)).one()
        assert (row.door, row.envelope_from, row.envelope_to) == ("pipe", "erika@example.de", "support@desk.example")


def test_command_masks_our_links_without_a_server(empty: Settings) -> None:
    token = new_secret()
    raw = samples.simple(f"Ihr Link {empty.public_url}/consent/{token}")
    done = command(empty, "mail", stdin=raw)
    assert done.returncode == 0, done.stderr.decode()
    for path in empty.data_dir.rglob("*"):
        assert path.is_dir() or token.encode() not in path.read_bytes()


def test_command_that_cannot_store_says_75(sqlite_settings: Settings, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    done = command(sqlite_settings.model_copy(update={"data_dir": blocked}), "mail", stdin=samples.simple())
    assert done.returncode == os.EX_TEMPFAIL
    assert done.stdout == b""
    assert done.stderr.startswith(b"fernwart: the mail was not taken")


def test_parse_command_prints_one_line_for_each_message(sqlite_settings: Settings, tmp_path: Path) -> None:
    names = []
    for number, raw in enumerate([samples.german_outlook(), b"", samples.winmail()]):
        path = tmp_path / f"{number}.eml"
        path.write_bytes(raw)
        names.append(str(path))
    done = command(sqlite_settings, "parse", *names)
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == names
    assert set(lines[0]) == {"file", "from", "reply_to", "to", "cc", "subject", "date", "message_id", "in_reply_to", "references", "text", "html",
                             "attachments", "flags"}  # fmt: skip
    assert lines[0]["attachments"] == [
        {"name": "image001.png", "type": "image/png", "size": len(samples.PNG), "sha256": hashlib.sha256(samples.PNG).hexdigest()}
    ]
    from_stdin = command(sqlite_settings, "parse", stdin=b"\0\xff")
    assert from_stdin.returncode == 0
    assert json.loads(from_stdin.stdout)["file"] == "-"
