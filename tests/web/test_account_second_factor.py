"""A17: a technician without the second factor reaches nothing. Every route of the whole program, with a login that only has
its password, and with the credentials of an agent."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from orchestrator.accounts.logins import begin_login
from orchestrator.core.settings import Settings
from tests.web.test_routes import HIDDEN, OPEN_TO_ALL, fill, routes
from tests.web.whole import Whole, make_people, run_whole
from web.security import LOGIN_COOKIE, make_login_token


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Generator[Whole, None, None]:
    folder = tmp_path_factory.mktemp("second-factor")
    with run_whole(Settings(data_dir=folder / "data", mail_from="Fernwart <support@desk.example>", recording_reserve_bytes=1024)) as running:
        yield running


def closed_routes(whole: Whole) -> list[tuple[str, str]]:
    found = [(method, fill(pattern, {})) for name, method, pattern in routes(whole) if name not in OPEN_TO_ALL | HIDDEN]
    assert len(found) > 60
    return found


@pytest.fixture(scope="module")
def half_login(whole: Whole) -> dict[str, str]:
    """The cookie after the password, with the right form token, so that nothing but the missing code can refuse it."""
    with whole.database.write() as unit:
        lead = make_people(unit)["lead"]
        login, secret = begin_login(unit, lead, address="127.0.0.1", agent_name="test")
        return {"Cookie": f"{LOGIN_COOKIE}={secret}", "X-CSRF-Token": make_login_token(login.csrf_secret)}


def test_a_login_without_the_second_factor_reaches_no_route(whole: Whole, half_login: dict[str, str]) -> None:
    with whole.client(half_login) as client:
        for method, path in closed_routes(whole):
            answer = client.request(method, path, json={} if path.startswith("/api/") else None)
            sent_to_login = answer.status_code == 303 and answer.headers["location"].startswith("/login")
            assert answer.status_code == 401 or sent_to_login, f"{method} {path}: {answer.status_code}"


@pytest.mark.parametrize("authorization", [
    "Bearer fwa_0123456789abcdef", "Bearer " + "A" * 43, "Fernwart-Agent key=abc, signature=def", "Bearer fwe_enrolment", "Bearer null",
])
def test_credentials_of_agents_reach_no_route_of_people(whole: Whole, authorization: str) -> None:
    with whole.client({"Authorization": authorization}) as client:
        for method, path in closed_routes(whole):
            answer = client.request(method, path, json={} if path.startswith("/api/") else None)
            sent_to_login = answer.status_code == 303 and answer.headers["location"].startswith("/login")
            assert answer.status_code == 401 or sent_to_login, f"{method} {path}: {answer.status_code}"
