"""The demo's mailbox: receives by real SMTP what the program sends, keeps it as files, and sends by real SMTP what a
customer writes. It exists in ``fernwart demo`` alone and listens on loopback."""

from __future__ import annotations

import email
import email.policy
import itertools
import re
import smtplib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parsedate_to_datetime
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from orchestrator.core.errors import InvalidInput, NotFound, Unavailable

_URL = re.compile(r"https?://[^\s<>\"]+")


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of a mail's text; ``is_link`` says that it is an address to follow."""

    text: str
    is_link: bool


@dataclass(frozen=True, slots=True)
class InboxMail:
    """One mail as the page shows it. ``name`` is its file's name without ending."""

    name: str
    sender: str
    to: str
    subject: str
    sent_at: datetime | None
    text: str
    message_id: str
    references: str
    automatic: bool

    @property
    def parts(self) -> list[TextPart]:
        """The text with its links apart."""
        found: list[TextPart] = []
        at = 0
        for match in _URL.finditer(self.text):
            found.append(TextPart(self.text[at:match.start()], False))
            found.append(TextPart(match.group(), True))
            at = match.end()
        found.append(TextPart(self.text[at:], False))
        return [part for part in found if part.text]


class DemoInbox:
    """The folder of received mails, and the SMTP server that fills it."""

    def __init__(self, folder: Path, *, door: tuple[str, int]) -> None:
        self._folder = folder
        self._door = door
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = [int(path.stem) for path in folder.glob("*.eml") if path.stem.isdigit()]
        self._numbers = itertools.count(max(known, default=0) + 1)
        self._controller: Controller | None = None

    def start(self, port: int) -> None:
        """Listen on loopback at ``port``, in a thread of its own."""
        self._controller = Controller(self, hostname="127.0.0.1", port=port, ready_timeout=10)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Keep a mail as a file; aiosmtpd calls this."""
        content = envelope.content or b""
        data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        path = self._folder / f"{next(self._numbers):06d}.eml"
        path.with_suffix(".part").write_bytes(data)
        path.with_suffix(".part").rename(path)
        return "250 OK"

    def list_mails(self, *, limit: int = 200) -> list[InboxMail]:
        """Return the newest mails first."""
        return [_read(path) for path in sorted(self._folder.glob("*.eml"), reverse=True)[:limit]]

    def get_mail(self, name: str) -> InboxMail:
        path = self._folder / f"{name}.eml"
        if not name.isdigit() or not path.is_file():
            raise NotFound()
        return _read(path)

    def send(self, *, sender_name: str, sender: str, to: str, subject: str, text: str, answers: InboxMail | None = None) -> str:
        """Send a mail as a customer to the program's own door; return its Message-ID.

        Raises:
            InvalidInput: an address or line that no mail can carry. Unavailable: the door refused or is closed.
        """
        message = EmailMessage(policy=email.policy.SMTP)
        try:
            message["From"] = f'"{sender_name}" <{sender}>' if sender_name else sender
            message["To"] = to
            message["Subject"] = subject
        except (ValueError, IndexError) as exc:
            raise InvalidInput("This address or subject cannot be put into a mail.", field="sender") from exc
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2] or "customer.example")
        if answers is not None and answers.message_id:
            message["In-Reply-To"] = answers.message_id
            message["References"] = f"{answers.references} {answers.message_id}".strip()
        message.set_content(text)
        try:
            with smtplib.SMTP(*self._door, timeout=10) as server:
                server.send_message(message, from_addr=sender, to_addrs=[to])
        except (smtplib.SMTPException, OSError) as exc:
            raise Unavailable("The mail was not accepted: {reason}", reason=str(exc)) from exc
        return str(message["Message-ID"])


def _read(path: Path) -> InboxMail:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    body = message.get_body(("plain", "html"))
    date = str(message.get("Date", ""))
    try:
        sent_at = parsedate_to_datetime(date) if date else None
    except ValueError:
        sent_at = None
    return InboxMail(
        name=path.stem, sender=str(message.get("From", "")), to=str(message.get("To", "")), subject=str(message.get("Subject", "")),
        sent_at=sent_at, text=body.get_content() if body is not None else "", message_id=str(message.get("Message-ID", "")).strip(),
        references=" ".join(str(message.get("References", "")).split()), automatic="Auto-Submitted" in message)
