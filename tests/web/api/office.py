"""A desk with a customer, served over real HTTP, and clients of its API for every role."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import func, select

from agents.protocol.signatures import SigningKey
from orchestrator.accounts.actor import Role
from orchestrator.accounts.models import User
from orchestrator.accounts.secret_box import set_totp_secret
from orchestrator.core.ids import new_id
from orchestrator.core.settings import Settings
from orchestrator.customers.models import Contact, Organisation
from orchestrator.tickets.models import Queue, Ticket
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import RemoteSession, SessionState
from tests.builders import make_approver, make_contact, make_endpoint, make_organisation, make_queue, make_session, make_ticket, make_user
from tests.web.whole import Whole, make_people, run_whole

_numbers = itertools.count(1)
NAMED = ("sessions:request", "channels:open")


@dataclass(slots=True)
class Office:
    """``api(role)`` is a client with every right that a token of that role can have. Rows made here are real and shared by the
    tests of a module, so a test looks for its own by a word of its own (``word()``)."""

    whole: Whole
    people: dict[str, User]
    stranger: User
    queue: Queue
    other_queue: Queue
    organisation: Organisation
    contact: Contact
    endpoint: Endpoint
    clients: dict[tuple[str, ...], httpx.Client] = field(default_factory=dict)
    consent_id: str = ""

    def api(self, who: str = "technician", *rights: str) -> httpx.Client:
        key = (who, *rights)
        if key not in self.clients:
            user = self.stranger if who == "stranger" else self.people[who]
            wanted = rights or ("all", *(NAMED if set(user.roles) & {"technician", "lead"} else ()))
            headers = self.whole.token_of(user, *wanted)
            self.clients[key] = httpx.Client(base_url=f"{self.whole.url}/api/v1", headers=headers, timeout=20)
        return self.clients[key]

    def close(self) -> None:
        for client in self.clients.values():
            client.close()

    def ticket(self, **values: Any) -> Ticket:
        with self.whole.database.write() as unit:
            return make_ticket(unit, values.pop("queue", self.queue), **{"contact": self.contact, "number": old_number(), **values})

    def session(self, ticket: Ticket | None = None, *, state: SessionState = SessionState.REQUESTED) -> RemoteSession:
        found = ticket or self.ticket()
        with self.whole.database.write() as unit:
            return make_session(unit, found, self.endpoint, self.people["technician"], self.contact, state=state)

    def number_of(self, model: type[Any], *conditions: Any) -> int:
        with self.whole.database.read() as unit:
            return unit.db.scalar(select(func.count()).select_from(model).where(*conditions)) or 0


def old_number() -> str:
    """A ticket number of a year in which the program draws none."""
    return f"1999-{next(_numbers):06d}-0"


def word() -> str:
    """A word that no other test uses."""
    return f"w{new_id().replace('-', '')[-14:]}"


def walk(client: httpx.Client, path: str, *, limit: int, **params: Any) -> Iterator[list[dict[str, Any]]]:
    """Follow ``next`` to the end of a list and give each page."""
    cursor: str | None = None
    for _ in range(100):
        answer = client.get(path, params={"limit": limit, **params, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert set(page) == {"items", "next"} and len(page["items"]) <= limit
        yield page["items"]
        cursor = page["next"]
        if cursor is None:
            return
    raise AssertionError("the list does not end")


@contextmanager
def open_office(settings: Settings) -> Generator[Office, None, None]:
    """Serve an empty program and set the desk up."""
    with run_whole(settings) as whole:
        with whole.database.write() as unit:
            people = make_people(unit)
            make_user(unit, name="Other Lead", roles=(Role.LEAD,), email="otherlead@desk.example")
            stranger = make_user(unit, name="Other Queue", email="stranger@desk.example")
            stranger.password_hash = "unusable"
            set_totp_secret(unit, stranger, "JBSWY3DPEHPK3PXP")
            queue = make_queue(unit, people["technician"], name="Service desk")
            other_queue = make_queue(unit, stranger, name="Other queue")
            organisation = make_organisation(unit, name="Muster GmbH", domain="muster.example")
            contact = make_contact(unit, organisation, email="erika@muster.example", language="en")
            make_approver(unit, contact, people["lead"], scopes=("terminal",))
            endpoint = make_endpoint(unit, organisation, responsible=contact, agent_user="support", accounts={
                "support": {"login_allowed": True, "may_become_root": False, "reason": ""}})
            key = SigningKey.generate().public
            endpoint.public_key, endpoint.fingerprint = key.text, key.fingerprint
        office = Office(whole, people, stranger, queue, other_queue, organisation, contact, endpoint)
        yield office
        office.close()


def problem(answer: httpx.Response, status: int, code: str = "", field: str = "") -> dict[str, Any]:
    """Check that an answer is problem details of this status, code and field; return it."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status and body["title"] and body["type"].startswith("urn:fernwart:problem:")
    if code:
        assert body["type"].endswith(f":{code}"), body
    if field:
        assert field in [error["field"] for error in body["errors"]], body
    return body
