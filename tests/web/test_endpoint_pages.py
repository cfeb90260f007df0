"""Pages of endpoints over real HTTP, and the command that makes a token."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from html import unescape

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from agents.protocol.messages import ConsentPlace, Enrolment, HostClass, HostFacts, Inventory, UserFacts
from agents.protocol.signatures import SigningKey
from agents.protocol.tokens import parse_enrolment_token
from orchestrator.accounts.actor import Role
from orchestrator.accounts.models import User
from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from orchestrator.customers.models import Organisation
from sessions.endpoints.models import Endpoint, EnrolmentToken
from sessions.endpoints.service import enrol
from tests.orchestrator.accounts.builders import add_person, log_in
from tests.sessions.scene import Scene, build_scene
from tests.web.desk import Browser, build_app, serve_app
from web.commands.endpoints import app as command
from web.pages import endpoints

HOST = HostFacts(host_name="<b>pc-07</b>", host_class=HostClass.CLIENT, consent=ConsentPlace.SERVER, protected=True, run_as="root",
                 may_become_root=True, boot_id="b", agent_version="0.1.0")
INVENTORY = Inventory(host_name="pc-07", operating_system="Debian 13", kernel="6.12", architecture="x86_64", processor="A <i>cpu</i>",
                      processors=4, memory_bytes=8_000_000_000, addresses=("10.0.0.7",), users=(UserFacts("erika", True, False),))


@pytest.fixture
def scene(sqlite_settings: Settings, sqlite_database: Database) -> Generator[Scene, None, None]:
    records = Database(sqlite_settings.recordings_url)
    yield build_scene(sqlite_settings, sqlite_database, records)
    records.dispose()


@pytest.fixture
def enter(scene: Scene) -> Generator[Callable[..., Browser], None, None]:
    app = build_app(scene.parts.settings, scene.database, scene.parts.record_database, modules=(endpoints,))
    app.state.services.keys = scene.parts.keys

    async def nowhere() -> None:
        return None

    for name, path in (("organisations:show", "/customers/{organisation_id}"), ("sessions:show", "/sessions/{session_id}"),
                       ("login:show", "/login"), ("login:step-up", "/step-up"), ("login:end", "/end"), ("account:show", "/account"),
                       ("settings:show", "/settings"), ("audit:list", "/audit"), ("preferences:save", "/preferences")):
        app.add_api_route(path, nowhere, name=name)
    browsers: list[Browser] = []
    with serve_app(app) as address:

        def run(role: Role) -> Browser:
            person = add_person(scene.database, role, email=f"{role}{len(browsers)}@desk.example")
            with scene.database.write() as unit:
                unit.db.get_one(User, person.user.id).language = "en"
                _, secret = log_in(unit, person, address="127.0.0.1")
            browsers.append(Browser(address, cookies={"__Host-fernwart-login": secret}))
            return browsers[-1]

        yield run
        for browser in browsers:
            browser.close()


def enrol_with(scene: Scene, token: str) -> Endpoint:
    text = parse_enrolment_token(token)
    with scene.database.write() as unit:
        return enrol(unit, public_key=SigningKey.generate().public.text, enrolment=Enrolment(text.token_id, text.secret, INVENTORY), host=HOST)


def command_of(text: str) -> str:
    found = re.search(r'data-copy="(fernwart-agent enroll [^"]+)"', text)
    assert found, text
    return unescape(found[1])


def test_from_one_command_to_an_accepted_machine(enter: Callable[..., Browser], scene: Scene) -> None:
    technician, lead = enter(Role.TECHNICIAN), enter(Role.LEAD)
    technician.get("/endpoints/enrol")
    page = technician.post("/endpoints/enrol", organisation=scene.organisation.id, endpoint_class="client", hours="8", uses="2")
    assert page.status_code == 200 and page.headers["cache-control"] == "no-store"
    words = command_of(page.text).split()
    assert words[:3] == ["fernwart-agent", "enroll", scene.parts.settings.public_url] and words[-2:] == ["--class", "client"]
    endpoint = enrol_with(scene, words[3])
    listed = lead.get("/endpoints?state=waiting")
    assert "&lt;b&gt;pc-07" in listed.text and "<b>pc-07" not in listed.text
    shown = lead.get(f"/endpoints/{endpoint.id}")
    assert endpoint.fingerprint in unescape(shown.text) and "A &lt;i&gt;cpu" in shown.text and "erika" in shown.text
    refused = lead.post(f"/endpoints/{endpoint.id}/accept", fingerprint="SHA256:" + "A" * 43, endpoint_class="client",
                        responsible=scene.contact.email)
    assert refused.status_code == 409 and "not the fingerprint" in unescape(refused.text)
    wrong = lead.post(f"/endpoints/{endpoint.id}/accept", fingerprint=endpoint.fingerprint, endpoint_class="server",
                      responsible=scene.contact.email)
    assert wrong.status_code == 409
    nobody = lead.post(f"/endpoints/{endpoint.id}/accept", fingerprint=endpoint.fingerprint, endpoint_class="client", responsible="x@y.example")
    assert nobody.status_code == 422 and 'id="responsible-error"' in nobody.text
    accepted = lead.post(f"/endpoints/{endpoint.id}/accept", fingerprint=endpoint.fingerprint, endpoint_class="client",
                         responsible=scene.contact.email)
    assert accepted.status_code == 303
    with scene.database.read() as unit:
        assert unit.db.get_one(Endpoint, endpoint.id).state == "accepted"
    lead.get(f"/endpoints/{endpoint.id}")
    assert lead.post(f"/endpoints/{endpoint.id}/responsible", responsible=scene.technician.email).status_code == 303
    lead.get(f"/endpoints/{endpoint.id}")
    assert lead.post(f"/endpoints/{endpoint.id}/disable", reason="gone").status_code == 303
    assert "disabled" in lead.get(f"/endpoints/{endpoint.id}").text


def test_technicians_neither_accept_nor_disable_and_nobody_posts_without_the_form_token(enter: Callable[..., Browser], scene: Scene) -> None:
    technician = enter(Role.TECHNICIAN)
    page = technician.get(f"/endpoints/{scene.endpoint.id}")
    assert "/disable" not in page.text
    technician.get("/endpoints/enrol")
    assert technician.post(f"/endpoints/{scene.endpoint.id}/disable").status_code == 403
    assert technician.request("POST", "/endpoints/enrol", data={"organisation": scene.organisation.id}).status_code == 403
    with scene.database.read() as unit:
        assert unit.db.get_one(Endpoint, scene.endpoint.id).state == "accepted"
        assert unit.db.scalars(select(EnrolmentToken)).all() == []


def test_an_administrator_sees_no_endpoints_and_a_stranger_logs_in_first(enter: Callable[..., Browser], scene: Scene) -> None:
    administrator = enter(Role.ADMINISTRATOR)
    for path in ("/endpoints", "/endpoints/enrol"):
        assert administrator.get(path).status_code == 403
    assert administrator.get(f"/endpoints/{scene.endpoint.id}").status_code == 404
    administrator.cookies.clear()
    for path in ("/endpoints", "/endpoints/enrol", f"/endpoints/{scene.endpoint.id}"):
        assert administrator.get(path, accept="text/html").status_code in (303, 401, 403)


def test_mistakes_in_the_form_are_named_and_a_token_is_revoked(enter: Callable[..., Browser], scene: Scene) -> None:
    lead = enter(Role.LEAD)
    lead.get("/endpoints/enrol")
    for fields in ({"organisation": ""}, {"uses": "0"}, {"uses": "x"}, {"hours": "99"}, {"auto_accept": "yes", "responsible": ""}):
        assert lead.post("/endpoints/enrol", **{"organisation": scene.organisation.id, "uses": "1", "hours": "1", **fields}).status_code == 422
    lead.post("/endpoints/enrol", organisation=scene.organisation.id, auto_accept="yes", responsible=scene.contact.email)
    with scene.database.read() as unit:
        token = unit.db.scalars(select(EnrolmentToken)).one()
    assert "accepts by itself" in lead.get("/endpoints/enrol").text
    assert lead.post(f"/endpoints/tokens/{token.id}/revoke").status_code == 303
    with scene.database.read() as unit:
        assert unit.db.get_one(EnrolmentToken, token.id).revoked_at is not None


def test_the_command_prints_the_token_as_its_last_word(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERNWART_DATA_DIR", str(scene.parts.settings.data_dir))
    monkeypatch.setattr("web.commands.opening.migrate", lambda *_: None)
    run = CliRunner().invoke(command, ["token", "--organisation", "Muster GmbH", "--expires", "2h", "--uses", "3"])
    assert run.exit_code == 0, run.output
    token = parse_enrolment_token(run.stdout.split()[-1])
    assert token.server_fingerprint == scene.parts.keys.fingerprint
    with scene.database.read() as unit:
        row = unit.db.get_one(EnrolmentToken, token.token_id)
        assert (row.uses_left, row.organisation_id) == (3, scene.organisation.id)
    auto = ["--auto-accept", "--class", "server", "--responsible", scene.contact.email or ""]
    assert CliRunner().invoke(command, ["token", "--organisation", "Muster GmbH", *auto]).exit_code == 0
    for bad in (["--organisation", "Nobody"], ["--organisation", "Muster GmbH", "--expires", "soon"],
                ["--organisation", "Muster GmbH", "--auto-accept"], ["--organisation", "Muster GmbH", *auto, "--uses", "2"]):
        assert CliRunner().invoke(command, ["token", *bad]).exception is not None
    with scene.database.write() as unit:
        unit.db.add(Organisation(number="K-9", name="Muster GmbH", created_at=unit.now))
    assert "Several" in str(CliRunner().invoke(command, ["token", "--organisation", "Muster GmbH"]).exception)
    assert CliRunner().invoke(command, ["token", "--organisation", "K-9"]).exit_code == 0
