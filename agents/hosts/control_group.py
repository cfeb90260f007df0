"""A control group (cgroup v2) of its own for each channel, where systemd delegated a part of the tree to the agent.

Nothing a process does makes it leave its group, so ending the group ends all of the channel. Without delegation the
agent does not touch the tree, which then belongs to systemd alone.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_REMOVE_TRIES = 50


def find_delegated_group() -> Path | None:
    """Return the agent's own group if systemd runs and delegated it, else None."""
    if not Path("/run/systemd/system").is_dir():
        return None
    mounted = find_group_mount()
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    own = next((line[3:] for line in lines if line.startswith("0::")), None)
    if mounted is None or own is None:
        return None
    group = mounted / own.lstrip("/")
    for attribute in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            if os.getxattr(group, attribute) == b"1" and os.access(group / "cgroup.procs", os.W_OK):
                return group
    return None


def find_group_mount() -> Path | None:
    """Return where the unified hierarchy is mounted, or None."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return None
    return next((Path(fields[1]) for line in lines if len(fields := line.split()) > 2 and fields[2] == "cgroup2"), None)


class ControlGroup:
    """One directory of the hierarchy. Blocks for microseconds, `remove` up to half a second."""

    def __init__(self, parent: Path, name: str) -> None:
        """Create the group. Raises ``OSError`` if the system does not let us."""
        self.path = parent / name
        self.path.mkdir()

    def add(self, pid: int) -> None:
        """Move a process in; its future children follow."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def list_pids(self) -> set[int]:
        """List the members; empty once the group is removed."""
        try:
            return {int(line) for line in (self.path / "cgroup.procs").read_text().split()}
        except OSError:
            return set()

    def kill(self) -> None:
        """Kill every member at once (kernel 5.14 and later; the caller kills one by one in any case)."""
        with suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Remove the empty group; one that still has members is left."""
        for _ in range(_REMOVE_TRIES):
            try:
                self.path.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.01)
            else:
                return
