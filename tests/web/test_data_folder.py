"""What the program writes can be read by its own account alone, whatever it finds."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.core.errors import Unavailable
from tests.running import clean_environment
from web.data_folder import prepare_data_folder


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_command_closes_the_data_folder_and_writes_private_files(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    done = subprocess.run([sys.executable, "-m", "web", "user", "list"], env=clean_environment({"FERNWART_DATA_DIR": str(data)}),
                          capture_output=True, timeout=90, umask=0o022, check=False)
    assert done.returncode == 0, done.stderr
    assert mode_of(data) == 0o700
    made = [path for path in data.rglob("*") if path.is_file()]
    assert data / "fernwart.sqlite" in made and data / "recordings.sqlite" in made
    assert [path for path in made if mode_of(path) & 0o077] == []


def test_a_folder_that_everybody_shares_is_refused_and_left_alone(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(Unavailable):
        prepare_data_folder(shared)
    assert mode_of(shared) == 0o1777


@pytest.mark.needs("root")
def test_a_folder_of_another_account_is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    foreign.chmod(0o755)
    os.chown(foreign, 65534, 65534)
    with pytest.raises(Unavailable):
        prepare_data_folder(foreign)
