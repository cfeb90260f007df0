"""The folder with databases and keys: ours alone. Not here: what lies in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from orchestrator.core.errors import Unavailable

PRIVATE_UMASK = 0o077


def keep_files_private() -> None:
    """From here on every file this process makes is readable by its own account alone. Called once, at the program's start."""
    os.umask(PRIVATE_UMASK)


def prepare_data_folder(folder: Path) -> None:
    """Make the folder, or take group and others their rights on it.

    Raises:
        Unavailable: it belongs to another account, or is shared by design (sticky, as /tmp is).
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat()
    if not stat.S_IMODE(found.st_mode) & 0o7077:
        return
    if found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX:
        raise Unavailable("The data folder {folder} can be entered by others and is not ours to close; give it to the account "
                          "that runs Fernwart, with mode 0700.", folder=str(folder))
    folder.chmod(0o700)
