"""Clock and identity of the running system: seconds that also count while it sleeps, and which boot this is."""

import time
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_seconds() -> float:
    """Seconds since boot, counted through suspend (CLOCK_BOOTTIME); where that is missing, the monotonic clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def read_boot_id() -> str:
    """Identify this boot of the machine; empty where the system has no such identity."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()[:64]
    except OSError:
        return ""
