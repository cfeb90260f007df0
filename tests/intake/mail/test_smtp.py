"""The SMTP door over a real socket: what it takes, what it refuses, and that 250 means stored."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import func, select

from orchestrator.accounts.desk import publish_desk_facts
from orchestrator.core.db import Database
from orchestrator.core.errors import Unavailable
from orchestrator.core.settings import Settings
from orchestrator.intake import batching
from orchestrator.intake.mail.smtp import SMTPDoor, check_data
from orchestrator.intake.models import RawInput
from orchestrator.tickets.models import Ticket
from tests.builders import make_queue
from tests.intake.mail import samples

SUPPORT = "support@desk.example"


@contextmanager
def open_door(database: Database, settings: Settings) -> Generator[SMTPDoor, None, None]:
    """Run a door on an event loop in a thread of its own, as the server does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    executor = ThreadPoolExecutor(2)
    door = SMTPDoor(settings, database, executor)
    try:
        asyncio.run_coroutine_threadsafe(door.start(), loop).result(10)
        yield door
    finally:
        asyncio.run_coroutine_threadsafe(door.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        executor.shutdown()


@pytest.fixture
def door_settings(sqlite_settings: Settings) -> Settings:
    return sqlite_settings.model_copy(update={"smtp_listen": "127.0.0.1:0", "smtp_max_bytes": 200_000})


@pytest.fixture
def door(sqlite_database: Database, door_settings: Settings) -> Generator[SMTPDoor, None, None]:
    with sqlite_database.write() as unit:
        publish_desk_facts(unit, door_settings)
        make_queue(unit, name="Fax", address="fax@desk.example")
    with open_door(sqlite_database, door_settings) as running:
        yield running


@contextmanager
def dialogue(door: SMTPDoor) -> Generator[smtplib.SMTP, None, None]:
    client = smtplib.SMTP("127.0.0.1", door.port, timeout=20)
    try:
        yield client
    finally:
        client.close()


def stored(door: SMTPDoor, table: type = RawInput) -> int:
    with door.database.read() as unit:
        return unit.db.scalar(select(func.count()).select_from(table)) or 0


def test_mail_is_stored_when_250_is_said(door: SMTPDoor) -> None:
    with dialogue(door) as client:
        client.sendmail("erika@example.de", [SUPPORT], samples.german_outlook())
        assert (stored(door), stored(door, Ticket)) == (1, 1)
        client.sendmail("erika@example.de", [SUPPORT], samples.german_outlook())
        assert (stored(door), stored(door, Ticket)) == (1, 1)
    with door.database.read() as unit:
        row = unit.db.scalars(select(RawInput)).one()
        assert (row.door, row.envelope_from, row.envelope_to) == ("smtp", "erika@example.de", SUPPORT)


def test_null_return_path_is_taken(door: SMTPDoor) -> None:
    with dialogue(door) as client:
        client.sendmail("", [SUPPORT], samples.bounce_report())
    with door.database.read() as unit:
        assert unit.db.scalars(select(RawInput.envelope_from)).one() == ""


@pytest.mark.parametrize(
    ("address", "code"),
    [
        (SUPPORT, 250), ("Support@DESK.example", 250), ("support+2026-000001-5@desk.example", 250), ("fax@desk.example", 250),
        ("erika@example.de", 550), ("support@other.example", 550), ("supportx@desk.example", 550), ("@", 550), ("root", 550),
        ("support@desk.example@evil.example", 550), ("evil.example!support@desk.example", 550), ("support%evil.example@desk.example", 550),
    ],
)  # fmt: skip
def test_only_our_own_addresses_are_recipients(door: SMTPDoor, address: str, code: int) -> None:
    with dialogue(door) as client:
        client.ehlo("test")
        client.mail("erika@example.de")
        said = client.rcpt(address)[0]
        assert said == code or (code == 550 and said in (553, 501))


def test_mail_that_is_too_large_is_refused_before_and_after_its_data(door: SMTPDoor) -> None:
    with dialogue(door) as client:
        client.ehlo("test")
        assert client.mail("erika@example.de", ["SIZE=300000"])[0] == 552
        client.rset()
        client.mail("erika@example.de")
        client.rcpt(SUPPORT)
        assert client.data(b"Subject: x\r\n\r\n" + b"a" * 70 * 4000)[0] in (500, 552)
    assert stored(door) == 0


def test_line_without_end_is_refused(door: SMTPDoor) -> None:
    with dialogue(door) as client:
        client.ehlo("test")
        client.mail("erika@example.de")
        client.rcpt(SUPPORT)
        assert client.data(b"Subject: x\r\n\r\n" + b"a" * 100_000)[0] == 500
        client.mail("erika@example.de")
        client.rcpt(SUPPORT)
        assert client.data(b"Subject: x\r\n\r\n" + b"a" * 5_000)[0] == 250
    assert stored(door) == 1


def talk(door: SMTPDoor, data: bytes) -> bytes:
    """Send a mail byte by byte as given, and give everything that was answered."""
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as connection:
        opening = f"EHLO x\r\nMAIL FROM:<a@example.de>\r\nRCPT TO:<{SUPPORT}>\r\nDATA\r\n".encode()
        reader = connection.makefile("rb")
        for line in opening.splitlines(keepends=True):
            connection.sendall(line)
        while not (said := reader.readline()).startswith(b"354"):
            assert said
        connection.sendall(data + b"\r\nQUIT\r\n")
        return reader.read()


SMUGGLED = b"MAIL FROM:<evil@example.de>\r\nRCPT TO:<" + SUPPORT.encode() + b">\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n\n.\r\n"])
def test_bare_line_ends_smuggle_nothing(door: SMTPDoor, end: bytes) -> None:
    said = talk(door, b"Subject: one\r\n\r\ntext" + end + SMUGGLED + b"\r\n.\r\n")
    assert b"554 5.6.0" in said
    with door.database.read() as unit:
        assert not [ticket for ticket in unit.db.scalars(select(Ticket.subject)) if "smuggled" in ticket]


