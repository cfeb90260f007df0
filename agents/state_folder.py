"""The agent's state folder: private, written so that a power cut leaves the old or the new content, locked by one process.

What the files mean is in identity.py, grants.py, policy.py and word_store.py.
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agents.errors import ConfigurationError, StateError

_LOCK_NAME = "lock"


def default_state_folder() -> Path:
    """Where state lives without `--state`: FERNWART_AGENT_STATE, else the system's place (root) or the user's."""
    chosen = os.environ.get("FERNWART_AGENT_STATE")
    if chosen:
        return Path(chosen)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/fernwart-agent")
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "fernwart-agent"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """An existing folder that only its owner can enter."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> "StateFolder":
        """Make the folder (0700) if it is missing and open it. Raises ConfigurationError."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise ConfigurationError(f"State folder {path} cannot be made: {exc.strerror}. Choose another with --state.") from exc
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> "StateFolder":
        """Open the folder. Raises ConfigurationError when it is missing, of another owner or open to others."""
        path = path.absolute()
        try:
            facts = path.lstat()
        except OSError as exc:
            raise ConfigurationError(f"State folder {path} cannot be read: {exc.strerror}. Enrol first, or name it with --state.") from exc
        if not stat.S_ISDIR(facts.st_mode):
            raise ConfigurationError(f"State folder {path} is not a folder.")
        if hasattr(os, "geteuid") and facts.st_uid != os.geteuid():
            raise ConfigurationError(f"State folder {path} belongs to another user; run the agent as its owner.")
        if stat.S_IMODE(facts.st_mode) & 0o077:
            raise ConfigurationError(f"State folder {path} is open to other users; run: chmod 700 {path}")
        return cls(path)

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None when there is no such file. Raises StateError."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StateError(f"{self.path / name} cannot be read: {exc.strerror}.") from exc

    def write(self, name: str, content: bytes) -> None:
        """Replace a file durably and at once (0600). Raises StateError."""
        target = self.path / name
        temporary = target.with_name(target.name + ".new")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            self._sync_folder(target.parent)
        except OSError as exc:
            raise StateError(f"{target} cannot be written: {exc.strerror}.") from exc

    def append(self, name: str, content: bytes) -> None:
        """Add to a file's end durably (0600). Raises StateError; then nothing may be done that relies on it."""
        target = self.path / name
        try:
            is_new = not target.exists()
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                self._sync_folder(target.parent)
        except OSError as exc:
            raise StateError(f"{target} cannot be written: {exc.strerror}.") from exc

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        with suppress(FileNotFoundError):
            (self.path / name).unlink()

    def take_lock(self) -> int:
        """Become the one process that uses this folder; returns the descriptor that must stay open.

        Raises ConfigurationError when another process holds it.
        """
        descriptor = os.open(self.path / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        if hasattr(os, "lockf"):
            try:
                os.lockf(descriptor, os.F_TLOCK, 0)
            except OSError as exc:
                os.close(descriptor)
                raise ConfigurationError(f"Another agent runs with the state folder {self.path}.") from exc
        return descriptor

    @staticmethod
    def _sync_folder(folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
