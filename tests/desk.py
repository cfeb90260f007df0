"""A whole desk for tests and benchmarks: ``fernwart serve`` as a process with production defaults, a mail sink, real agents,
and clients that only use what the outside offers (API, mailed links, WebSockets)."""

from __future__ import annotations

import getpass
import queue
import re
import smtplib
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from websockets.sync.client import ClientConnection, connect

from orchestrator.accounts.actor import SYSTEM, Role
from orchestrator.accounts.secret_box import set_totp_secret
from orchestrator.accounts.tokens import create_token
from orchestrator.core.settings import Settings
from sessions.endpoints.service import create_enrolment_token
from sessions.keys import open_keys
from tests.builders import make_approver, make_contact, make_organisation, make_queue, make_user
from tests.certificates import Certificates, make_certificates
from tests.running import Running, clean_environment, free_port, start_program
from web.commands.opening import open_databases

EVERYTHING = ["all", "sessions:request", "channels:open"]
_LINK = re.compile(r"https?://\S+/consent/\S+")


class MailSink:
    """A real SMTP server that keeps what arrives."""

    def __init__(self) -> None:
        self.port = free_port()
        self.mails: queue.Queue[EmailMessage] = queue.Queue()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=10)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.content or b""
        self.mails.put(message_from_bytes(content if isinstance(content, bytes) else content.encode(), policy=policy.default))  # type: ignore[arg-type]
        return "250 OK"

    def wait_for(self, pattern: re.Pattern[str], *, seconds: float = 15) -> re.Match[str]:
        """Return the first match in a mail's text; mails without are passed over."""
        until = time.monotonic() + seconds
        while True:
            found = pattern.search(text_of(self.mails.get(timeout=max(0.01, until - time.monotonic()))))
            if found is not None:
                return found

    def wait_for_mail(self, to: str, part_of_subject: str, *, seconds: float = 15) -> EmailMessage:
        """Return the first mail to somebody about something; others are passed over."""
        until, passed = time.monotonic() + seconds, list[str]()
        while True:
            try:
                mail = self.mails.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no mail to {to} about {part_of_subject!r}; there were: {passed}") from None
            if to in str(mail["To"]) and part_of_subject in str(mail["Subject"]):
                return mail
            passed.append(f"{mail['To']}: {mail['Subject']}")


