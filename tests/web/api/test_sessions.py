"""Remote sessions over the API, up to where an agent is needed: asking, reading, ending, who may."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.tickets.models import Ticket
from sessions.lifecycle.models import ChannelRow, RemoteSession, SessionState
from sessions.recording.models import CommandRow
from tests.builders import make_approver, make_contact, make_endpoint, make_organisation
from tests.web.api.office import Office, problem, walk


def _wish(office: Office, **values: object) -> dict[str, object]:
    return {"endpoint_id": office.endpoint.id, "purpose": "Restart the print service", "scopes": ["terminal"], "user": "support", "minutes": 30,
            **values}


def _ticket(office: Office) -> Ticket:
    """A ticket of a contact of its own: the rates of requests count by approver."""
    with office.whole.database.write() as unit:
        contact = make_contact(unit, office.organisation, language="en")
        make_approver(unit, contact, office.people["lead"], scopes=("terminal",))
    return office.ticket(contact=contact)


def test_a_technician_asks_and_the_approver_is_asked_by_mail(each_office: Office) -> None:
    api, ticket = each_office.api(), _ticket(each_office)
    asked = api.post(f"/tickets/{ticket.number}/sessions", json=_wish(each_office))
    assert asked.status_code == 201, asked.text
    session = asked.json()
    assert session["state"] == "requested" and session["contact_id"] == ticket.contact_id and session["max_seconds"] == 1800
    assert session["os_user"] == "support" and session["recording"] == "full" and session["technician_name"] == "Technician"
    path = f"/sessions/{session['id']}"
    assert api.get(path).json() == session
    assert [item["id"] for item in api.get(f"/tickets/{ticket.number}/sessions").json()["items"]] == [session["id"]]
    assert session["id"] in {item["id"] for item in api.get("/sessions", params={"limit": 200}).json()["items"]}
    assert [event["kind"] for event in api.get(f"{path}/events").json()["items"]] == ["session.requested"]
    (consent,) = api.get(f"{path}/consents").json()["items"]
    assert (consent["state"], consent["decision"], consent["session_id"]) == ("open", None, session["id"])
    assert api.get(f"/consents/{consent['id']}").json() == consent
    ended = api.post(f"{path}/end", json={"summary": ""})
    assert ended.status_code == 200 and ended.json()["state"] == "cancelled", ended.text
    problem(api.post(f"{path}/end", json={}), 409, "conflict")
    assert api.get(f"/consents/{consent['id']}").json()["state"] == "withdrawn"


@pytest.mark.parametrize(("change", "status", "field"), [
    ({"purpose": ""}, 422, "purpose"), ({"purpose": "  "}, 422, "purpose"), ({"scopes": []}, 422, "scopes"),
    ({"scopes": ["everything"]}, 422, "scopes"),
    ({"minutes": 0}, 422, "minutes"), ({"minutes": 100_000}, 422, "minutes"), ({"start_within_minutes": 0}, 422, "start_within_minutes"),
    ({"recording": "none"}, 422, ""), ({"method": "spoken"}, 422, ""), ({"os_user": "root"}, 422, "os_user"), ({"user": "nobody-knows"}, 422, ""),
])
def test_a_request_that_cannot_be_is_refused_by_field(office: Office, change: dict[str, object], status: int, field: str) -> None:
    before = office.number_of(RemoteSession)
    answer = office.api().post(f"/tickets/{office.ticket().number}/sessions", json=_wish(office, **change))
    if field:
        problem(answer, status, "invalid_input", field)
    else:
        assert answer.status_code in (409, 422), answer.text
    assert office.number_of(RemoteSession) == before


def test_a_request_reaches_only_machines_and_contacts_of_the_tickets_organisation(office: Office) -> None:
    with office.whole.database.write() as unit:
        other = make_organisation(unit)
        machine, person = make_endpoint(unit, other), make_contact(unit, other)
    path = f"/tickets/{office.ticket().number}/sessions"
    problem(office.api().post(path, json=_wish(office, endpoint_id=machine.id)), 404, "not_found")
    problem(office.api().post(path, json=_wish(office, contact_id=person.id)), 422, "invalid_input", "contact_id")


def test_asking_and_opening_need_rights_that_are_named(office: Office) -> None:
    """``all`` leads to no machine: these rights must be in the token by name."""
    path, session = f"/tickets/{office.ticket().number}/sessions", office.session(state=SessionState.APPROVED)
    problem(office.api("technician", "all").post(path, json=_wish(office)), 403, "forbidden")
    problem(office.api("technician", "all").post(f"/sessions/{session.id}/channels", json={"kind": "shell"}), 403, "forbidden")
    problem(office.api("auditor").post(path, json=_wish(office)), 403, "forbidden")
    problem(office.api("stranger").post(path, json=_wish(office)), 404, "not_found")


def test_a_channel_needs_an_approved_session_and_its_leader(office: Office) -> None:
    waiting = office.session()
    path = f"/sessions/{waiting.id}/channels"
    problem(office.api().post(path, json={"kind": "shell", "columns": 80, "rows": 24}), 409, "conflict")
    problem(office.api("lead").post(path, json={"kind": "shell"}), 403, "forbidden")
    problem(office.api("stranger").post(path, json={"kind": "shell"}), 404, "not_found")
    problem(office.api().post(path, json={"kind": "telepathy"}), 422, "invalid_input", "kind")
    problem(office.api().post(path, json={"kind": "shell", "columns": 0}), 422, "invalid_input", "columns")
    approved = office.session(state=SessionState.APPROVED)
    problem(office.api().post(f"/sessions/{approved.id}/channels", json={"kind": "shell"}), 403, "scope_missing")
    assert office.api().get(f"/sessions/{approved.id}/channels").json() == {"items": [], "next": None}


def _commands(office: Office, session: RemoteSession, count: int) -> ChannelRow:
    with office.whole.database.write() as unit:
        channel = ChannelRow(session_id=session.id, kind="shell", state="closed", os_user="support", columns=80, rows=24, opened_at=unit.now)
        unit.db.add(channel)
        unit.db.flush()
    with office.whole.services.record_database.write() as unit:
        unit.db.add_all(CommandRow(
            channel_id=channel.id, seq=number, session_id=session.id, line=f"echo {number}", directory="/tmp", exit_status=number % 3,
            started_at=unit.now + timedelta(seconds=number), seconds=0.5, offset_start=number, source="marks", shell="bash", flags=[],
        ) for number in range(1, count + 1))
    return channel


def test_commands_are_listed_in_order_and_page_by_page(each_office: Office) -> None:
    session = each_office.session()
    channel = _commands(each_office, session, 5)
    pages = list(walk(each_office.api(), f"/sessions/{session.id}/commands", limit=2))
    assert [[item["line"] for item in page] for page in pages] == [["echo 1", "echo 2"], ["echo 3", "echo 4"], ["echo 5"]]
    first = pages[0][0]
    assert {"line", "directory", "exit_status", "started_at", "seconds", "source", "channel_id"} <= set(first)
    assert (first["directory"], first["exit_status"], first["seconds"], first["source"], first["channel_id"]) == ("/tmp", 1, 0.5, "marks", channel.id)


def test_who_sees_a_session_its_commands_and_its_recording(office: Office) -> None:
    """An administrator may end any session, and reads neither its commands nor its recordings by that."""
    session = office.session()
    channel = _commands(office, session, 1)
    expected = {
        "technician": (200, 200, 200), "lead": (200, 200, 200), "auditor": (200, 200, 200), "administrator": (200, 403, 403),
        "stranger": (404, 404, 404),
    }
    for role, (see, commands, cast) in expected.items():
        api = office.api(role)
        answers = (api.get(f"/sessions/{session.id}"), api.get(f"/sessions/{session.id}/commands"),
                   api.get(f"/sessions/{session.id}/recordings/{channel.id}.cast"))
        assert tuple(answer.status_code for answer in answers) == (see, commands, cast), role
    read = [entry for entry in office.api("lead").get("/audit", params={"kind": "recording.read"}).json()["items"] if session.id in entry["subject"]]
    assert sorted(entry["actor_name"] for entry in read) == ["Auditor (API token)", "Lead (API token)", "Technician (API token)"]
    problem(office.api().get(f"/sessions/{session.id}/recordings/{office.session().id}.cast"), 404, "not_found")


def test_a_cast_is_a_download_in_the_asciicast_format(office: Office) -> None:
    session = office.session()
    channel = _commands(office, session, 1)
    cast = office.api().get(f"/sessions/{session.id}/recordings/{channel.id}.cast")
    assert cast.headers["content-type"].startswith("application/x-asciicast")
    assert cast.headers["content-disposition"].startswith("attachment;") and cast.headers["cache-control"] == "private, no-store"
    assert cast.text.startswith('{"version": 2')


@pytest.mark.parametrize(("role", "status"), [("stranger", 404), ("auditor", 403), ("lead", 200), ("administrator", 200), ("technician", 200)])
def test_who_may_end_a_session(office: Office, role: str, status: int) -> None:
    session = office.session(state=SessionState.REQUESTED)
    assert office.api(role).post(f"/sessions/{session.id}/end", json={"summary": "Enough"}).status_code == status


def test_a_running_session_ends_with_its_summary(office: Office) -> None:
    session = office.session(state=SessionState.LIVE)
    ended = office.api().post(f"/sessions/{session.id}/end", json={"summary": "Restarted the spooler"})
    assert ended.status_code == 200, ended.text
    assert (ended.json()["state"], ended.json()["summary"], ended.json()["end_reason"]) == ("ended", "Restarted the spooler", "technician")


def test_lists_of_sessions_page(office: Office) -> None:
    ticket = office.ticket()
    made = [office.session(ticket).id for _ in range(3)]
    seen = [item["id"] for page in walk(office.api(), f"/tickets/{ticket.number}/sessions", limit=2) for item in page]
    assert sorted(seen) == sorted(made) and len(seen) == 3
    seen = [item["id"] for page in walk(office.api(), "/sessions", limit=2) for item in page]
    assert len(seen) == len(set(seen)) and set(made) <= set(seen)
