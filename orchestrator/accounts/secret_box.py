"""Secrets of second factors at rest: AES-256-GCM with a key in the data folder, so that a copy of the database opens nothing.

Each is sealed for one row (``label``), so that a sealed text moved to another row does not open.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orchestrator.accounts.models import User
from orchestrator.core.db import Database, ReadUnit, WriteUnit
from orchestrator.core.errors import Unavailable
from orchestrator.core.ids import new_id
from orchestrator.core.key_files import load_or_make

KEY_FILE = Path("keys") / "second-factors.key"
_INFO = "accounts.secret_box"
_PREFIX = "1."
_KEY_BYTES = 32
_NONCE_BYTES = 12


class SecretLost(Unavailable):
    """A sealed secret cannot be opened: another data folder, or damaged. Nothing is allowed; a new set-up link helps."""

    code = "secret_lost"


@dataclass(frozen=True, slots=True, repr=False)
class SecretBox:
    key: bytes

    def seal(self, secret: str, *, label: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        return _PREFIX + base64.b64encode(nonce + AESGCM(self.key).encrypt(nonce, secret.encode(), label.encode())).decode()

    def open(self, sealed: str, *, label: str) -> str:
        """Return what was sealed under the same label. Raises ``SecretLost``."""
        try:
            if not sealed.startswith(_PREFIX):
                raise ValueError
            box = base64.b64decode(sealed.removeprefix(_PREFIX), validate=True)
            return AESGCM(self.key).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], label.encode()).decode()
        except (ValueError, InvalidTag) as exc:
            raise SecretLost("The second factor cannot be read with the key in the data folder.") from exc


def prepare_secret_box(database: Database, data_dir: Path) -> None:
    """Give every unit of this database the key of the data folder; made at the first start."""
    key = load_or_make(data_dir / KEY_FILE, lambda: os.urandom(_KEY_BYTES))
    if len(key) != _KEY_BYTES:
        raise SecretLost("The key of second factors in the data folder is damaged.")
    database.unit_info[_INFO] = SecretBox(key)


def box_of(unit: ReadUnit) -> SecretBox:
    """Return the box of the database that this unit belongs to. Raises ``SecretLost`` where none was prepared."""
    box = unit.db.info.get(_INFO)
    if not isinstance(box, SecretBox):
        raise SecretLost("This process has not read the key of second factors.")
    return box


def set_totp_secret(unit: WriteUnit, user: User, secret: str) -> None:
    """Store the secret of a user's second factor, sealed. The only place that writes it."""
    user.id = user.id or new_id()
    user.totp_secret = box_of(unit).seal(secret, label=_label(user))


def read_totp_secret(unit: ReadUnit, user: User) -> str | None:
    """Return the secret of a user's second factor; None where there is none. Raises ``SecretLost``."""
    return box_of(unit).open(user.totp_secret, label=_label(user)) if user.totp_secret is not None else None


def _label(user: User) -> str:
    return f"totp of user {user.id}"
