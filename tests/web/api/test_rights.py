"""Every route of the API by role and by right of a token. Both tables are written by hand from the table of rights, and a route
that is in none of them fails the test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from orchestrator.accounts.actor import SYSTEM
from orchestrator.accounts.tokens import TOKEN_RIGHTS, create_token
from sessions.lifecycle.models import SessionState
from tests.builders import make_user
from tests.web.api.office import Office, word

ALL = frozenset({"technician", "lead", "administrator", "auditor"})
READERS = frozenset({"technician", "lead", "auditor"})
WORKERS = frozenset({"technician", "lead"})
LEADS = frozenset({"lead"})
ENDERS = frozenset({"technician", "lead", "administrator"})

ROUTES: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {
    # route name: (roles that may, rights a token needs)
    "api:tickets": (READERS, ("tickets:read",)),
    "api:ticket": (READERS, ("tickets:read",)),
    "api:ticket-entries": (READERS, ("tickets:read",)),
    "api:ticket-sessions": (READERS, ("tickets:read", "sessions:read")),
    "api:tickets-open": (WORKERS, ("tickets:write",)),
    "api:tickets-take-next": (WORKERS, ("tickets:write",)),
    "api:ticket-change": (WORKERS, ("tickets:read", "tickets:write")),
    "api:ticket-entries-add": (WORKERS, ("tickets:read", "tickets:write")),
    "api:ticket-sessions-request": (WORKERS, ("tickets:read", "sessions:request")),
    "api:organisations": (READERS, ("customers:read",)),
    "api:organisation": (READERS, ("customers:read",)),
    "api:organisations-create": (WORKERS, ("customers:write",)),
    "api:organisation-change": (WORKERS, ("customers:read", "customers:write")),
    "api:contacts": (READERS, ("customers:read",)),
    "api:contact": (READERS, ("customers:read",)),
    "api:contacts-create": (WORKERS, ("customers:write",)),
    "api:contact-change": (WORKERS, ("customers:read", "customers:write")),
    "api:contact-approver-rights": (READERS, ("customers:read",)),
    "api:contact-approver": (LEADS, ("customers:write",)),  # administrators by their login: no right of a token brings it to them
    "api:contact-approver-end": (LEADS, ("customers:write",)),
    "api:endpoints": (READERS, ("endpoints:read",)),
    "api:endpoint": (READERS, ("endpoints:read",)),
    "api:endpoint-accept": (LEADS, ("endpoints:accept",)),
    "api:endpoint-change": (LEADS, ("endpoints:read", "endpoints:accept")),
    "api:endpoint-disable": (LEADS, ("endpoints:accept",)),
    "api:enrolment-tokens-create": (WORKERS, ("endpoints:enrol",)),
    "api:sessions": (ALL, ("sessions:read",)),
    "api:session": (ALL, ("sessions:read",)),
    "api:session-end": (ENDERS, ("sessions:read", "sessions:end")),
    "api:session-events": (ALL, ("sessions:read",)),
    "api:session-consents": (ALL, ("sessions:read",)),
    "api:consent": (ALL, ("sessions:read",)),
    "api:session-channels": (ALL, ("sessions:read",)),
    "api:session-channels-open": (frozenset({"technician"}), ("sessions:read", "channels:open")),
    "api:session-commands": (READERS, ("sessions:read", "tickets:read")),
    "api:session-cast": (READERS, ("sessions:read", "recordings:read")),
    "api:articles": (READERS, ("articles:read",)),
    "api:article": (READERS, ("articles:read",)),
    "api:articles-write": (WORKERS, ("articles:write",)),
    "api:article-change": (WORKERS, ("articles:read", "articles:write")),
    "api:article-publish": (WORKERS, ("articles:read", "articles:write")),
    "api:article-withdraw": (WORKERS, ("articles:read", "articles:write")),
    "api:audit": (frozenset({"lead", "administrator", "auditor"}), ("audit:read",)),
}
FOR_EVERYBODY = {"api:openapi", "api:search"}
"""The document needs no login; the search answers everybody, with what they may see."""

ASKED_ANYWAY = {422, 409, 404}
"""What a body or a state that does not fit answers to somebody who may; never 401 or 403."""


def _routes(office: Office) -> dict[str, tuple[str, str]]:
    """Name to method and path of every API route, from the program's own table."""
    found: dict[str, tuple[str, str]] = {}
    for route in iter_route_contexts(office.whole.app.routes):
        if isinstance(route.original_route, APIRoute) and (route.path or "").startswith("/api/"):
            assert route.name and route.path and route.methods and len(route.methods) == 1 and route.name not in found
            found[route.name] = (next(iter(route.methods)), route.path.removeprefix("/api/v1"))
    return found


