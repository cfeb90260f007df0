"""Secrets of mails that wait to be sent: anybody with the database can seal, only the data folder can open.

X25519 key agreement with a fresh key for each seal, HKDF-SHA-256, AES-256-GCM. The public key is a stored setting, the
private one a file in the data folder, so a copy of the database (or its backup) opens nothing.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from orchestrator.accounts.settings_store import get_setting, set_setting
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import Unavailable
from orchestrator.core.key_files import load_or_make

SEAL_KEY = "mail.seal_key"
KEY_FILE = Path("keys") / "mail-sealing.key"
_LABEL = b"fernwart mail seal 1"
_KEY_BYTES = 32
_NONCE = bytes(12)
"""Safe as a constant: each seal has a key of its own."""


class SealBroken(Unavailable):
    """A sealed secret cannot be opened: another data folder, or damaged."""


def prepare_sealing(unit: WriteUnit, data_dir: Path) -> None:
    """Make the key pair at first start (or after the file was lost) and publish its public half."""
    public = base64.b64encode(_load_or_make(data_dir / KEY_FILE).public_key().public_bytes_raw()).decode()
    if get_setting(unit, SEAL_KEY) != public:
        set_setting(unit, SEAL_KEY, public)


def seal(unit: ReadUnit, values: dict[str, str], *, label: str) -> bytes:
    """Seal the values for the mail named by ``label``. Raises ``Unavailable`` before the first start made a key."""
    public = get_setting(unit, SEAL_KEY)
    if not public:
        raise Unavailable("This server has no key to protect links in mails. Start it once with its data folder.")
    once = X25519PrivateKey.generate()
    shared = once.exchange(X25519PublicKey.from_public_bytes(base64.b64decode(public)))
    plain = json.dumps(values).encode()
    once_public = once.public_key().public_bytes_raw()
    return once_public + AESGCM(_derive(shared, once_public)).encrypt(_NONCE, plain, label.encode())


def unseal(data_dir: Path, sealed: bytes, *, label: str) -> dict[str, str]:
    """Open what ``seal`` closed under the same label. Raises ``SealBroken``."""
    path = data_dir / KEY_FILE
    try:
        private = X25519PrivateKey.from_private_bytes(path.read_bytes())
        once_public, box = sealed[:_KEY_BYTES], sealed[_KEY_BYTES:]
        shared = private.exchange(X25519PublicKey.from_public_bytes(once_public))
        return json.loads(AESGCM(_derive(shared, once_public)).decrypt(_NONCE, box, label.encode()))
    except (OSError, ValueError, InvalidTag) as exc:
        raise SealBroken("The secret of a waiting mail cannot be opened with the key in the data folder.") from exc


def _derive(shared: bytes, once_public: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=once_public, info=_LABEL).derive(shared)


def _load_or_make(path: Path) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(load_or_make(path, lambda: X25519PrivateKey.generate().private_bytes_raw()))