def text_of(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    body = mail.get_body(("plain",))
    return str(body.get_content()) if body is not None else ""


@dataclass(slots=True)
class AgentProcess:
    """One real agent."""

    process: subprocess.Popen[bytes]
    state: Path

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


@dataclass(slots=True)
class Desk:
    """Make with ``make_desk``; ``start`` and ``stop`` the server. Ids of what was set up are here."""

    folder: Path
    settings: dict[str, str]
    url: str
    certificates: Certificates | None
    sink: MailSink
    tokens: dict[str, str]
    queue_id: str
    organisation_id: str
    contact_id: str
    technician_id: str
    running: Running | None = None
    agents: list[AgentProcess] = field(default_factory=list)

    def start(self, *, ready_seconds: float = 60) -> Running:
        self.running = start_program(["serve"], url=self.url, data=self.folder / "data", log=self.folder / "serve.log", environment=self.settings,
                                     ready_seconds=ready_seconds, ca=self.certificates.ca if self.certificates else None)
        return self.running

    def stop(self) -> None:
        for agent in self.agents:
            agent.stop()
        if self.running is not None:
            self.running.stop()
        self.sink.stop()

    def verify(self) -> ssl.SSLContext | bool:
        return ssl.create_default_context(cafile=str(self.certificates.ca)) if self.certificates else True

    def api(self, who: str = "technician") -> httpx.Client:
        return httpx.Client(base_url=f"{self.url}/api/v1", headers={"Authorization": f"Bearer {self.tokens[who]}"}, verify=self.verify(), timeout=20)

    def enrolment_token(self, *, uses: int = 1) -> str:
        """A token whose agents are accepted by themselves; made in the database, as the command line does."""
        with open_databases(Settings(**_lower(self.settings))) as (database, _records), database.write() as unit:  # type: ignore[arg-type]
            keys = open_keys(unit, self.folder / "data").keys
            return create_enrolment_token(unit, SYSTEM, organisation_id=self.organisation_id, uses=uses, auto_accept=True, endpoint_class="server",
                                          responsible=self.contact_id, server_fingerprint=keys.fingerprint)

    def start_agent(self, name: str = "agent") -> AgentProcess:
        """Enrol and run an agent in a process of its own; it is online when ``wait_online`` returns."""
        state = self.folder / name
        trust = ["--ca", str(self.certificates.ca)] if self.certificates else []
        if not state.exists():
            words = [sys.executable, "-m", "agents", "enroll", self.url, "-", "--state", str(state), *trust]
            done = subprocess.run(words, input=self.enrolment_token().encode(), capture_output=True, timeout=30, check=False, env=clean_environment())
            assert done.returncode == 0, done.stderr.decode()
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "agents", "run", "--state", str(state)], stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, env=clean_environment(), start_new_session=True)
        agent = AgentProcess(process, state)
        self.agents.append(agent)
        return agent

    def wait_online(self, *, count: int = 1, seconds: float = 20) -> list[dict[str, Any]]:
        """Wait until ``count`` endpoints are online; return them as the API shows them."""
        until = time.monotonic() + seconds
        with self.api() as api:
            while time.monotonic() < until:
                items = [item for item in api.get("/endpoints", params={"limit": 200}).json()["items"] if item["online"]]
                if len(items) >= count:
                    return items
                time.sleep(0.02)
        raise AssertionError(f"not {count} endpoints online within {seconds} s")

    def send_mail(self, mail: EmailMessage) -> None:
        """Deliver a mail to the program's own SMTP door (``FERNWART_SMTP_LISTEN``)."""
        host, _, port = self.settings["FERNWART_SMTP_LISTEN"].rpartition(":")
        with smtplib.SMTP(host, int(port), timeout=20) as door:
            door.send_message(mail)

    def run_command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``fernwart WORDS`` beside the server, with its settings."""
        return subprocess.run([sys.executable, "-m", "web.entry", *words], capture_output=True, text=True, timeout=60, check=False,
                              env=clean_environment(self.settings))

    def open_ticket(self, subject: str = "The print queue is stuck") -> str:
        with self.api() as api:
            answer = api.post("/tickets", json={"subject": subject, "text": "Nothing prints.", "contact_id": self.contact_id})
            assert answer.status_code == 201, answer.text
            return str(answer.json()["number"])

    def approved_session(self, endpoint_id: str, *, scopes: Sequence[str] = ("terminal",), user: str = "", minutes: int = 60) -> dict[str, Any]:
        """Ask for a session and approve it as the customer does: by the mailed link."""
        number = self.open_ticket()
        with self.api() as api:
            answer = api.post(f"/tickets/{number}/sessions", json={
                "endpoint_id": endpoint_id, "purpose": "Look at the print queue", "scopes": list(scopes), "user": user or getpass.getuser(),
                "minutes": minutes})
            assert answer.status_code == 201, answer.text
            session: dict[str, Any] = answer.json()
        self.decide(self.sink.wait_for(_LINK).group())
        return session

    def browser(self) -> httpx.Client:
        """A customer's browser: keeps cookies, follows redirects, trusts the desk's certificate."""
        return httpx.Client(verify=self.verify(), timeout=20, follow_redirects=True)

    def decide(self, link: str, *, decision: str = "approve", browser: httpx.Client | None = None) -> httpx.Response:
        """Open a consent link and answer it with every scope and the full time."""
        if browser is None:
            with self.browser() as own:
                return self.decide(link, decision=decision, browser=own)
        page = browser.get(link)
        assert page.status_code == 200, page.text
        token = re.search(r'name="form_token" value="([^"]+)"', page.text)
        scopes = re.findall(r'name="scope"[^>]* value="([^"]+)"', page.text)
        minutes = re.search(r'name="minutes"[^>]* value="(\d+)"', page.text)
        assert token is not None, page.text
        answer = browser.post(link, data={"form_token": token.group(1), "scope": scopes, "decision": decision,
                                          **({"minutes": minutes.group(1)} if minutes else {})})
        assert answer.status_code == 200, answer.text
        return answer

    def open_channel(self, session_id: str, *, columns: int = 120, rows: int = 40) -> dict[str, Any]:
        with self.api() as api:
            answer = api.post(f"/sessions/{session_id}/channels", json={"kind": "shell", "columns": columns, "rows": rows})
            assert answer.status_code == 201, answer.text
            channel: dict[str, Any] = answer.json()
            return channel

    def console(self, channel: dict[str, Any]) -> ClientConnection:
        """Connect to a channel as an API client; binary frames are the terminal."""
        return self.connect(channel["console"], {"Authorization": f"Bearer {self.tokens['technician']}"})

    def connect(self, path: str, headers: dict[str, str]) -> ClientConnection:
        """Open a WebSocket of the desk."""
        context = self.verify()
        return connect(self.url.replace("http", "ws", 1) + path, ssl=context if isinstance(context, ssl.SSLContext) else None,
                       additional_headers=headers, compression=None, max_size=None, close_timeout=2, legacy=True)


def _lower(environment: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("FERNWART_").lower(): value for name, value in environment.items()}


def make_desk(folder: Path, *, tls: bool = True, database_url: str = "", extra: dict[str, str] | None = None) -> Desk:
    """Set up people, a customer with an approver and tokens in an empty database; start nothing but the mail sink."""
    folder.mkdir(parents=True, exist_ok=True)
    certificates = make_certificates(folder) if tls else None
    sink = MailSink()
    sink.start()
    port = free_port()
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    environment = {
        "FERNWART_DATA_DIR": str(folder / "data"), "FERNWART_PUBLIC_URL": url, "FERNWART_HOST": "127.0.0.1", "FERNWART_PORT": str(port),
        "FERNWART_MAIL_FROM": "Fernwart <support@desk.example>", "FERNWART_MAIL_ADDRESSES": "support@desk.example", "FERNWART_SMTP_HOST": "127.0.0.1",
        "FERNWART_SMTP_PORT": str(sink.port), "FERNWART_SMTP_TLS": "none", "FERNWART_RECORDING_RESERVE_BYTES": "67108864",
        **({"FERNWART_TLS_CERT": str(certificates.certificate), "FERNWART_TLS_KEY": str(certificates.key)} if certificates else {}),
        **({"FERNWART_DATABASE_URL": database_url} if database_url else {}), **(extra or {}),
    }
    settings = Settings(**_lower(environment))  # type: ignore[arg-type]  # read as the environment would be
    with open_databases(settings) as (database, _records), database.write() as unit:
        open_keys(unit, settings.data_dir)
        technician = make_user(unit, name="Jana Roth", roles=(Role.TECHNICIAN,), email="jana@desk.example")
        lead = make_user(unit, name="Lea Lindner", roles=(Role.LEAD,), email="lea@desk.example")
        make_user(unit, name="Lars Licht", roles=(Role.LEAD,), email="lars@desk.example")
        desk_queue = make_queue(unit, technician, lead, name="Service desk", address="support@desk.example")
        organisation = make_organisation(unit, name="Muster GmbH", domain="muster.example")
        contact = make_contact(unit, organisation, email="erika@muster.example", language="en")
        make_approver(unit, contact, lead, scopes=("diagnostics", "terminal", "terminal.admin"))
        for person in (technician, lead):
            person.password_hash = "unusable"
            set_totp_secret(unit, person, "JBSWY3DPEHPK3PXP")
        unit.db.flush()
        tokens = {name: create_token(unit, SYSTEM, user=user, rights=EVERYTHING, hours=24)
                  for name, user in (("technician", technician), ("lead", lead))}
        return Desk(folder, environment, url, certificates, sink, tokens, desk_queue.id, organisation.id, contact.id, technician.id)
