"""What the command line ends while the server runs: the shell on the machine dies, not only its row."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.accounts.models import User
from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from tests.running import clean_environment
from tests.web.sockets.program import run_program, until
from web.schema import migrate


@pytest.fixture
def migrated(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path / "data", mail_from="Fernwart <support@desk.example>", recording_reserve_bytes=1024)
    settings.data_dir.mkdir(mode=0o700)
    database, records = Database(settings.sqlalchemy_url), Database(settings.recordings_url)
    migrate(database, records)
    database.dispose()
    records.dispose()
    return settings


def test_disabling_a_technician_on_the_command_line_ends_shell_and_socket_within_two_seconds(migrated: Settings, shell_user: str) -> None:
    with run_program(migrated) as program:
        program.shell_user = shell_user
        program.start_agent(program.enrol())
        session, _channel, console = program.shell()
        console.type("echo shell-$$-here\n")
        found = until(lambda: re.search(rb"shell-(\d+)-here", bytes(console.screen)), "the shell's number")
        shell = Path(f"/proc/{int(found[1])}")
        assert shell.exists()
        email = program.read(lambda unit: unit.db.get_one(User, session.technician_id)).email
        command = subprocess.Popen([sys.executable, "-m", "web", "user", "disable", email], stdout=subprocess.DEVNULL, env=clean_environment({"FERNWART_DATA_DIR": str(migrated.data_dir)}))
        until(lambda: program.session(session.id).state == "ended" or command.poll() is not None, "the row", seconds=60)
        assert program.session(session.id).state == "ended", "the row was not ended"
        until(lambda: not shell.exists(), "the end of the shell", seconds=2)
        console.wait_closed(seconds=2)
        assert command.wait(30) == 0