class Case:
    """One thing of each kind, made afresh, and the call of a route on it."""

    def __init__(self, office: Office) -> None:
        lead = office.api("lead")
        session = office.session(state=SessionState.APPROVED)
        asked = office.api().post(f"/tickets/{office.ticket().number}/sessions", json={
            "endpoint_id": office.endpoint.id, "purpose": "a", "scopes": ["terminal"], "user": "support", "minutes": 5})
        consents = office.api().get(f"/sessions/{asked.json()['id']}/consents").json()["items"] if asked.status_code == 201 else []
        if consents:
            office.consent_id = consents[0]["id"]
            lead.post(f"/sessions/{asked.json()['id']}/end")
        article = lead.post("/articles", json={"title": word(), "language": "en", "publish": True}).json()
        person = lead.post("/contacts", json={"name": word(), "email": f"{word()}@muster.example", "organisation_id": office.organisation.id}).json()
        right = lead.post(f"/contacts/{person['id']}/approver", json=_approver()).json()
        self.values = {
            "number": session.ticket_number, "session_id": session.id, "endpoint_id": office.endpoint.id, "organisation_id": office.organisation.id,
            "contact_id": person["id"], "right_id": right["id"], "article_id": article["id"], "channel_id": session.id,
            "consent_id": office.consent_id,
        }
        self.bodies: dict[str, Any] = {
            "api:tickets-open": {"subject": "a", "text": "b"}, "api:ticket-change": {"reason": "a"},
            "api:ticket-entries-add": {"kind": "note", "text": "a"},
            "api:ticket-sessions-request": {
                "endpoint_id": office.endpoint.id, "purpose": "a", "scopes": ["terminal"], "user": "nobody", "minutes": 5},
            "api:organisations-create": {"name": word()}, "api:organisation-change": {}, "api:contacts-create": {"name": word()},
            "api:contact-change": {}, "api:contact-approver": _approver(scopes=[]),
            "api:endpoint-accept": {"fingerprint": "a", "class": "server", "responsible": "a@b.example"},
            "api:endpoint-change": {"responsible": "nobody@muster.example"},
            "api:enrolment-tokens-create": {"organisation_id": office.organisation.id},
            "api:session-end": {}, "api:session-channels-open": {"kind": "telepathy"},
            "api:articles-write": {"title": word(), "language": "en"},
            "api:article-change": {"title": word(), "version": article["version"]},
        }

    def call(self, office: Office, name: str, who: str, *rights: str) -> int:
        method, pattern = _routes(office)[name]
        body = self.bodies.get(name)
        if name == "api:endpoint-disable":
            pattern = pattern.replace("{endpoint_id}", self.values["session_id"])  # a machine that is not there: 404 for who may
        return office.api(who, *rights).request(method, pattern.format(**self.values), json=body).status_code


def _approver(**values: object) -> dict[str, object]:
    return {"scopes": ["terminal"], "until": (datetime.now(UTC) + timedelta(days=30)).isoformat(), **values}


def _may(status: int) -> bool:
    return status < 300 or status in ASKED_ANYWAY


def test_the_table_names_every_route(office: Office) -> None:
    assert set(ROUTES) | FOR_EVERYBODY == set(_routes(office))


@pytest.mark.parametrize("role", sorted(ALL))
def test_a_role_reaches_its_routes_and_no_others(office: Office, role: str) -> None:
    case, wrong = Case(office), []
    for name, (roles, _rights) in ROUTES.items():
        status = case.call(office, name, role)
        if role in roles and not _may(status):
            wrong.append(f"{name}: {status}, but a {role} may")
        if role not in roles and status not in (403, 404):
            wrong.append(f"{name}: {status}, but a {role} may not")
    assert not wrong, "\n".join(wrong)


def test_a_token_reaches_what_its_rights_name(office: Office) -> None:
    """A lead's token with just the rights of the table may; a technician leads the session, so he opens the channel."""
    case, wrong = Case(office), []
    for name, (roles, rights) in ROUTES.items():
        who = "lead" if "lead" in roles else "technician"
        status = case.call(office, name, who, *rights)
        if not _may(status):
            wrong.append(f"{name} with {', '.join(rights)}: {status}")
    assert not wrong, "\n".join(wrong)


def test_a_token_without_one_of_the_rights_is_refused(office: Office) -> None:
    case, wrong, every = Case(office), [], {right.value for right in TOKEN_RIGHTS}
    alternative = {"api:session-commands": {"recordings:read"}}
    for name, (roles, rights) in ROUTES.items():
        who = "lead" if "lead" in roles else "technician"
        own = every - ({"endpoints:accept", "audit:read"} if who == "technician" else set())
        for right in rights:
            status = case.call(office, name, who, *sorted(own - {right} - alternative.get(name, set())))
            if status not in (403, 404):
                wrong.append(f"{name} without {right}: {status}")
    assert not wrong, "\n".join(wrong)


def test_a_tokens_rights_shrink_with_its_owners_roles(office: Office) -> None:
    with office.whole.database.write() as unit:
        person = make_user(unit, name="Changing Roles")
    headers = office.whole.token_of(person, "customers:read", "customers:write", "tickets:read")
    with office.whole.client(headers) as client:
        assert client.get("/api/v1/organisations").status_code == 200
        with office.whole.database.write() as unit:
            unit.db.merge(person).roles = ["auditor"]
        assert client.get("/api/v1/organisations").status_code == 200
        assert client.post("/api/v1/organisations", json={"name": "No longer"}).status_code == 403
        with office.whole.database.write() as unit:
            unit.db.merge(person).disabled_at = unit.now
        assert client.get("/api/v1/organisations").status_code == 401


def test_a_token_for_a_network_works_from_there_alone(office: Office) -> None:
    for network, status in (("127.0.0.0/8", 200), ("10.0.0.0/8", 401), ("::1", 401)):
        with office.whole.database.write() as unit:
            token = create_token(unit, SYSTEM, user=office.people["lead"], rights=["all"], address=network)
        with office.whole.client({"Authorization": f"Bearer {token}"}) as client:
            assert client.get("/api/v1/tickets").status_code == status, network
            assert client.get("/api/v1/tickets", headers={"X-Forwarded-For": "10.1.2.3"}).status_code == status, network
