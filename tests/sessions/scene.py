"""A desk with one case to ask about: used by the tests of endpoints, consent and lifecycle.

Real rows, real keys, real outbox; only the addresses in mails are made without the web's route table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select

from agents.protocol.signatures import SigningKey
from orchestrator.accounts.actor import Actor, Role
from orchestrator.accounts.models import User
from orchestrator.core.clock import FixedClock, SystemClock
from orchestrator.core.db import Database, ReadUnit, WriteUnit
from orchestrator.core.settings import Settings
from orchestrator.core.signals import MemorySignals
from orchestrator.customers.models import Contact, Organisation
from orchestrator.notifications.models import OutgoingMail
from orchestrator.notifications.sealing import prepare_sealing, unseal
from orchestrator.tickets.models import Entry, Queue, Ticket
from sessions.consent.models import ConsentRequest
from sessions.consent.service import Answer, Decided, decide
from sessions.endpoints.models import Endpoint
from sessions.keys import ServerKeys, open_keys
from sessions.lifecycle.models import RemoteSession
from sessions.lifecycle.service import request_session
from sessions.listeners import register
from tests import builders


class PlainLinks:
    """Addresses as the route table makes them."""

    def ticket(self, number: str) -> str:
        return f"https://desk.example/tickets/{number}"

    def session(self, session_id: str) -> str:
        return f"https://desk.example/sessions/{session_id}"

    def consent(self, token: str) -> str:
        return f"https://desk.example/consent/{token}"

    def set_up(self, token: str) -> str:
        return f"https://desk.example/set-up/{token}"


@dataclass(frozen=True)
class Parts:
    """What the rooms need of the program."""

    settings: Settings
    database: Database
    record_database: Database
    keys: ServerKeys
    links: PlainLinks


@dataclass
class Scene:
    """A technician, a lead who gave the right, an approver, a machine, a ticket; and short words for what tests do often."""

    parts: Parts
    clock: FixedClock
    technician: User
    lead: User
    organisation: Organisation
    contact: Contact
    endpoint: Endpoint
    queue: Queue
    ticket: Ticket
    agent_key: SigningKey

    @property
    def database(self) -> Database:
        return self.parts.database

    def actor(self, user: User | None = None) -> Actor:
        """The technician (or another user) after a full login, just proved."""
        found = builders.actor_of(user or self.technician, queues=(self.queue,))
        return _proved(found, self.clock.moment)

    def ask(self, unit: WriteUnit, **wish: object) -> RemoteSession:
        """Ask as the technician; what is not said is sensible."""
        values: dict[str, object] = {
            "endpoint_id": self.endpoint.id, "contact_id": self.contact.id, "purpose": "Restart the print service",
            "scopes": ["terminal"], "os_user": "support", "minutes": 30, "services": self.parts, **wish,
        }
        ticket = values.pop("ticket", self.ticket)
        actor = values.pop("actor", self.actor())
        return request_session(unit, actor, ticket, **values)  # type: ignore[arg-type]  # a table of keywords

    def asked(self, **wish: object) -> tuple[RemoteSession, str]:
        """Ask in a unit of its own; return the session and the token of its link."""
        with self.database.write() as unit:
            session = self.ask(unit, **wish)
            return session, self.token_of(unit, session)

    def token_of(self, unit: ReadUnit, session: RemoteSession) -> str:
        """The token in the newest mail about this session: read from the sealed outbox, as the sender will."""
        mail = unit.db.scalars(select(OutgoingMail).join(ConsentRequest, ConsentRequest.id == OutgoingMail.reference_id).where(
            ConsentRequest.session_id == session.id, OutgoingMail.purpose == "consent.request",
        ).order_by(OutgoingMail.created_at.desc(), OutgoingMail.id.desc()).limit(1)).one()
        return self.secret_of(mail, "link").rpartition("/")[2]

    def secret_of(self, mail: OutgoingMail, name: str) -> str:
        """Open the sealed values of a mail that was not sent yet."""
        assert mail.sealed is not None
        return unseal(self.parts.settings.data_dir, mail.sealed, label=mail.id)[name]

    def decide(self, token: str, *, approve: bool = True, **answer: object) -> Decided:
        with self.database.write() as unit:
            return decide(unit, token, Answer(approve=approve, **answer), services=self.parts)  # type: ignore[arg-type]

    def approved(self, **wish: object) -> tuple[RemoteSession, str]:
        _, token = self.asked(**wish)
        return self.decide(token).session, token

    def now_later(self, **delta: float) -> datetime:
        self.clock.moment += timedelta(**delta)
        return self.clock.moment

    def session(self, session_id: str) -> RemoteSession:
        with self.database.read() as unit:
            return unit.db.get_one(RemoteSession, session_id)

    def steps(self, session_id: str) -> list[str]:
        """The steps on the ticket's timeline, in order."""
        with self.database.read() as unit:
            entries = unit.db.scalars(select(Entry).where(Entry.ticket_id == self.ticket.id, Entry.kind == "session").order_by(Entry.seq))
            return [entry.data["step"] for entry in entries if entry.data.get("session_id") == session_id]


def _proved(actor: Actor, moment: datetime) -> Actor:
    return replace(actor, proved_at=moment)


def build_scene(settings: Settings, database: Database, record_database: Database, *,
                protected: bool = False, single_person: bool = False) -> Scene:
    """Build the case; the database's clock stands still from now on and is moved by the tests."""
    clock = FixedClock(SystemClock().now())
    database.clock = clock
    agent_key = SigningKey.generate()
    with database.write() as unit:
        keys = open_keys(unit, settings.data_dir).keys
        prepare_sealing(unit, settings.data_dir)
        parts = Parts(settings, database, record_database, keys, PlainLinks())
        lead = builders.make_user(unit, name="Lea Lead", roles=(Role.LEAD,))
        if not single_person:
            builders.make_user(unit, name="Otto Other Lead", roles=(Role.LEAD,))
        technician = builders.make_user(unit, name="Jana Roth")
        organisation = builders.make_organisation(unit, name="Muster GmbH", domain="muster.example")
        contact = builders.make_contact(unit, organisation, name="Erika Beispiel", language="en")
        builders.make_approver(unit, contact, lead, scopes=("terminal", "terminal.admin", "files.read:/var/log"))
        endpoint = builders.make_endpoint(unit, organisation, responsible=contact, protected=protected, accounts={
            "support": {"login_allowed": True, "may_become_root": False, "reason": ""},
            "root": {"login_allowed": True, "may_become_root": True, "reason": ""},
            "wheely": {"login_allowed": True, "may_become_root": True, "reason": ""},
            "locked": {"login_allowed": False, "may_become_root": False, "reason": "locked"},
        })
        endpoint.public_key, endpoint.fingerprint = agent_key.public.text, agent_key.public.fingerprint
        queue = builders.make_queue(unit, technician, lead)
        ticket = builders.make_ticket(unit, queue, contact=contact)
    register(database.events, MemorySignals(), parts)
    return Scene(parts, clock, technician, lead, organisation, contact, endpoint, queue, ticket, agent_key)
