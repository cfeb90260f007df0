"""Every page and form by role, with a login and its form token. The table is written by hand from the table of rights; a route that
is not in it fails the test."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from orchestrator.accounts.logins import begin_login, prove_login
from orchestrator.accounts.models import User
from orchestrator.core.ids import new_id
from orchestrator.core.settings import Settings
from orchestrator.knowledge.models import Article
from sessions.consent.models import ConsentRequest
from tests.builders import make_approver, make_contact, make_endpoint, make_organisation, make_queue, make_session, make_ticket, make_user
from tests.web.whole import Whole, make_people, run_whole
from web.security import CSRF_HEADER, LOGIN_COOKIE, make_login_token

T, L, A, U = "technician", "lead", "administrator", "auditor"
ALL = {T, L, A, U}

MAY: dict[str, set[str]] = {
    "account:show": ALL, "account:profile": ALL, "account:password": ALL, "account:second-factor-begin": ALL, "account:second-factor": ALL,
    "account:second-factor-qr": ALL, "account:second-factor-finish": ALL, "account:login-revoke": ALL, "account:token-create": ALL,
    "account:token-revoke": ALL, "preferences:save": ALL, "search:show": {T, L, U},
    "settings:show": {L, A}, "settings:queue-add": {L, A}, "settings:queue-change": {L, A}, "settings:queue-join": {L, A},
    "settings:queue-leave": {L, A}, "settings:user-add": {A}, "settings:user-roles": {A}, "settings:user-link": {A},
    "settings:user-disable": {A}, "settings:user-enable": {A}, "settings:desk": {A},
    "audit:list": {L, A, U}, "audit:verify": {L, A, U}, "audit:show": {L, A, U},
    "board:show": {T, L, U}, "tickets:list": {T, L, U}, "tickets:show": {T, L, U}, "tickets:attachment": {T, L, U}, "tickets:follow": {T, L, U},
    "tickets:new": {T, L}, "tickets:callers": {T, L}, "tickets:open": {T, L}, "tickets:take-next": {T, L}, "tickets:customer": {T, L},
    "tickets:set-customer": {T, L}, "tickets:reply": {T, L}, "tickets:note": {T, L}, "tickets:status": {T, L}, "tickets:assign": {T, L},
    "tickets:move": {T, L}, "tickets:priority": {T, L}, "tickets:helped": {T, L}, "tickets:connect": {T, L}, "tickets:ask": {T, L},
    "customers:list": {T, L, U}, "organisations:show": {T, L, U}, "organisations:new": {T, L}, "organisations:create": {T, L},
    "organisations:edit": {T, L}, "organisations:change": {T, L},
    "contacts:show": {T, L, U}, "contacts:new": {T, L}, "contacts:create": {T, L}, "contacts:edit": {T, L}, "contacts:change": {T, L},
    "contacts:left": {T, L}, "contacts:approver": {L}, "contacts:end-approver": {L},  # they sit on the contact's page, which administrators do not read
    "articles:list": {T, L, U}, "articles:show": {T, L, U}, "articles:new": {T, L}, "articles:preview": {T, L}, "articles:write": {T, L},
    "articles:edit": {T, L}, "articles:change": {T, L}, "articles:publish": {T, L}, "articles:withdraw": {T, L},
    "endpoints:list": {T, L, U}, "endpoints:show": {T, L, U}, "endpoints:enrol": {T, L}, "endpoints:make-token": {T, L},
    "endpoints:revoke-token": {T, L}, "endpoints:accept": {L}, "endpoints:responsible": {L}, "endpoints:disable": {L},
    "sessions:list": ALL, "sessions:show": ALL, "sessions:end": {T, L, A}, "sessions:more": {T}, "sessions:note": {T, L},
    "sessions:replay": {T, L, U}, "sessions:draft": {T, L}, "sessions:write-draft": {T, L},
    "requests:send-again": {T}, "requests:call-back": {L, A},
}
ASKS_BY_ITSELF = ("health:", "login:", "set-up:", "consent:", "api:")
"""Routes with rules of their own, tested elsewhere."""

FORM = {
    "status": "open", "impact": "low", "urgency": "low", "reason": "a", "person_name": "a", "minutes": "5", "purpose": "a", "scopes": "terminal", "until": "2027-01-01",
    "name": "a", "text": "a", "subject": "a", "title": "a", "language": "en",
}
"""Fields that some form needs before it looks at who asks; the others are left empty."""

ITS_OWN = {"sessions:more", "sessions:end", "requests:send-again"}
"""Asked with real ids only by those who may not: they change what the other routes need."""


@dataclass(slots=True)
class Scene:
    whole: Whole
    people: dict[str, User]
    values: dict[str, str]

    def browser(self, role: str) -> httpx.Client:
        """A browser logged in as somebody of this role, with the token that its forms carry."""
        with self.whole.database.write() as unit:
            login, _secret = begin_login(unit, self.people[role], address="127.0.0.1", agent_name="test")
            secret = prove_login(unit, login, hours=1)
            token = make_login_token(login.csrf_secret)
        return self.whole.client({"Cookie": f"{LOGIN_COOKIE}={secret}", CSRF_HEADER: token})


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Generator[Scene, None, None]:
    data = tmp_path_factory.mktemp("page-rights") / "data"
    with run_whole(Settings(data_dir=data, mail_from="Fernwart <support@desk.example>", recording_reserve_bytes=1024)) as whole:
        with whole.database.write() as unit:
            people = make_people(unit)
            victim = make_user(unit, name="Vera Victim")
            queue = make_queue(unit, people[T], victim)
            organisation = make_organisation(unit)
            contact = make_contact(unit, organisation)
            right = make_approver(unit, contact, people[L])
            ticket = make_ticket(unit, queue, contact=contact)
            endpoint = make_endpoint(unit, organisation, responsible=contact)
            session = make_session(unit, ticket, endpoint, people[T], contact)
            request = ConsentRequest(session_id=session.id, contact_id=contact.id, request_jws="", request_hash="", sent_to=contact.email or "",
                                     expires_at=unit.now, created_at=unit.now, state="expired")
            article = Article(group_id=new_id(), language="en", title="Spooler", state="published", created_at=unit.now, changed_at=unit.now)
            unit.db.add_all([request, article])
            unit.db.flush()
            values = {
                "number": ticket.number, "session_id": session.id, "endpoint_id": endpoint.id, "organisation_id": organisation.id,
                "contact_id": contact.id, "right_id": right.id, "request_id": request.id, "article_id": article.id, "user_id": victim.id,
                "queue_id": queue.id, "seq": "1",
            }
        yield Scene(whole, people, values)


def _routes(scene: Scene) -> list[tuple[str, str, str]]:
    found = []
    for route in iter_route_contexts(scene.whole.app.routes):
        if isinstance(route.original_route, APIRoute) and not (route.name or "").startswith(ASKS_BY_ITSELF):
            assert route.name and route.path and route.methods
            found += [(route.name, method, route.path) for method in sorted(route.methods)]
    return found


def _fill(pattern: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: values.get(match.group(1), new_id()), pattern)


def _ask(browser: httpx.Client, method: str, path: str) -> httpx.Response:
    return browser.request(method, path, data=FORM if method == "POST" else None)


def test_the_table_names_every_page_and_form(scene: Scene) -> None:
    assert {name for name, _method, _path in _routes(scene)} == set(MAY)


@pytest.mark.parametrize("role", sorted(ALL))
def test_a_role_is_refused_what_it_may_not(scene: Scene, role: str) -> None:
    wrong = []
    with scene.browser(role) as browser:
        for name, method, pattern in _routes(scene):
            if role in MAY[name]:
                continue
            answer = _ask(browser, method, _fill(pattern, scene.values))
            elsewhere = name == "board:show" and answer.status_code == 303
            if answer.status_code not in (403, 404) and not elsewhere:
                wrong.append(f"{method} {name}: {answer.status_code} {answer.headers.get('location', '')}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("role", sorted(ALL))
def test_a_role_reaches_what_it_may(scene: Scene, role: str) -> None:
    """Forms are sent empty, and things that would be lost for the other routes are named that are not there."""
    spared = {name: value for name, value in scene.values.items() if name not in ("user_id", "right_id", "queue_id", "request_id")}
    wrong = []
    with scene.browser(role) as browser:
        for name, method, pattern in _routes(scene):
            if role not in MAY[name] or name in ITS_OWN:
                continue
            values = spared | ({"endpoint_id": new_id(), "contact_id": new_id()} if name in ("endpoints:disable", "contacts:left") else {})
            answer = _ask(browser, method, _fill(pattern, values))
            if answer.status_code in (401, 403, 405) or answer.status_code >= 500:
                wrong.append(f"{method} {name}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
