"""One server with one agent for all tests of a module: sessions are cheap, processes are not."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from orchestrator.core.settings import Settings
from tests.web.sockets.program import Program, run_program


@pytest.fixture(scope="module")
def module_settings(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Settings:
    data = tmp_path_factory.mktemp("program") / "data"
    data.mkdir(mode=0o700)
    for name in ("fernwart.sqlite", "recordings.sqlite"):
        shutil.copyfile(sqlite_template / name, data / name)
    return Settings(data_dir=data, mail_from="Fernwart <support@desk.example>", recording_reserve_bytes=1024)


@pytest.fixture(scope="session")
def shell_user() -> Generator[str, None, None]:
    """Whose shells are opened: the user of the tests, or with root (whose own start-up files may do anything) one made for it."""
    if os.geteuid() != 0:
        yield getpass.getuser()
        return
    name = f"fwlive{os.getpid()}"
    subprocess.run(["userdel", "--remove", name], check=False, capture_output=True)
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", "--password", "*", name], check=True)
    yield name
    subprocess.run(["userdel", "--remove", name], check=False, capture_output=True)


@pytest.fixture(scope="module")
def program(module_settings: Settings, shell_user: str) -> Generator[Program, None, None]:
    """A running program whose agent is online."""
    with run_program(module_settings) as running:
        running.shell_user = shell_user
        running.start_agent(running.enrol())
        yield running
