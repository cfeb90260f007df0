"""The conversation with the outgoing mail server. The only module that touches ``smtplib``.

A server that cannot be reached, spoken to securely or logged in to is a fault of the way: try later. A 4xx answer to the
mail itself: try later. A 5xx answer to the mail: give up. A server that does not offer STARTTLS gets nothing.
"""

from __future__ import annotations

import functools
import smtplib
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import parseaddr

from orchestrator.core.settings import Settings

TIMEOUT_SECONDS = 20.0
TRUST_SECONDS = 600
"""How long certificates that were read are trusted before they are read again: that takes longer than all else of a mail."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """``refused`` names copies that the server did not take, with its answer."""

    refused: Mapping[str, str] = field(default_factory=dict)


class DeliveryError(Exception):
    """The mail did not leave. ``permanent``: do not try again. ``address_refused``: the recipient itself was refused."""

    def __init__(self, stage: str, answer: str, *, permanent: bool, address_refused: bool = False) -> None:
        super().__init__(f"{stage}: {answer}")
        self.stage = stage
        self.answer = answer
        self.permanent = permanent
        self.address_refused = address_refused


def send_message(settings: Settings, message: EmailMessage, *, return_path: str, to_address: str, cc: Sequence[str] = (),
                 timeout_seconds: float = TIMEOUT_SECONDS, skip_deferred_copies: bool = False) -> Delivered:
    """Deliver one message in one conversation; every step has ``timeout_seconds``. Raises ``DeliveryError``.

    ``return_path`` is empty for automatic mails. A copy that is put off (4xx) puts off the whole mail, unless
    ``skip_deferred_copies``; one that is refused (5xx) is reported and does not stop the others.
    """
    with _Conversation(settings, timeout_seconds) as server:
        international = any(not address.isascii() for address in (to_address, *cc))
        if international and not server.has_extn("smtputf8"):
            raise DeliveryError("MAIL", "the server takes no addresses with such letters", permanent=True, address_refused=True)
        options = ["SMTPUTF8", "BODY=8BITMIME"] if international else []
        _check("MAIL", server.mail(return_path, options))
        _check_recipient("RCPT", server.rcpt(to_address))
        refused: dict[str, str] = {}
        for address in cc:
            code, answer = server.rcpt(address)
            if code // 100 == 2:
                continue
            if code // 100 != 5 and not skip_deferred_copies:
                raise DeliveryError("RCPT", _readable(code, answer), permanent=False)
            refused[address] = _readable(code, answer)
        content = message.as_bytes(policy=message.policy.clone(linesep="\r\n"))
        try:
            _check("DATA", server.data(content))
        except smtplib.SMTPDataError as exc:
            _check("DATA", (exc.smtp_code, exc.smtp_error))
        return Delivered(refused)


class _Conversation:
    """A connected, secured and logged-in server; closed at the end whatever happened."""

    def __init__(self, settings: Settings, timeout_seconds: float) -> None:
        self._settings = settings
        self._own_name = parseaddr(settings.mail_from)[1].rpartition("@")[2] or "localhost"
        self._timeout_seconds = timeout_seconds
        self._server: smtplib.SMTP | None = None
        self._stage = "connect"

    def __enter__(self) -> smtplib.SMTP:
        try:
            return self._open()
        except BaseException as exc:
            self._close()
            self._translate(exc)
            raise

    def __exit__(self, _kind: object, exc: BaseException | None, _trace: object) -> None:
        self._close(polite=exc is None)
        self._stage = "conversation"
        if exc is not None:
            self._translate(exc)

    def _open(self) -> smtplib.SMTP:
        settings = self._settings
        kind = functools.partial(smtplib.SMTP_SSL, context=_trust(settings)) if settings.smtp_tls == "tls" else smtplib.SMTP
        server = kind(settings.smtp_host, settings.smtp_port, local_hostname=self._own_name, timeout=self._timeout_seconds)
        self._server = server
        self._stage = "EHLO"
        server.ehlo_or_helo_if_needed()
        if settings.smtp_tls == "starttls":
            self._stage = "STARTTLS"
            server.starttls(context=_trust(settings))
            server.ehlo()
        if settings.smtp_user:
            self._stage = "login"
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        self._stage = "conversation"
        return server

    def _close(self, *, polite: bool = False) -> None:
        if self._server is None:
            return
        try:
            if polite:
                self._server.quit()
        except (smtplib.SMTPException, OSError):
            return  # the mail is accepted; how the server says good-bye does not matter
        finally:
            self._server.close()

    def _translate(self, exc: BaseException) -> None:
        """Raise what the library raised as a ``DeliveryError``: at this point always a fault of the way."""
        match exc:
            case DeliveryError():
                return
            case smtplib.SMTPResponseException():
                raise DeliveryError(self._stage, _readable(exc.smtp_code, exc.smtp_error), permanent=False) from exc
            case smtplib.SMTPException() | OSError() | ValueError():
                raise DeliveryError(self._stage, _one_line(str(exc) or type(exc).__name__), permanent=False) from exc


def _trust(settings: Settings) -> ssl.SSLContext:
    return _read_trust(str(settings.smtp_ca) if settings.smtp_ca else None, int(time.monotonic() // TRUST_SECONDS))


@functools.lru_cache(maxsize=4)
def _read_trust(ca_file: str | None, _age: int) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _check(stage: str, reply: tuple[int, bytes | str]) -> None:
    code, answer = reply
    if code // 100 != 2:
        raise DeliveryError(stage, _readable(code, answer), permanent=code // 100 == 5)


def _check_recipient(stage: str, reply: tuple[int, bytes]) -> None:
    code, answer = reply
    if code // 100 != 2:
        raise DeliveryError(stage, _readable(code, answer), permanent=code // 100 == 5, address_refused=code // 100 == 5)


def _readable(code: int, answer: bytes | str) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return _one_line(f"{code} {text}" if code > 0 else text or "no answer")


def _one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())[:500]
