"""Grants as the agent keeps them: the durable ledger of what was used and revoked, and the grant that is live in a session.

The pure check of a grant is in protocol/grants.py; who holds channels under a grant is in live_sessions.py.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from agents.errors import StateError
from agents.hosts.boot import boot_seconds, read_boot_id
from agents.protocol.errors import GrantRefusal, GrantRefused
from agents.protocol.grants import Grant
from agents.state_folder import StateFolder

LEDGER_FILE = "ledger.jsonl"
_KEPT_ENTRIES = 5000


@dataclass(frozen=True, slots=True)
class LiveGrant:
    """A grant in use. `ends_at_boot_seconds` is on the clock that runs through suspend; a reboot ends it with the process."""

    grant: Grant
    sha256: str
    ends_at_boot_seconds: float

    def seconds_left(self) -> float:
        """Seconds until `max_seconds` are over."""
        return self.ends_at_boot_seconds - boot_seconds()

    def check(self) -> None:
        """Raise GrantRefused(EXPIRED) when the time is over."""
        if self.seconds_left() <= 0:
            raise GrantRefused(GrantRefusal.EXPIRED, "grant's time is over")


class GrantLedger:
    """Every grant this agent acted on, and every one it was told is revoked; each entry is durable before it counts.

    Blocking (one fsync an entry): call from a thread. Not for concurrent use.
    """

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._nonces: set[str] = set()
        self._revoked: set[str] = set()
        self._uses: list[datetime] = []
        self._load()

    def record_use(self, grant: Grant, sha256: str, *, now: datetime) -> LiveGrant:
        """Note durably that this grant is used from now on and return it live.

        Raises GrantRefused (REVOKED, USED) or StateError; then nothing may be done under it.
        """
        if grant.grant_id in self._revoked:
            raise GrantRefused(GrantRefusal.REVOKED, "grant is revoked")
        if grant.nonce in self._nonces:
            raise GrantRefused(GrantRefusal.USED, "grant answers a nonce that was used before")
        self._append(
            {
                "kind": "used",
                "nonce": grant.nonce,
                "grant_id": grant.grant_id,
                "session_id": grant.session_id,
                "sha256": sha256,
                "at": now.isoformat(),
                "boot_id": read_boot_id(),
            }
        )
        self._nonces.add(grant.nonce)
        self._uses.append(now)
        return LiveGrant(grant, sha256, boot_seconds() + grant.max_seconds)

    def record_revocation(self, grant_id: str, *, reason: str, now: datetime) -> None:
        """Note durably that a grant never counts again. Raises StateError."""
        if not grant_id or grant_id in self._revoked:
            return
        self._revoked.add(grant_id)
        self._append({"kind": "revoked", "grant_id": grant_id, "reason": reason, "at": now.isoformat()})

    def is_revoked(self, grant_id: str) -> bool:
        """Tell whether a grant was revoked."""
        return grant_id in self._revoked

    def knows_nonce(self, nonce: str) -> bool:
        """Tell whether a nonce was answered by a grant before."""
        return nonce in self._nonces

    def count_uses_last_hour(self, now: datetime) -> int:
        """Count the grants first used within an hour of now, before or after (a clock may have been set back)."""
        return sum(1 for moment in self._uses if abs(now - moment) < timedelta(hours=1))

    def _append(self, entry: dict[str, str]) -> None:
        self._folder.append(LEDGER_FILE, json.dumps(entry, sort_keys=True).encode("ascii") + b"\n")

    def _load(self) -> None:
        raw = self._folder.read(LEDGER_FILE) or b""
        lines = raw.split(b"\n")
        torn = lines.pop()
        for line in lines:
            try:
                entry = cast("dict[str, Any]", json.loads(line))
                if entry["kind"] == "used":
                    self._nonces.add(str(entry["nonce"]))
                    self._uses.append(datetime.fromisoformat(entry["at"]).astimezone(UTC))
                else:
                    self._revoked.add(str(entry["grant_id"]))
            except (ValueError, KeyError, TypeError) as exc:
                raise StateError(f"{LEDGER_FILE} in the state folder is damaged; nothing is opened until it is moved away.") from exc
        if torn or len(lines) > 2 * _KEPT_ENTRIES:
            # A torn last line was never acted on. Old entries may go: a grant needs a nonce that this very process issued.
            kept = lines[-_KEPT_ENTRIES:]
            self._folder.write(LEDGER_FILE, b"".join(line + b"\n" for line in kept))
