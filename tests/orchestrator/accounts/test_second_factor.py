"""The second factor: one step of tolerance, and no code twice."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from pyotp.totp import TOTP

from orchestrator.accounts.second_factor import draw_qr_code, find_step, new_totp_secret, prove_second_factor, provisioning_address
from orchestrator.core.db import Database
from tests.orchestrator.accounts.builders import add_person, pass_time, stop_clock

RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""The key of RFC 6238's test vectors."""


@pytest.mark.parametrize(("seconds", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")])
def test_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    assert find_step(RFC_SECRET, code, at=at, after_step=None) == seconds // 30


@pytest.mark.parametrize(("steps", "counts"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_counts_one_step_before_and_after(database: Database, steps: int, counts: bool) -> None:
    stop_clock(database)
    person = add_person(database)
    with database.write() as unit:
        assert prove_second_factor(unit, person.user.id, person.code(database, steps=steps)) is counts


def test_a_code_counts_once(database: Database) -> None:
    stop_clock(database)
    person = add_person(database)
    code = person.code(database)
    with database.write() as unit:
        assert prove_second_factor(unit, person.user.id, code)
    with database.write() as unit:
        assert not prove_second_factor(unit, person.user.id, code)


def test_an_older_code_than_the_last_one_used_is_refused(database: Database) -> None:
    clock = stop_clock(database)
    person = add_person(database)
    old = person.code(database)
    with database.write() as unit:
        assert prove_second_factor(unit, person.user.id, person.code(database, steps=1))
        assert not prove_second_factor(unit, person.user.id, old)
    pass_time(clock, seconds=60)
    with database.write() as unit:
        assert prove_second_factor(unit, person.user.id, person.code(database))


def test_of_many_requests_with_one_code_one_succeeds(database: Database) -> None:
    stop_clock(database)
    person = add_person(database)
    code, results = person.code(database), []

    def prove() -> None:
        with database.write() as unit:
            results.append(prove_second_factor(unit, person.user.id, code))

    threads = [threading.Thread(target=prove) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(results) == [False] * 5 + [True]


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345", "12 34", "0x1234", "\x00" * 6])
def test_what_is_no_code_is_refused(database: Database, code: str) -> None:
    person = add_person(database)
    with database.write() as unit:
        assert not prove_second_factor(unit, person.user.id, code)


def test_spaces_in_a_code_do_not_matter() -> None:
    assert find_step(RFC_SECRET, " 287 082 ", at=datetime.fromtimestamp(59, UTC), after_step=None) == 1


def test_nobody_has_no_second_factor(database: Database) -> None:
    with database.write() as unit:
        assert not prove_second_factor(unit, "00000000-0000-7000-8000-000000000000", "123456")


def test_a_new_secret_has_160_bits_and_apps_read_it() -> None:
    secret = new_totp_secret()
    assert len(secret) == 32 and len(TOTP(secret).byte_secret()) == 20
    address = provisioning_address(secret, email="anna@desk.example", issuer="Fernwart")
    assert address.startswith("otpauth://totp/Fernwart:anna%40desk.example?secret=" + secret)
    image = draw_qr_code(address)
    assert image.startswith(b"<?xml") and b"<script" not in image and b"style=" not in image
