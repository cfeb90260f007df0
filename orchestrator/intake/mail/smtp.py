"""The SMTP door: mail for our own addresses, from this machine or from listed ones, stored before it is acknowledged.

Here: the listener and every refusal. The only module that touches aiosmtpd. Not here: what becomes of a mail (`receive.py`).

The door runs on an event loop and a thread of its own, so that a large mail, read line by line, never delays a keystroke
of a remote session; the database is touched by the threads of a bounded queue (`batching.py`). Order of calls: `start`, then `stop`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from concurrent.futures import Executor
from urllib.parse import urlsplit

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from orchestrator.accounts.desk import read_own_addresses
from orchestrator.core.db import Database
from orchestrator.core.errors import AppError, Unavailable
from orchestrator.core.settings import Settings
from orchestrator.intake.batching import IntakeQueue
from orchestrator.intake.mail.door_guard import DoorGuard

log = structlog.get_logger(__name__)

MAX_RECIPIENTS = 50
MAX_LINE_BYTES = 64 * 1024
MAX_HOPS = 100
TIMEOUT_SECONDS = 60
_ADDRESSES_SECONDS = 5.0
_NULL_PATH = "<>"
_HANG_UP_ROUNDS = 100
_STOP_SECONDS = 20.0


class SMTPDoor:
    """Listen where `FERNWART_SMTP_LISTEN` says. `port` is the port that was really taken."""

    def __init__(self, settings: Settings, database: Database, executor: Executor) -> None:
        self.settings = settings
        self.database = database
        self.guard = DoorGuard.from_settings(settings)
        self.port = 0
        self.transports: set[asyncio.WriteTransport] = set()
        self._executor = executor
        self._queue = IntakeQueue(database, settings, door="smtp")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._addresses: frozenset[str] = frozenset()
        self._addresses_at = float("-inf")

    async def start(self) -> None:
        """Begin to listen. Raises ``InvalidInput`` for settings that cannot be used, ``Unavailable`` for a taken port."""
        logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd logs the lines of mails below that
        self._queue.start()
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._thread = threading.Thread(target=self._run, args=(asyncio.get_running_loop(), ready), name="smtp-door", daemon=True)
        self._thread.start()
        await ready
        log.info("smtp door open", host=self.guard.host, port=self.port, starttls=self.settings.tls_cert is not None)

    async def stop(self) -> None:
        """Stop listening; mails whose data has arrived are still stored."""
        if self._loop is not None and self._thread is not None:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            await asyncio.get_running_loop().run_in_executor(self._executor, thread.join, _STOP_SECONDS)
        await asyncio.get_running_loop().run_in_executor(self._executor, self._queue.stop, _STOP_SECONDS)

    @property
    def is_open(self) -> bool:
        """Whether the door's thread still listens; for any thread."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self, outside: asyncio.AbstractEventLoop, ready: asyncio.Future[None]) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)

        def tell(error: AppError | None) -> None:
            if not ready.done():
                ready.set_result(None) if error is None else ready.set_exception(error)

        try:
            context = self._tls_context()
            self._server = loop.run_until_complete(
                loop.create_server(lambda: _Conversation(self, loop, context), self.guard.host, self.guard.port)
            )
            self.port = self._server.sockets[0].getsockname()[1]
            self._loop = loop
        except OSError as exc:
            problem = Unavailable("Mail cannot be received at {listen}: {reason}", listen=self.settings.smtp_listen, reason=str(exc))
            outside.call_soon_threadsafe(tell, problem)
            loop.close()
            return
        outside.call_soon_threadsafe(tell, None)
        try:
            loop.run_forever()
        finally:
            self._server.close()
            loop.run_until_complete(self._hang_up())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    async def _hang_up(self) -> None:
        """End every conversation: its connection and its task. What was acknowledged is stored; the rest comes again."""
        for transport in tuple(self.transports):
            transport.abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(_HANG_UP_ROUNDS):
            if not self.transports:
                return
            await asyncio.sleep(0.01)

    def _tls_context(self) -> ssl.SSLContext | None:
        if self.settings.tls_cert is None or self.settings.tls_key is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.settings.tls_cert, self.settings.tls_key)
        return context

    async def is_ours(self, address: str) -> bool:
        """Tell whether mail for this address is taken; the part behind a plus is free."""
        loop = asyncio.get_running_loop()
        if loop.time() > self._addresses_at + _ADDRESSES_SECONDS:
            self._addresses = await loop.run_in_executor(self._executor, self._read_addresses)
            self._addresses_at = loop.time()
        local, at, domain = address.lower().rpartition("@")
        return f"{local}{at}{domain}" in self._addresses or f"{local.partition('+')[0]}{at}{domain}" in self._addresses

    def _read_addresses(self) -> frozenset[str]:
        with self.database.read() as unit:
            return read_own_addresses(unit) | frozenset(self.settings.own_addresses)

    async def take(self, envelope: Envelope) -> str:
        """Store and understand one mail; give the reply. 250 only after the commit."""
        raw = bytes(envelope.original_content or b"")
        refusal = check_data(raw)
        if refusal is not None:
            return refusal
        sender = "" if envelope.mail_from in (None, _NULL_PATH) else envelope.mail_from
        try:
            result = await asyncio.wrap_future(self._queue.submit(raw, envelope_from=sender, envelope_to=envelope.rcpt_tos))
        except AppError as exc:
            log.warning("a mail could not be stored", reason=str(exc))
            full = "full" in str(exc.__cause__).lower() or "no space" in str(exc.__cause__).lower()
            return "452 4.3.1 No space to store this mail, try again later" if full else "451 4.3.0 Cannot store this mail now, try again"
        except Exception:  # the boundary of the conversation: the sender keeps the mail and tries again
            log.exception("a mail could not be received")
            return "451 4.3.0 Something failed here, try again"
        return f"250 2.0.0 {result.outcome} {result.ticket_number or ''}".rstrip()


