"""Files of secret bytes in the data folder: made once, readable by nobody else, the same for every process that starts at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def load_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    """Read a key file; where there is none, make it (0600) with what ``make`` returns. Whoever comes first wins."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.urandom(8).hex()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(make())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # a second process was quicker: its key counts
    finally:
        draft.unlink()
    return path.read_bytes()
