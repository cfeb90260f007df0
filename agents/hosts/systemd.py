"""Installing the agent as a systemd service: the unit's text and where it goes."""

import shutil
import subprocess
from pathlib import Path

from agents.errors import ConfigurationError

UNIT_NAME = "fernwart-agent.service"
UNIT_FOLDER = Path("/etc/systemd/system")
_ENABLE_SECONDS = 60


def make_unit(program: str, state: Path) -> str:
    """Return the unit file. Both paths must be absolute and free of what systemd would read as syntax.

    Raises ConfigurationError.
    """
    for path in (program, str(state)):
        if not path.startswith("/") or any(character in path for character in "\"'\\%$\n\r;"):
            raise ConfigurationError(f"{path!r} cannot stand in a unit file; choose a plain absolute path.")
    return f"""[Unit]
Description=Fernwart agent: remote support with consent
After=network-online.target
Wants=network-online.target

[Service]
ExecStart="{program}" run --state "{state}"
Restart=always
RestartSec=2
KillMode=control-group
TimeoutStopSec=20
Delegate=yes
OOMPolicy=continue
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def install_unit(text: str, *, folder: Path = UNIT_FOLDER, enable: bool = True) -> Path:
    """Write the unit and, with systemd there, enable and start it. Raises ConfigurationError."""
    path = folder / UNIT_NAME
    try:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be written: {exc.strerror}. Run this as root.") from exc
    control = shutil.which("systemctl")
    if enable and control is not None and Path("/run/systemd/system").is_dir():
        for arguments in (["daemon-reload"], ["enable", "--now", UNIT_NAME]):
            done = subprocess.run(  # noqa: S603 (a fixed program with fixed arguments)
                [control, *arguments], capture_output=True, text=True, timeout=_ENABLE_SECONDS, check=False
            )
            if done.returncode != 0:
                raise ConfigurationError(f"systemctl {arguments[0]} failed: {done.stderr.strip()[:200]}")
    return path
