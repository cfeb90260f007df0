"""A real SMTP server for tests: records what it takes, and can be told to answer or hang at any stage."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from orchestrator.accounts.desk import publish_desk_facts
from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from orchestrator.notifications.sealing import prepare_sealing


@dataclass
class Script:
    """What the server says. A stage (``EHLO``, ``MAIL``, ``RCPT``, ``DATA``) maps to an answer; ``refused`` addresses get
    theirs at RCPT; ``hang`` names a stage at which the server falls silent."""

    answers: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    hang: str = ""
    on_data: Any = None


@dataclass
class Taken:
    return_path: str
    recipients: list[str]
    content: bytes
    login: str | None
    secured: bool

    @property
    def message(self) -> EmailMessage:
        return BytesParser(policy=default).parsebytes(self.content)  # type: ignore[return-value]  # the policy makes EmailMessage


class _Handler:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.taken: list[Taken] = []
        self.attempts = 0
        self.transports: list[Any] = []
        self.released = asyncio.Event()

    async def _answer(self, stage: str, good: str) -> str:
        if self.script.hang == stage:
            await self.released.wait()
        return self.script.answers.get(stage, good)

    async def handle_EHLO(self, server: SMTP, session: Session, envelope: Any, hostname: str, responses: list[str]) -> list[str]:
        session.host_name = hostname
        self.attempts += 1
        answer = await self._answer("EHLO", "")
        return [answer] if answer else responses

    async def handle_HELO(self, server: SMTP, session: Session, envelope: Any, hostname: str) -> str:
        session.host_name = hostname
        return await self._answer("EHLO", "250 test")

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Any, address: str, options: list[str]) -> str:
        answer = await self._answer("MAIL", "250 ok")
        if answer.startswith("250"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Any, address: str, options: list[str]) -> str:
        answer = self.script.refused.get(address) or await self._answer("RCPT", "250 ok")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Any) -> str:
        answer = await self._answer("DATA", "250 taken")
        if answer.startswith("250"):
            secured = server.transport is not None and server.transport.get_extra_info("sslcontext") is not None
            self.taken.append(Taken(envelope.mail_from, list(envelope.rcpt_tos), envelope.content, session.auth_data, secured))
            if self.script.on_data is not None:
                self.script.on_data()
        return answer


class _ScriptedSMTP(SMTP):
    """Falls silent or refuses before the handler is asked, for the stages that have no hook."""

    def connection_made(self, transport: Any) -> None:
        self.event_handler.transports.append(transport)
        super().connection_made(transport)

    async def push(self, status: Any) -> None:
        script: Script = self.event_handler.script
        text = status if isinstance(status, str) else status.decode()
        if text.startswith("220 ") and "Ready" not in text:
            if script.hang == "banner":
                await self.event_handler.released.wait()
            status = script.answers.get("banner", status)
        if text.startswith("354") and script.hang == "354":
            await self.event_handler.released.wait()
        if text.startswith("354") and "354" in script.answers:
            status = script.answers["354"]
        await super().push(status)


class MailServer:
    """The running server: its ``port``, its ``script``, and what it has ``taken``. It has a thread and loop of its own."""

    def __init__(self, *, tls_context: ssl.SSLContext | None = None, tls_of_starttls: ssl.SSLContext | None = None, **options: Any) -> None:
        self.script = Script()
        self.port = 0
        self._handler = _Handler(self.script)
        self._tls_context = tls_context
        self._options = {**options, "tls_context": tls_of_starttls}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="test-smtp")

    def start(self) -> None:
        started: Future[int] = Future()
        self._loop.call_soon(lambda: asyncio.ensure_future(self._open(started)))
        self._thread.start()
        self.port = started.result(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_forever()

    async def _open(self, started: Future[int]) -> None:
        self._server = await self._loop.create_server(
            lambda: _ScriptedSMTP(self._handler, loop=self._loop, hostname="test", **self._options), "127.0.0.1", 0, ssl=self._tls_context)
        started.set_result(self._server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for transport in self._handler.transports:
            transport.abort()
        for _ in range(3):  # a transport closes its socket in the next turns of the loop
            await asyncio.sleep(0)

    @property
    def taken(self) -> list[Taken]:
        return self._handler.taken

    @property
    def attempts(self) -> int:
        return self._handler.attempts


@pytest.fixture
def mail_server() -> Generator[MailServer, None, None]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


@dataclass(frozen=True)
class Certificates:
    """A CA of the tests and a certificate for 127.0.0.1 and localhost."""

    ca: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_certificates(folder: Path, *, name: str = "localhost") -> Certificates:
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(ca_name).public_key(public)
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                .not_valid_after(now + datetime.timedelta(days=1)))

    ca_identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = (builder(ca_name, ca_key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
          .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
          .add_extension(ca_identifier, critical=False).sign(ca_key, hashes.SHA256()))
    names = x509.SubjectAlternativeName([x509.DNSName(name), *([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))] if name == "localhost" else [])])
    certificate = (builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key())
                   .add_extension(names, critical=False)
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier), critical=False)
                   .sign(ca_key, hashes.SHA256()))
    paths = Certificates(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")
    paths.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    paths.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return paths


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


def login_server(user: str, password: str, **options: Any) -> MailServer:
    """A server that wants a login."""

    def check(server: SMTP, session: Session, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        good = data.login == user.encode() and data.password == password.encode()
        return AuthResult(success=good, auth_data=user if good else None)

    outer = options.get("tls_context") is not None  # then TLS began before SMTP, and aiosmtpd must not ask for STARTTLS again
    return MailServer(authenticator=check, auth_required=not outer, auth_require_tls=not outer, **options)


@pytest.fixture
def ready(database: Database, settings: Settings, mail_server: MailServer) -> Settings:
    """Settings that point to the mail server; facts and sealing key published as at the program's start."""
    return prepare(database, settings, mail_server)


def prepare(database: Database, settings: Settings, server: MailServer, **changes: Any) -> Settings:
    values: dict[str, Any] = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_tls": "none", **changes}
    if isinstance(values.get("smtp_password"), str):
        values["smtp_password"] = SecretStr(values["smtp_password"])
    with database.write() as unit:
        publish_desk_facts(unit, settings)
        prepare_sealing(unit, settings.data_dir)
    return settings.model_copy(update=values)

