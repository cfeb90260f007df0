"""Secrets of second factors at rest: no copy of the database shows or opens them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import SYSTEM
from orchestrator.accounts.links import SET_UP, find_open_link
from orchestrator.accounts.models import OneTimeLink, User
from orchestrator.accounts.second_factor import prove_second_factor
from orchestrator.accounts.secret_box import KEY_FILE, SecretLost, prepare_secret_box, read_totp_secret
from orchestrator.accounts.service import add_user
from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from tests.orchestrator.accounts.builders import add_person, stop_clock


def test_neither_a_users_nor_a_links_secret_is_in_the_database(sqlite_database: Database, sqlite_settings: Settings) -> None:
    person = add_person(sqlite_database)
    with sqlite_database.write() as unit:
        _user, token = add_user(unit, SYSTEM, email="new@desk.example", name="New", roles=["technician"])
        secret = find_open_link(unit, token, SET_UP).totp_secret
        assert unit.db.scalars(select(OneTimeLink)).one().payload["totp_secret"] != secret
    stored = b"".join(path.read_bytes() for path in sqlite_settings.data_dir.glob("fernwart.sqlite*"))
    assert person.totp_secret.encode() not in stored and secret.encode() not in stored
    assert person.user.email.encode() in stored  # the search itself finds what is there


def test_another_data_folder_opens_nothing_and_the_second_factor_is_refused(sqlite_database: Database, tmp_path: Path) -> None:
    stop_clock(sqlite_database)
    person = add_person(sqlite_database)
    code = person.code(sqlite_database)
    prepare_secret_box(sqlite_database, tmp_path / "thief")
    with pytest.raises(SecretLost), sqlite_database.write() as unit:
        prove_second_factor(unit, person.user.id, code)


def test_a_sealed_secret_moved_to_another_user_does_not_open(sqlite_database: Database) -> None:
    mine, other = add_person(sqlite_database), add_person(sqlite_database, email="bert@desk.example")
    with sqlite_database.write() as unit:
        moved = unit.db.get_one(User, other.user.id)
        assert read_totp_secret(unit, moved) == other.totp_secret
        moved.totp_secret = unit.db.get_one(User, mine.user.id).totp_secret
        with pytest.raises(SecretLost):
            read_totp_secret(unit, moved)
        moved.totp_secret = mine.totp_secret  # never taken as plain text
        with pytest.raises(SecretLost):
            read_totp_secret(unit, moved)


def test_the_key_is_kept_private_and_a_damaged_one_is_refused(sqlite_database: Database, sqlite_settings: Settings) -> None:
    path = sqlite_settings.data_dir / KEY_FILE
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    before = path.read_bytes()
    prepare_secret_box(sqlite_database, sqlite_settings.data_dir)
    assert path.read_bytes() == before
    path.write_bytes(b"short")
    with pytest.raises(SecretLost):
        prepare_secret_box(sqlite_database, sqlite_settings.data_dir)
