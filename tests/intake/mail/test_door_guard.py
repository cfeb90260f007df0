"""Who may talk to the SMTP door."""

import pytest

from orchestrator.core.errors import InvalidInput
from orchestrator.core.settings import Settings
from orchestrator.intake.mail.door_guard import (
    MAILS_PER_MINUTE,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_OF_ADDRESS,
    DoorGuard,
    parse_listen,
    parse_networks,
)


def test_wider_than_loopback_needs_a_list_of_addresses() -> None:
    with pytest.raises(InvalidInput):
        DoorGuard.from_settings(Settings(smtp_listen="0.0.0.0:25"))
    assert DoorGuard.from_settings(Settings(smtp_listen="0.0.0.0:25", smtp_allow="192.0.2.0/24")).allowed
    assert DoorGuard.from_settings(Settings(smtp_listen="[::1]:2525")).host == "::1"


@pytest.mark.parametrize("text", ["", "25", "host", "host:abc", "host:70000"])
def test_malformed_listen_setting_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_listen(text)


def test_malformed_network_is_refused() -> None:
    with pytest.raises(InvalidInput):
        parse_networks("192.0.2.0/24, mail.example.de")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.0.2.7", True), ("::ffff:192.0.2.7", True), ("198.51.100.1", False),
        ("2001:db8::1", True), ("2001:db9::1", False), ("", False), ("not an address", False),
    ],
)  # fmt: skip
def test_only_this_machine_and_listed_addresses_may_send(address: str, allowed: bool) -> None:
    guard = DoorGuard("0.0.0.0", 25, parse_networks("192.0.2.0/24 2001:db8::/32"))
    assert guard.is_allowed(address) == allowed
    assert (guard.admit(address) is None) == allowed


def test_connections_are_bounded_for_each_address_and_in_all() -> None:
    guard = DoorGuard("0.0.0.0", 25, parse_networks("192.0.2.0/24"))
    for _ in range(MAX_CONNECTIONS_OF_ADDRESS):
        assert guard.admit("192.0.2.1") is None
    assert (guard.admit("192.0.2.1") or "").startswith("421")
    guard.leave("192.0.2.1")
    assert guard.admit("192.0.2.1") is None
    admitted = sum(guard.admit(f"192.0.2.{number % 200 + 2}") is None for number in range(2 * MAX_CONNECTIONS))
    assert admitted == MAX_CONNECTIONS - MAX_CONNECTIONS_OF_ADDRESS
    assert (guard.admit("127.0.0.1") or "").startswith("421")


def test_mails_of_an_address_are_bounded_within_a_minute() -> None:
    now = 1000.0
    guard = DoorGuard("0.0.0.0", 25, parse_networks("192.0.2.0/24"), clock=lambda: now)
    assert all(guard.may_send("192.0.2.1") for _ in range(MAILS_PER_MINUTE))
    assert not guard.may_send("192.0.2.1")
    assert guard.may_send("192.0.2.2")
    assert all(guard.may_send("127.0.0.1") for _ in range(2 * MAILS_PER_MINUTE))
    now += 61
    assert guard.may_send("192.0.2.1")
