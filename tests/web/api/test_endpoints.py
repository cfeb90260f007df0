"""Endpoints and enrolment tokens over the API."""

from __future__ import annotations

import pytest

from agents.protocol.tokens import parse_enrolment_token
from orchestrator.core.ids import new_id
from sessions.endpoints.models import Endpoint
from tests.builders import make_endpoint, make_organisation
from tests.web.api.office import Office, problem, walk, word


def _waiting(office: Office, **values: object) -> Endpoint:
    with office.whole.database.write() as unit:
        endpoint = make_endpoint(unit, office.organisation, name=word(), state="waiting", endpoint_class="server", online=True)
        endpoint.endpoint_class, endpoint.claimed_class = None, "server"
        for name, value in values.items():
            setattr(endpoint, name, value)
    return endpoint


def test_a_lead_accepts_a_waiting_endpoint_after_comparing_its_fingerprint(each_office: Office) -> None:
    endpoint, api = _waiting(each_office), each_office.api("lead")
    shown = api.get(f"/endpoints/{endpoint.id}").json()
    assert shown["state"] == "waiting" and shown["class"] is None and shown["claimed_class"] == "server" and shown["online"] is True
    assert {"id", "name", "organisation_id", "online", "last_seen_at", "fingerprint"} <= set(shown)
    path, body = f"/endpoints/{endpoint.id}/accept", {"fingerprint": endpoint.fingerprint, "class": "server", "responsible": "erika@muster.example"}
    problem(each_office.api("technician").post(path, json=body), 403, "forbidden")
    problem(api.post(path, json={**body, "fingerprint": "SHA256:another"}), 409)
    problem(api.post(path, json={**body, "class": "client"}), 409)
    problem(api.post(path, json={**body, "responsible": "nobody@muster.example"}), 422, "invalid_input", "responsible")
    problem(api.post(path, json={"fingerprint": endpoint.fingerprint, "class": "server"}), 422, "invalid_input", "responsible")
    problem(api.post(path, json={**body, "class": "toaster"}), 422, "invalid_input", "class")
    accepted = api.post(path, json=body)
    assert accepted.status_code == 200, accepted.text
    assert (accepted.json()["state"], accepted.json()["class"], accepted.json()["responsible_id"]) == ("accepted", "server", each_office.contact.id)
    problem(api.post(path, json=body), 409, "conflict")


def test_an_endpoint_is_changed_only_from_the_version_that_was_read(each_office: Office) -> None:
    endpoint, api = _waiting(each_office, state="accepted", endpoint_class="server"), each_office.api("lead")
    path = f"/endpoints/{endpoint.id}"
    tag = api.get(path).headers["etag"]
    changed = api.patch(path, json={"responsible": "lead@desk.example"}, headers={"If-Match": tag})
    assert changed.status_code == 200 and changed.json()["responsible_kind"] == "technician", changed.text
    problem(api.patch(path, json={"responsible": "erika@muster.example"}, headers={"If-Match": tag}), 412, "outdated")
    problem(each_office.api().patch(path, json={"responsible": "erika@muster.example"}), 403, "forbidden")


def test_a_disabled_endpoint_stays_disabled(office: Office) -> None:
    endpoint, api = _waiting(office), office.api("lead")
    assert api.post(f"/endpoints/{endpoint.id}/disable").json()["state"] == "disabled"
    problem(api.post(f"/endpoints/{endpoint.id}/disable"), 409, "conflict")
    problem(office.api().post(f"/endpoints/{endpoint.id}/disable"), 403, "forbidden")
    assert endpoint.id in {item["id"] for item in api.get("/endpoints", params={"state": "disabled", "limit": 200}).json()["items"]}


def test_lists_of_endpoints_page_and_filter(each_office: Office) -> None:
    name, api = word(), each_office.api()
    with each_office.whole.database.write() as unit:
        other = make_organisation(unit)
        made = {make_endpoint(unit, other, name=f"{name}-{number % 2}").id for number in range(5)}
    pages = list(walk(api, "/endpoints", limit=2, query=name))
    assert [len(page) for page in pages] == [2, 2, 1] and {item["id"] for page in pages for item in page} == made
    assert {item["id"] for item in api.get("/endpoints", params={"organisation_id": other.id}).json()["items"]} == made


def test_a_technician_makes_tokens_and_only_a_lead_those_that_accept(each_office: Office) -> None:
    body = {"organisation_id": each_office.organisation.id}
    made = each_office.api().post("/enrolment-tokens", json=body)
    assert made.status_code == 201, made.text
    assert parse_enrolment_token(made.json()["token"]).server_fingerprint == each_office.whole.services.keys.fingerprint
    accepting = {**body, "auto_accept": True, "class": "server", "responsible": "erika@muster.example"}
    problem(each_office.api().post("/enrolment-tokens", json=accepting), 403, "forbidden")
    assert each_office.api("lead").post("/enrolment-tokens", json=accepting).status_code == 201
    problem(each_office.api("auditor").post("/enrolment-tokens", json=body), 403, "forbidden")
    problem(each_office.api("lead").post("/enrolment-tokens", json={"organisation_id": new_id()}), 404, "not_found")


@pytest.mark.parametrize(("change", "field"), [
    ({"uses": 0}, "uses"), ({"uses": 101}, "uses"), ({"expires_minutes": 0}, "expires_minutes"), ({"expires_minutes": 10_081}, "expires_minutes"),
    ({"class": "toaster"}, "class"), ({"auto_accept": True, "class": "server", "uses": 2, "responsible": "erika@muster.example"}, "uses"),
    ({"auto_accept": True, "class": "server"}, "responsible"), ({"auto_accept": True, "responsible": "erika@muster.example"}, "class"),
])
def test_a_token_that_cannot_be_is_refused_by_field(office: Office, change: dict[str, object], field: str) -> None:
    body = {"organisation_id": office.organisation.id, **change}
    problem(office.api("lead").post("/enrolment-tokens", json=body), 422, "invalid_input", field)
