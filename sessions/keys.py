"""The server's own keys: the operational key that signs, the public part of the recovery key, and a key for mailed codes.

They live in ``<data>/keys`` (folder 0700, files 0600), never in the database. The private part of the recovery key is
handed out once, at first start, and kept nowhere here. The instance's id and epoch are rows of the stored settings; the
fingerprint of the operational key is one too, so that a database and a folder that do not belong together are noticed.
What the documents say is in ``agents/protocol/grants.py`` and ``sessions/consent``.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.protocol.errors import SignatureRefused
from agents.protocol.grants import Grant, Request, read_request, sign_grant, sign_request
from agents.protocol.handshake import ServerIdentity
from agents.protocol.signatures import (
    DocumentType,
    PublicKey,
    SigningKey,
    decode_base64url,
    encode_base64url,
    make_jws,
    read_jws,
)
from orchestrator.accounts.models import StoredSetting
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Unavailable
from orchestrator.core.ids import new_id

_OPERATIONAL = "operational.key"
_RECOVERY = "recovery.pub"
_CODES = "codes.key"

INSTANCE_ID = "instance.id"
INSTANCE_EPOCH = "instance.epoch"
OPERATIONAL_FINGERPRINT = "instance.key"


class KeysUnusable(Unavailable):
    """The folder of keys is missing, damaged, or of another instance than the database. Fail closed: nothing is made anew."""

    code = "keys_unusable"


@dataclass(frozen=True, slots=True, repr=False)
class ServerKeys:
    """Everything the server signs with. Safe to use from any thread."""

    operational: SigningKey
    recovery: PublicKey
    instance_id: str
    epoch: int
    code_key: bytes

    def __repr__(self) -> str:
        return f"ServerKeys({self.fingerprint}, epoch={self.epoch})"

    @property
    def public(self) -> PublicKey:
        return self.operational.public

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` of the operational key: what enrolment tokens, receipts and bundles name."""
        return self.operational.public.fingerprint

    @property
    def identity(self) -> ServerIdentity:
        """What the server shows an agent at the start of a link."""
        return ServerIdentity(
            key=self.operational, recovery=self.recovery, server_instance=self.instance_id, epoch=self.epoch
        )

    def sign_request(self, request: Request) -> str:
        return sign_request(self.operational, request)

    def read_request(self, token: str) -> Request:
        """Verify and read a request of ours. Raises SignatureRefused or MalformedMessage."""
        return read_request(token, self.operational.public)

    def sign_grant(self, grant: Grant) -> str:
        return sign_grant(self.operational, grant)

    def sign_receipt(self, receipt: Mapping[str, Any]) -> str:
        return make_jws(self.operational, DocumentType.RECEIPT, receipt)

    def read_receipt(self, token: str) -> dict[str, Any]:
        """Verify and read a receipt of ours. Raises SignatureRefused."""
        return read_jws(token, self.operational.public, DocumentType.RECEIPT)

    def mac(self, purpose: str, *parts: str) -> str:
        """Return the keyed hash (hex) of short secrets that a copy of the database must not reveal."""
        message = "\x00".join((purpose, *parts)).encode()
        return hmac.new(self.code_key, message, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True, repr=False)
class OpenedKeys:
    """The keys, and at the very first start the recovery key's private part: to be shown once and forgotten."""

    keys: ServerKeys
    recovery_secret: str | None


def open_keys(unit: WriteUnit, data_dir: Path) -> OpenedKeys:
    """Read the keys, or make them when neither the folder nor the database has any.

    Raises KeysUnusable when only one of the two knows an instance, or they name different ones.
    """
    folder = data_dir / "keys"
    stored = unit.db.get(StoredSetting, OPERATIONAL_FINGERPRINT)
    if stored is None:
        if (folder / _OPERATIONAL).exists():
            raise KeysUnusable("The data folder has keys of an instance that this database does not know. "
                               "In a new installation, move its folder keys away.")
        secret = _make_keys(unit, folder)
        return OpenedKeys(_read_keys(unit, folder), secret)
    return OpenedKeys(_read_keys(unit, folder), None)


def _make_keys(unit: WriteUnit, folder: Path) -> str:
    operational, recovery = SigningKey.generate(), SigningKey.generate()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    _write_new(folder / _RECOVERY, recovery.public.text)
    _write_new(folder / _CODES, encode_base64url(secrets.token_bytes(32)))
    _write_new(folder / _OPERATIONAL, encode_base64url(operational.to_bytes()))
    for key, value in (
        (OPERATIONAL_FINGERPRINT, operational.public.fingerprint), (INSTANCE_ID, new_id()), (INSTANCE_EPOCH, "1"),
    ):
        if unit.db.get(StoredSetting, key) is None:
            unit.db.add(StoredSetting(key=key, value=value, secret=False, changed_at=unit.now))
    unit.db.flush()
    return encode_base64url(recovery.to_bytes())


def _read_keys(unit: WriteUnit, folder: Path) -> ServerKeys:
    try:
        operational = SigningKey.from_bytes(decode_base64url((folder / _OPERATIONAL).read_text("ascii").strip()))
        recovery = PublicKey.from_text((folder / _RECOVERY).read_text("ascii").strip())
        code_key = decode_base64url((folder / _CODES).read_text("ascii").strip())
    except (OSError, ValueError, SignatureRefused) as exc:
        raise KeysUnusable("The keys in the data folder are missing or damaged; put them back from the backup.") from exc
    if len(code_key) != 32:
        raise KeysUnusable("The keys in the data folder are missing or damaged; put them back from the backup.")
    settings = {key: unit.db.get(StoredSetting, key) for key in (OPERATIONAL_FINGERPRINT, INSTANCE_ID, INSTANCE_EPOCH)}
    values = {key: row.value for key, row in settings.items() if row is not None}
    if values.get(OPERATIONAL_FINGERPRINT) != operational.public.fingerprint or len(values) != 3:
        raise KeysUnusable("The keys in the data folder belong to another instance than the database.")
    return ServerKeys(
        operational=operational, recovery=recovery, instance_id=values[INSTANCE_ID],
        epoch=int(values[INSTANCE_EPOCH]), code_key=code_key,
    )


def _write_new(path: Path, text: str) -> None:
    """Write a file that only the owner reads, durably; an existing one is a leftover of a start that did not finish."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
