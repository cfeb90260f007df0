"""The server's keys: made once, private, and never replaced in silence."""

from __future__ import annotations

import stat

import pytest

from agents.protocol.errors import SignatureRefused
from agents.protocol.signatures import SigningKey, decode_base64url, encode_base64url
from orchestrator.accounts.models import StoredSetting
from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from sessions.keys import INSTANCE_EPOCH, KeysUnusable, OpenedKeys, ServerKeys, open_keys


def open_once(database: Database, settings: Settings) -> OpenedKeys:
    with database.write() as unit:
        return open_keys(unit, settings.data_dir)


def test_keys_are_made_once_and_the_recovery_secret_is_shown_once(sqlite_database: Database, sqlite_settings: Settings) -> None:
    first = open_once(sqlite_database, sqlite_settings)
    second = open_once(sqlite_database, sqlite_settings)
    assert first.recovery_secret is not None and second.recovery_secret is None
    assert first.keys.fingerprint == second.keys.fingerprint and first.keys.instance_id == second.keys.instance_id
    assert SigningKey.from_bytes(decode_base64url(first.recovery_secret)).public == first.keys.recovery != first.keys.public
    folder = sqlite_settings.data_dir / "keys"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and first.recovery_secret not in file.read_text("latin-1")
    assert "epoch=1" in repr(first.keys) and first.keys.code_key.hex() not in repr(first)


@pytest.mark.parametrize("name", ["operational.key", "recovery.pub", "codes.key"])
def test_a_lost_or_damaged_file_stops_the_start(sqlite_database: Database, sqlite_settings: Settings, name: str) -> None:
    open_once(sqlite_database, sqlite_settings)
    path = sqlite_settings.data_dir / "keys" / name
    kept = path.read_text()
    for damage in ("", "not base64!", None):
        path.unlink(missing_ok=True)
        if damage is not None:
            path.write_text(damage)
        with pytest.raises(KeysUnusable):
            open_once(sqlite_database, sqlite_settings)
    path.write_text(kept)
    open_once(sqlite_database, sqlite_settings)


def test_keys_and_database_of_different_instances_are_told_apart(sqlite_database: Database, sqlite_settings: Settings) -> None:
    open_once(sqlite_database, sqlite_settings)
    path = sqlite_settings.data_dir / "keys" / "operational.key"
    path.write_text(encode_base64url(SigningKey.generate().to_bytes()))
    with pytest.raises(KeysUnusable):
        open_once(sqlite_database, sqlite_settings)
    with sqlite_database.write() as unit:
        for row in unit.db.query(StoredSetting).filter(StoredSetting.key.like("instance.%")):
            unit.db.delete(row)
    with pytest.raises(KeysUnusable):
        open_once(sqlite_database, sqlite_settings)


def test_the_epoch_is_read_from_the_database(sqlite_database: Database, sqlite_settings: Settings) -> None:
    open_once(sqlite_database, sqlite_settings)
    with sqlite_database.write() as unit:
        unit.db.get_one(StoredSetting, INSTANCE_EPOCH).value = "4"
    keys = open_once(sqlite_database, sqlite_settings).keys
    assert keys.epoch == 4 == keys.identity.epoch


def test_codes_are_keyed_by_purpose_and_parts(sqlite_database: Database, sqlite_settings: Settings) -> None:
    keys: ServerKeys = open_once(sqlite_database, sqlite_settings).keys
    found = {keys.mac("a", "b"), keys.mac("a", "b", "c"), keys.mac("b", "a"), keys.mac("a", "bc")}
    assert len(found) == 4 and keys.mac("a", "b") == keys.mac("a", "b")
    receipt = keys.sign_receipt({"schema": "x"})
    assert keys.read_receipt(receipt) == {"schema": "x"}
    with pytest.raises(SignatureRefused):
        keys.read_request(receipt)
