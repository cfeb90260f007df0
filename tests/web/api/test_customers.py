"""Organisations, contacts and approvers over the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.builders import make_contact
from tests.web.api.office import Office, problem, walk, word


def test_an_organisation_is_entered_read_and_found(each_office: Office) -> None:
    api, name = each_office.api(), word()
    made = api.post("/organisations", json={"name": f"{name} GmbH", "domains": [f"{name}.example", f"WWW.{name}.example"], "language": "de"})
    assert made.status_code == 201, made.text
    organisation = made.json()
    assert organisation["name"] == f"{name} GmbH" and f"{name}.example" in organisation["domains"]
    assert organisation["number"].startswith("K-") and organisation["language"] == "de" and organisation["internal"] is False
    assert api.get(f"/organisations/{organisation['id']}").json() == organisation
    assert [item["id"] for item in api.get("/organisations", params={"query": name}).json()["items"]] == [organisation["id"]]


@pytest.mark.parametrize(("body", "field"), [
    ({}, "name"), ({"name": ""}, "name"), ({"name": "   "}, "name"), ({"name": "x" * 201}, "name"), ({"name": "A", "language": "fr"}, "language"),
    ({"name": "A", "domains": "a.example"}, "domains"), ({"name": "A", "domains": ["gmail.com"]}, "domains"), ({"name": "A", "nmae": "B"}, "nmae"),
])
def test_an_organisation_that_cannot_be_is_refused_by_field(office: Office, body: dict[str, object], field: str) -> None:
    problem(office.api().post("/organisations", json=body), 422, "invalid_input", field)


def test_a_domain_belongs_to_one_organisation(office: Office) -> None:
    problem(office.api().post("/organisations", json={"name": "Copy", "domains": ["muster.example"]}), 409, "conflict")


def test_lists_of_customers_page_to_the_end_without_repeating(each_office: Office) -> None:
    api, name = each_office.api(), word()
    made = {api.post("/organisations", json={"name": f"{name} {number % 2}"}).json()["id"] for number in range(5)}
    pages = list(walk(api, "/organisations", limit=2, query=name))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {item["id"] for page in pages for item in page} == made
    people = {api.post("/contacts", json={"name": f"{name} Same", "email": f"{name}{number}@muster.example"}).json()["id"] for number in range(5)}
    pages = list(walk(api, "/contacts", limit=2, query=name))
    assert [len(page) for page in pages] == [2, 2, 1] and {item["id"] for page in pages for item in page} == people


@pytest.mark.parametrize("path", ["/organisations", "/contacts", "/endpoints", "/tickets", "/articles", "/sessions"])
def test_a_cursor_that_is_none_is_refused(each_office: Office, path: str) -> None:
    for cursor in ("x", "AAAA", "W10", "bm90IGpzb24", "\x00", "W251bGxd"):
        answer = each_office.api().get(path, params={"cursor": cursor})
        assert answer.status_code in (404, 422), f"{path} {cursor!r}: {answer.status_code}"


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", ""])
def test_a_limit_outside_its_range_is_refused(office: Office, limit: str) -> None:
    problem(office.api().get("/organisations", params={"limit": limit}), 422, "invalid_input", "limit")


def test_an_organisation_is_changed_only_from_the_version_that_was_read(each_office: Office) -> None:
    api, name = each_office.api("lead"), word()
    path = f"/organisations/{api.post('/organisations', json={'name': name, 'language': 'de'}).json()['id']}"
    tag = api.get(path).headers["etag"]
    changed = api.patch(path, json={"name": f"{name} AG", "language": None}, headers={"If-Match": tag})
    assert changed.status_code == 200 and changed.json()["name"] == f"{name} AG" and changed.json()["language"] is None
    assert changed.headers["etag"] != tag
    problem(api.patch(path, json={"name": "Late"}, headers={"If-Match": tag}), 412, "outdated")
    assert api.get(path).json()["name"] == f"{name} AG"
    assert api.patch(path, json={"name": name}, headers={"If-Match": f'W/"1", {changed.headers["etag"]}'}).status_code == 200
    assert api.patch(path, json={"name": "Any"}, headers={"If-Match": "*"}).status_code == 200
    problem(api.patch(path, json={"name": "Weak"}, headers={"If-Match": "W/" + api.get(path).headers["etag"]}), 412)


def test_a_contact_is_entered_changed_and_leaves(each_office: Office) -> None:
    api, name = each_office.api("lead"), word()
    made = api.post("/contacts", json={"name": f"Max {name}", "email": f"Max.{name}@Muster.example", "organisation_id": each_office.organisation.id,
                                       "language": "en"})
    assert made.status_code == 201, made.text
    contact, path = made.json(), f"/contacts/{made.json()['id']}"
    assert contact["email"] == f"max.{name}@muster.example" and contact["organisation_id"] == each_office.organisation.id
    assert api.get(path).json() == contact
    tag = api.get(path).headers["etag"]
    changed = api.patch(path, json={"phone": "+49 30 1234567", "email": None}, headers={"If-Match": tag})
    assert changed.status_code == 200, changed.text
    assert changed.json()["email"] is None and changed.json()["phone"] and changed.json()["name"] == contact["name"]
    problem(api.patch(path, json={"name": "Late"}, headers={"If-Match": tag}), 412, "outdated")
    assert api.patch(path, json={"left": True}).json()["left_at"] is not None
    assert api.patch(path, json={"left": False}).json()["left_at"] is None


@pytest.mark.parametrize(("body", "field"), [
    ({"email": "a@b.example"}, "name"), ({"name": "A", "email": "no address"}, "email"), ({"name": "A", "phone": "call me"}, "phone"),
    ({"name": "A", "email": "support@desk.example"}, "email"), ({"name": "A", "organisation_id": "none"}, "organisation_id"),
])
def test_a_contact_that_cannot_be_is_refused_by_field(office: Office, body: dict[str, object], field: str) -> None:
    problem(office.api().post("/contacts", json=body), 422, "invalid_input", field)


def test_an_address_belongs_to_one_contact(office: Office) -> None:
    problem(office.api().post("/contacts", json={"name": "Copy", "email": "ERIKA@muster.example"}), 409, "conflict")


def _approver(**values: object) -> dict[str, object]:
    return {"scopes": ["terminal"], "until": (datetime.now(UTC) + timedelta(days=30)).isoformat(), **values}


def test_a_lead_gives_the_right_to_approve_and_takes_it(office: Office) -> None:
    with office.whole.database.write() as unit:
        contact = make_contact(unit, office.organisation)
    api, path = office.api("lead"), f"/contacts/{contact.id}/approver"
    given = api.post(path, json=_approver())
    assert given.status_code == 201, given.text
    assert given.json()["scopes"] == ["terminal"] and given.json()["granted_by_name"] == "Lead" and given.json()["ended_at"] is None
    assert [item["id"] for item in api.get(path).json()["items"]] == [given.json()["id"]]
    problem(office.api("technician").patch(f"/contacts/{contact.id}", json={"phone": "+49 30 999999"}), 403)
    problem(api.delete(f"/contacts/{office.contact.id}/approver/{given.json()['id']}"), 404)
    assert api.delete(f"{path}/{given.json()['id']}").status_code == 204
    assert api.get(path).json()["items"][0]["ended_at"] is not None


def test_a_right_for_one_ticket_needs_a_reason(office: Office) -> None:
    with office.whole.database.write() as unit:
        contact = make_contact(unit, office.organisation)
    number, api, path = office.ticket().number, office.api("lead"), f"/contacts/{contact.id}/approver"
    problem(api.post(path, json=_approver(ticket=number)), 409, "not_an_approver")
    assert api.post(path, json=_approver(ticket=number, reason="Her colleague is on holiday")).json()["ticket_id"]


def test_the_right_to_approve_has_bounds(office: Office) -> None:
    api, path = office.api("lead"), f"/contacts/{office.contact.id}/approver"
    problem(api.post(path, json=_approver(until="2026-01-01")), 422, "invalid_input", "until")
    problem(api.post(path, json=_approver(until="2026-12-24T10:00:00")), 422, "invalid_input", "until")
    problem(api.post(path, json=_approver(until=(datetime.now(UTC) + timedelta(days=400)).isoformat())), 409, "not_an_approver")
    problem(api.post(path, json=_approver(scopes=[])), 409, "not_an_approver")
    problem(office.api("technician").post(path, json=_approver()), 403, "forbidden")
    problem(office.api("auditor").post(path, json=_approver()), 403, "forbidden")
    with office.whole.database.write() as unit:
        own = make_contact(unit, office.organisation, email="technician@desk.example")
    problem(api.post(f"/contacts/{own.id}/approver", json=_approver()), 409, "not_an_approver")


def test_who_reads_customers_and_who_writes_them(office: Office) -> None:
    for role, reads, writes in (("technician", 200, 201), ("lead", 200, 201), ("auditor", 200, 403), ("administrator", 403, 403)):
        assert office.api(role).get("/organisations").status_code == reads
        assert office.api(role).get(f"/contacts/{office.contact.id}").status_code == reads
        assert office.api(role).post("/organisations", json={"name": word()}).status_code == writes
        assert office.api(role).post("/contacts", json={"name": word()}).status_code == writes
