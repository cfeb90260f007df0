"""Every route of the program, taken from its route table: what anonymous, the wrong role and another desk's queue get."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass

import httpx
import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts

from orchestrator.accounts.models import User
from orchestrator.accounts.secret_box import set_totp_secret
from orchestrator.core.ids import new_id
from orchestrator.core.settings import Settings
from orchestrator.tickets.models import Ticket
from tests.builders import make_approver, make_contact, make_endpoint, make_organisation, make_queue, make_session, make_ticket, make_user
from tests.web.whole import Whole, make_people, run_whole

OPEN_TO_ALL = {
    "health:alive", "health:ready", "api:openapi", "login:show", "login:begin", "login:code", "login:prove",
    "consent:show", "consent:answer", "consent:code", "consent:receipt", "consent:receipt-by-code", "consent:receipt-file", "consent:receipt-fields",
    "consent:watch", "consent:watch-by-code", "consent:replay", "consent:replay-by-code", "consent:cast", "set-up:show", "set-up:qr", "set-up:finish",
}
"""Routes that answer without a login; each judges for itself by the secret in its address. Written by hand: a new one must be added here."""

HIDDEN = {"health:metrics", "login:end"}
"""404 for everybody without the metrics token; logging out is a redirect for anybody."""


@dataclass(slots=True)
class Scene:
    whole: Whole
    people: dict[str, User]
    stranger: User
    ticket: Ticket
    values: dict[str, str]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Generator[Scene, None, None]:
    folder = tmp_path_factory.mktemp("routes")
    settings = Settings(data_dir=folder / "data", mail_from="Fernwart <support@desk.example>", recording_reserve_bytes=1024)
    with run_whole(settings) as whole:
        with whole.database.write() as unit:
            people = make_people(unit)
            stranger = make_user(unit, name="Other Queue", email="other@desk.example")
            stranger.password_hash = "unusable"
            set_totp_secret(unit, stranger, "JBSWY3DPEHPK3PXP")
            queue = make_queue(unit, people["technician"])
            make_queue(unit, stranger)
            organisation = make_organisation(unit)
            contact = make_contact(unit, organisation)
            right = make_approver(unit, contact, people["lead"])
            ticket = make_ticket(unit, queue, contact=contact)
            endpoint = make_endpoint(unit, organisation, responsible=contact)
            session = make_session(unit, ticket, endpoint, people["technician"], contact)
        yield Scene(whole, people, stranger, ticket, {
            "number": ticket.number, "session_id": session.id, "endpoint_id": endpoint.id, "organisation_id": organisation.id,
            "contact_id": contact.id, "right_id": right.id})


def routes(whole: Whole) -> list[tuple[str, str, str]]:
    """(name, method, path pattern) of every HTTP route."""
    found = []
    for route in iter_route_contexts(whole.app.routes):
        if isinstance(route.original_route, APIRoute):
            assert route.name and route.path and route.methods
            found += [(route.name, method, route.path) for method in sorted(route.methods)]
    return found


def fill(pattern: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: values.get(match.group(1), new_id()), pattern)


def test_every_route_refuses_anonymous_callers(scene: Scene) -> None:
    checked = 0
    with scene.whole.client() as client:
        for name, method, pattern in routes(scene.whole):
            if name in OPEN_TO_ALL | HIDDEN:
                continue
            answer = client.request(method, fill(pattern, scene.values), json={} if pattern.startswith("/api/") else None)
            if pattern.startswith("/api/"):
                assert answer.status_code == 401, f"{method} {pattern}: {answer.status_code}"
                assert answer.headers["content-type"] == "application/problem+json"
            else:
                went_to_login = answer.status_code == 303 and answer.headers["location"].startswith("/login")
                assert went_to_login or answer.status_code in (401, 403, 405), f"{method} {pattern}: {answer.status_code}"
            checked += 1
    assert checked > 60


def test_open_routes_exist_and_say_nothing_for_an_unknown_secret(scene: Scene) -> None:
    by_name = {(name, method): pattern for name, method, pattern in routes(scene.whole)}
    assert {name for name, _method in by_name} >= OPEN_TO_ALL | HIDDEN
    with scene.whole.client() as client:
        for (name, method), pattern in by_name.items():
            if name.startswith(("consent:", "set-up:")):
                answer = client.request(method, fill(pattern, {}))
                assert answer.status_code in (403, 404, 410), f"{method} {pattern}: {answer.status_code}"


def test_a_technician_of_another_queue_sees_nothing_of_the_ticket(scene: Scene) -> None:
    headers = scene.whole.token_of(scene.stranger, "all", "sessions:request", "channels:open")
    with scene.whole.client(headers) as client:
        for _name, method, pattern in routes(scene.whole):
            if pattern.startswith("/api/") and ("{number}" in pattern or "{session_id}" in pattern):
                answer = client.request(method, fill(pattern, scene.values), json=_body(pattern))
                assert answer.status_code in (404, 422), f"{method} {pattern}: {answer.status_code} {answer.text}"
                assert scene.ticket.subject not in answer.text
    with scene.whole.client(scene.whole.cookie_of(scene.stranger)) as client:
        for _name, method, pattern in routes(scene.whole):
            if method == "GET" and not pattern.startswith("/api/") and ("{number}" in pattern or "{session_id}" in pattern):
                answer = client.get(fill(pattern, scene.values))
                assert answer.status_code == 404, f"{pattern}: {answer.status_code}"


def _body(pattern: str) -> dict[str, object]:
    if pattern.endswith("/sessions"):
        return {"endpoint_id": new_id(), "purpose": "x", "scopes": ["terminal"], "user": "x", "minutes": 5}
    if pattern.endswith("/entries"):
        return {"kind": "note", "text": "x"}
    return {}


PAGES_OF_ROLE = {
    # route, then who may see it; written by hand from the table of rights
    "board:show": {"technician", "lead", "auditor"},
    "tickets:list": {"technician", "lead", "auditor"},
    "tickets:new": {"technician", "lead"},
    "articles:list": {"technician", "lead", "auditor"},
    "customers:list": {"technician", "lead", "auditor"},
    "endpoints:list": {"technician", "lead", "auditor"},
    "sessions:list": {"technician", "lead", "administrator", "auditor"},
    "audit:list": {"lead", "administrator", "auditor"},
    "settings:show": {"lead", "administrator"},
    "account:show": {"technician", "lead", "administrator", "auditor"},
}


@pytest.mark.parametrize("role", ["technician", "lead", "administrator", "auditor"])
def test_a_role_sees_its_pages_and_no_others(scene: Scene, role: str) -> None:
    with scene.whole.client(scene.whole.cookie_of(scene.people[role])) as client:
        for name, allowed in PAGES_OF_ROLE.items():
            answer = client.get(str(scene.whole.app.url_path_for(name)))
            if name == "board:show" and role not in allowed:
                assert answer.status_code in (303, 403), f"{name} for {role}: {answer.status_code}"
            else:
                assert answer.status_code == (200 if role in allowed else 403), f"{name} for {role}: {answer.status_code}"


def test_a_change_by_cookie_needs_the_form_token(scene: Scene) -> None:
    checked = 0
    with scene.whole.client(scene.whole.cookie_of(scene.people["lead"])) as client:
        for name, method, pattern in routes(scene.whole):
            if method in ("GET", "HEAD") or name in OPEN_TO_ALL | HIDDEN:
                continue
            answer = client.request(method, fill(pattern, scene.values), data={} if not pattern.startswith("/api/") else None,
                                    json=_body(pattern) if pattern.startswith("/api/") else None)
            assert answer.status_code == 403, f"{method} {pattern}: {answer.status_code} {answer.text[:200]}"
            checked += 1
    assert checked > 30


def test_every_answer_carries_the_security_headers(scene: Scene) -> None:
    with scene.whole.client(scene.whole.cookie_of(scene.people["lead"])) as client:
        for _name, method, pattern in routes(scene.whole):
            if method != "GET":
                continue
            answer = client.get(fill(pattern, scene.values))
            policy = answer.headers["content-security-policy"]
            assert "script-src 'self'" in policy and "unsafe-eval" not in policy and "frame-ancestors 'none'" in policy, pattern
            assert "script-src 'self' 'unsafe-inline'" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] in ("same-origin", "no-referrer")
            assert answer.status_code < 500, f"{pattern}: {answer.status_code}"


def test_the_demo_inbox_does_not_exist_in_serve(scene: Scene) -> None:
    with scene.whole.client() as client:
        for path in ("/demo/inbox", "/demo/inbox?write=true", "/demo/codes", "/demo/inbox/000001", "/demo/", "/demo"):
            assert client.get(path).status_code == 404
        assert client.post("/demo/inbox", data={"sender": "a@b.example"}).status_code == 404
    assert not any(name.startswith("demo:") for name, _method, _path in routes(scene.whole))


def test_every_socket_refuses_a_plain_request_and_is_known(scene: Scene) -> None:
    sockets = {route.name for route in iter_route_contexts(scene.whole.app.routes) if isinstance(route.original_route, APIWebSocketRoute)}
    assert sockets == {"sockets:link", "sockets:channel", "sockets:console", "sockets:watch", "sockets:live"}


def test_the_openapi_document_describes_every_api_route(scene: Scene) -> None:
    document = httpx.get(f"{scene.whole.url}/api/v1/openapi.json").json()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    wanted = {(method, path) for name, method, path in routes(scene.whole) if path.startswith("/api/") and name != "api:openapi"}
    assert described == wanted