@pytest.mark.parametrize(
    ("raw", "passes"),
    [
        (b"a\r\nb\r\n", True), (b"", True), (b"a\nb", False), (b"a\rb", False), (b"a\r\r\nb", False), (b"a\n\rb", False),
        (b"X: 1" + b"\r\nReceived: x" * 101 + b"\r\n\r\n", False), (b"X: 1" + b"\r\nReceived: x" * 50 + b"\r\n\r\n", True),
    ],
)  # fmt: skip
def test_data_with_bare_line_ends_or_too_many_hops_is_refused(raw: bytes, passes: bool) -> None:
    assert (check_data(raw) is None) == passes


def test_lines_that_begin_with_a_dot_arrive_whole(door: SMTPDoor) -> None:
    with dialogue(door) as client:
        client.sendmail("erika@example.de", [SUPPORT], b"Subject: x\r\n\r\n.eins\r\n..zwei\r\n")
    with door.database.read() as unit:
        from orchestrator.intake.raw import read_raw

        assert read_raw(unit.db.scalars(select(RawInput)).one()) == b"Subject: x\r\n\r\n.eins\r\n..zwei\r\n"


def test_neither_relaying_nor_login_nor_lists_of_users_are_offered(door: SMTPDoor) -> None:
    with dialogue(door) as client:
        client.ehlo("test")
        assert "auth" not in client.esmtp_features
        assert "starttls" not in client.esmtp_features
        assert client.docmd("EXPN", "staff")[0] == 502
        assert client.docmd("VRFY", SUPPORT)[0] in (252, 502)
        assert b"aiosmtpd" not in client.helo("again")[1].lower()


def test_address_beyond_the_list_is_refused_before_it_says_anything(door: SMTPDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(door.guard), "is_allowed", lambda _self, _address: False)
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        smtplib.SMTP("127.0.0.1", door.port, timeout=10)
    assert refused.value.smtp_code == 554


def test_database_that_is_away_makes_the_sender_keep_the_mail(door: SMTPDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unavailable("The database cannot be used right now.")

    def full(*_: object, **__: object) -> None:
        raise Unavailable("The database cannot be used right now.") from OSError("database or disk is full")

    for fault, code in ((away, 451), (full, 452)):
        monkeypatch.setattr(batching, "receive_mail", fault)
        with dialogue(door) as client, pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("erika@example.de", [SUPPORT], samples.simple())
        assert refused.value.smtp_code == code


def test_full_database_makes_the_sender_keep_the_mail_and_leaves_no_half_ticket(door: SMTPDoor) -> None:
    """A real full database: SQLite may not grow beyond its present pages."""
    with door.database.write_engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.rollback()
    with dialogue(door) as client, pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail("erika@example.de", [SUPPORT], samples.simple("Wort für Wort.\n" * 8_000))
    assert refused.value.smtp_code in (451, 452)
    assert stored(door, Ticket) == 0
    with door.database.write_engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1073741823")
        connection.rollback()
    with dialogue(door) as client:
        client.sendmail("erika@example.de", [SUPPORT], samples.simple("Wort für Wort.\n" * 8_000))
    assert (stored(door), stored(door, Ticket)) == (1, 1)


def test_ten_connections_at_once_lose_and_double_nothing(door: SMTPDoor) -> None:
    def send(number: int) -> None:
        with dialogue(door) as client:
            for part in range(5):
                client.sendmail("erika@example.de", [SUPPORT], samples.simple(f"Mail {number}.{part}", message_id=f"<{number}.{part}@example.de>"))

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(send, range(10)))
    assert (stored(door), stored(door, Ticket)) == (50, 50)


def test_client_that_leaves_in_the_middle_leaves_nothing_behind(door: SMTPDoor) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
            connection.sendall(f"EHLO x\r\nMAIL FROM:<a@b.de>\r\nRCPT TO:<{SUPPORT}>\r\nDATA\r\nSubject: half".encode())
    with dialogue(door) as client:
        client.sendmail("erika@example.de", [SUPPORT], samples.simple())
    assert stored(door) == 1


def test_taken_port_is_said_clearly(door: SMTPDoor, sqlite_database: Database, door_settings: Settings) -> None:
    taken = door_settings.model_copy(update={"smtp_listen": f"127.0.0.1:{door.port}"})
    with pytest.raises(Unavailable), open_door(sqlite_database, taken):
        pass


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return cert_path, key_path


def test_starttls_is_offered_with_a_certificate(sqlite_database: Database, door_settings: Settings, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    with open_door(sqlite_database, door_settings.model_copy(update={"tls_cert": certificate, "tls_key": key})) as door:
        client = smtplib.SMTP("localhost", door.port, timeout=20)
        with contextlib.closing(client):
            client.ehlo("test")
            client.starttls(context=ssl.create_default_context(cafile=str(certificate)))
            client.ehlo("test")
            assert "auth" not in client.esmtp_features
            client.sendmail("erika@example.de", [SUPPORT], samples.simple())
        assert stored(door) == 1
