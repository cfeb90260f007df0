"""An OS account for shells in tests and figures: with root one of their own making, so that nobody's start-up files take part."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def shell_account(purpose: str) -> Generator[str, None, None]:
    """Yield the name of an account with an empty home, removed afterwards; without root it is the one that runs the tests."""
    if os.geteuid() != 0:
        yield getpass.getuser()
        return
    name = f"fw{purpose}{os.getpid()}"
    subprocess.run(["useradd", "--create-home", "--skel", "/nonexistent", "--home-dir", str(Path("/home", name)), "--shell", "/bin/bash",
                    "--password", "*", name], check=True, capture_output=True)
    try:
        yield name
    finally:
        subprocess.run(["userdel", "--force", "--remove", name], check=False, capture_output=True)
