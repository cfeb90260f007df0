"""Who this agent is and which server it belongs to: the key pair, the pinned keys, the epoch, kept in the state folder."""

import json
import secrets
from dataclasses import asdict, dataclass, replace

from agents.errors import ConfigurationError, StateError
from agents.protocol.errors import SignatureRefused
from agents.protocol.handshake import ServerPins
from agents.protocol.messages import HostClass
from agents.protocol.signatures import PublicKey, SigningKey
from agents.state_folder import StateFolder

_KEY_FILE = "agent.key"
_SERVER_FILE = "server.json"

PROCESS_INSTANCE = secrets.token_hex(16)
"""Random per agent process: a restarted agent has no shells, and the server must be able to tell."""


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """What the agent remembers of its server. Empty texts = not known yet (before the first challenge or acceptance)."""

    url: str
    ca_file: str
    server_fingerprint: str
    host_class: HostClass
    server_key: str = ""
    recovery_key: str = ""
    server_instance: str = ""
    epoch: int = 1
    endpoint_id: str = ""

    @property
    def pins(self) -> ServerPins:
        """What a challenge of this server must show."""
        recovery = PublicKey.from_text(self.recovery_key).fingerprint if self.recovery_key else None
        return ServerPins(self.server_fingerprint, recovery, self.server_instance or None, self.epoch)

    def with_proved_server(self, server_key: str, recovery_key: str, instance: str, epoch: int) -> "ServerRecord":
        """Return the record after a challenge that verified; the epoch never falls."""
        return replace(
            self,
            server_key=server_key,
            recovery_key=recovery_key,
            server_instance=instance,
            epoch=max(self.epoch, epoch),
        )


def find_key(folder: StateFolder) -> SigningKey | None:
    """Return the agent's key pair, None before enrolment. Raises StateError when the file is damaged."""
    raw = folder.read(_KEY_FILE)
    if raw is None:
        return None
    try:
        return SigningKey.from_bytes(bytes.fromhex(raw.decode("ascii").strip()))
    except (ValueError, SignatureRefused) as exc:
        raise StateError("The agent's key is damaged; remove the state folder and enrol again.") from exc


def create_key(folder: StateFolder) -> SigningKey:
    """Make and store the agent's key pair. Raises ConfigurationError when there is one."""
    if folder.read(_KEY_FILE) is not None:
        raise ConfigurationError("There is a key in the state folder already.")
    key = SigningKey.generate()
    folder.write(_KEY_FILE, key.to_bytes().hex().encode("ascii") + b"\n")
    return key


def find_server(folder: StateFolder) -> ServerRecord | None:
    """Return what is remembered of the server, None before enrolment. Raises StateError when the file is damaged."""
    raw = folder.read(_SERVER_FILE)
    if raw is None:
        return None
    try:
        value = json.loads(raw)
        record = ServerRecord(**{**value, "host_class": HostClass(value["host_class"])})
    except (ValueError, TypeError, KeyError) as exc:
        raise StateError("server.json in the state folder is damaged; remove the state folder and enrol again.") from exc
    if not isinstance(record.epoch, int) or record.epoch < 1:
        raise StateError("server.json in the state folder has no epoch; remove the state folder and enrol again.")
    return record


def save_server(folder: StateFolder, record: ServerRecord) -> None:
    """Store durably what is remembered of the server."""
    folder.write(_SERVER_FILE, json.dumps(asdict(record), indent=1, sort_keys=True).encode("utf-8") + b"\n")


def get_identity(folder: StateFolder) -> tuple[SigningKey, ServerRecord]:
    """Return key and server of an enrolled agent. Raises ConfigurationError when it is not enrolled."""
    key, record = find_key(folder), find_server(folder)
    if key is None or record is None:
        raise ConfigurationError("This agent is not enrolled; run: fernwart-agent enroll URL TOKEN")
    return key, record