def check_data(raw: bytes) -> str | None:
    """Give the refusal for data that must not pass: bare CR or LF (they smuggle second mails), or a mail that loops."""
    ends = raw.count(b"\r\n")
    if raw.count(b"\n") != ends or raw.count(b"\r") != ends:
        return "554 5.6.0 Bare CR or LF in the message"
    header_end = raw.find(b"\r\n\r\n")
    header = raw[: header_end if header_end >= 0 else len(raw)]
    if header.lower().count(b"\r\nreceived:") > MAX_HOPS:
        return "554 5.4.6 This mail has passed too many servers"
    return None


class _Conversation(SMTP):
    """One connection: aiosmtpd's protocol with our limits, and the refusal of who may not talk to us at all."""

    line_length_limit = MAX_LINE_BYTES

    def __init__(self, door: SMTPDoor, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext | None) -> None:
        self._door = door
        self._peer: str | None = None
        self._plain_transport: asyncio.WriteTransport | None = None
        self._refused = False
        super().__init__(
            _Hooks(door), data_size_limit=door.settings.smtp_max_bytes, enable_SMTPUTF8=True, loop=loop, tls_context=context,
            hostname=urlsplit(door.settings.public_url).hostname or "localhost", ident="ESMTP", timeout=TIMEOUT_SECONDS,
            auth_exclude_mechanism=["LOGIN", "PLAIN"], command_call_limit={"*": 50, "MAIL": 100_000, "RCPT": 100_000, "DATA": 100_000,
                                                                            "RSET": 100_000},
        )  # fmt: skip

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        if self._peer is None:
            self._plain_transport = transport
            self._door.transports.add(transport)
            peer = str((transport.get_extra_info("peername") or ("",))[0])
            refusal = self._door.guard.admit(peer)
            if refusal is not None:
                self._refused = True
                log.warning("smtp connection refused", address=peer, reason=refusal)
                transport.write(f"{refusal}\r\n".encode("ascii"))
                transport.close()
                return
            self._peer = peer
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._refused else super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        if self._plain_transport is not None:
            self._door.transports.discard(self._plain_transport)
        if self._refused:
            return
        if self._peer is not None:
            self._door.guard.leave(self._peer)
            self._peer = None
        super().connection_lost(error)


class _Hooks:
    """What aiosmtpd asks at each command; the names are its own."""

    def __init__(self, door: SMTPDoor) -> None:
        self._door = door

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [line for line in responses if not line[4:].startswith("AUTH")]

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, mail_options: list[str]) -> str:
        peer = str((session.peer or ("",))[0])
        if not self._door.guard.may_send(peer):
            return "450 4.7.1 Too many mails from your address, try again later"
        envelope.mail_from = address or _NULL_PATH  # aiosmtpd takes an empty one for none
        envelope.mail_options.extend(mail_options)
        return "250 2.1.0 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]) -> str:
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        try:
            known = await self._door.is_ours(address)
        except AppError:
            return "451 4.3.0 Cannot look up the address now, try again"
        if not known:
            return "550 5.1.1 No such address here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return await self._door.take(envelope)
