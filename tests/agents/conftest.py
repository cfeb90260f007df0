"""The account that shells of these tests run as: as root one of our own making, so that nobody's dotfiles take part."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents import desk


@pytest.fixture(scope="session", autouse=True)
def shell_user() -> Iterator[None]:
    """Make the account that `desk.Desk` asks for; without root it is the one that runs the tests."""
    if os.geteuid() != 0:
        yield
        return
    name = f"fwagent{os.getpid()}"
    home = Path("/home", name)
    subprocess.run(
        ["useradd", "--create-home", "--skel", "/nonexistent", "--home-dir", str(home), "--shell", "/bin/bash", "--password", "*", name],
        check=True,
        capture_output=True,
    )
    before, desk.SHELL_USER = desk.SHELL_USER, name
    yield
    desk.SHELL_USER = before
    subprocess.run(["userdel", "--force", "--remove", name], check=False, capture_output=True)
