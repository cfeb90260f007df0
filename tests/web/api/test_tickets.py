"""Tickets over the API: opening, reading, changing, answering, taking."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from orchestrator.core.ids import new_id
from orchestrator.customers.models import Contact
from orchestrator.notifications.models import OutgoingMail
from orchestrator.tickets.models import Ticket
from orchestrator.tickets.numbers import find_numbers
from tests.builders import make_queue, make_ticket
from tests.web.api.office import Office, old_number, problem, walk, word


def test_a_ticket_is_opened_for_a_known_contact_and_confirmed(each_office: Office) -> None:
    api = each_office.api()
    made = api.post("/tickets", json={"subject": "No paper", "text": "The tray is empty.", "contact_id": each_office.contact.id, "impact": "high",
                                      "urgency": "high", "kind": "request"})
    assert made.status_code == 201, made.text
    ticket = made.json()
    assert ticket["status"] == "new" and ticket["kind"] == "request" and ticket["priority"] == 1 and ticket["language"] == "en"
    assert ticket["organisation_id"] == each_office.organisation.id and ticket["contact_id"] == each_office.contact.id
    assert ticket["queue"] == "Service desk" and ticket["queue_id"] == each_office.queue.id
    assert find_numbers(ticket["number"], ("{year}-{counter:06d}-{check}",)) == [ticket["number"]]
    assert api.get(f"/tickets/{ticket['number']}").json() == ticket == api.get(f"/tickets/{ticket['id']}").json()
    with each_office.whole.database.read() as unit:
        mail = unit.db.scalars(select(OutgoingMail).where(OutgoingMail.ticket_id == ticket["id"])).one()
    assert (mail.to_address, mail.purpose) == (each_office.contact.email, "ticket.confirmation")
    first, second = api.get(f"/tickets/{ticket['number']}/entries").json()["items"]
    assert (first["kind"], first["medium"], first["text"], first["author_name"]) == ("message", "api", "The tray is empty.", "Erika Beispiel")
    assert (second["kind"], second["data"]["code"]) == ("notice", "confirmation_sent")


def test_a_caller_never_entered_before_becomes_a_contact_once(each_office: Office) -> None:
    api, name = each_office.api(), word()
    by_mail = {"subject": "Help", "text": "It hangs.", "contact": {"name": f"Cara {name}", "email": f"{name}@Muster.example"},
               "organisation_id": each_office.organisation.id}
    by_phone = {"subject": "Help", "text": "It hangs.", "contact": {"name": f"Phil {name}", "phone": f"+49 30 {int(name[-7:], 16) % 10**7:07d}"}}
    for body in (by_mail, by_phone):
        first, again = api.post("/tickets", json=body), api.post("/tickets", json=body)
        assert first.status_code == again.status_code == 201, first.text
        assert first.json()["contact_id"] == again.json()["contact_id"] and first.json()["number"] != again.json()["number"]
    assert first.json()["organisation_id"] is None
    assert each_office.number_of(Contact, Contact.name.contains(name)) == 2


def test_a_ticket_goes_into_the_named_queue_or_the_first(office: Office) -> None:
    api, body = office.api(), {"subject": "Where", "text": "Somewhere"}
    assert api.post("/tickets", json=body).json()["queue"] == "Service desk"
    assert api.post("/tickets", json={**body, "queue": "SERVICE DESK"}).json()["queue_id"] == office.queue.id
    assert api.post("/tickets", json={**body, "queue": office.other_queue.id}).json()["queue"] == "Other queue"
    problem(api.post("/tickets", json={**body, "queue": "Nowhere"}), 422, "invalid_input", "queue")


@pytest.mark.parametrize(("change", "field"), [
    ({"subject": ""}, "subject"), ({"subject": " \t"}, "subject"), ({"subject": None}, "subject"), ({"text": ""}, "text"), ({"text": 5}, "text"),
    ({"contact": {"name": "Only a name"}}, "contact"), ({"contact": {"email": "a@b.example"}}, "contact.name"), ({"kind": "wish"}, "kind"),
    ({"contact_id": new_id()}, "contact_id"), ({"organisation_id": new_id()}, "organisation_id"), ({"priority": 1}, "priority"),
    ({"contact": {"name": "A", "email": "not one"}}, "email"), ({"impact": "huge"}, "impact"), ({"subject": "x" * 301}, "subject"),
])
def test_a_ticket_that_cannot_be_is_refused_by_field(office: Office, change: dict[str, object], field: str) -> None:
    body = {"subject": "A", "text": "B", **change}
    before = office.number_of(Ticket)
    problem(office.api().post("/tickets", json=body), 422, "invalid_input", field)
    assert office.number_of(Ticket) == before


def test_contact_and_contact_id_exclude_each_other(office: Office) -> None:
    body = {"subject": "A", "text": "B", "contact_id": office.contact.id, "contact": {"name": "C", "email": "c@muster.example"}}
    problem(office.api().post("/tickets", json=body), 422, "invalid_input")


def test_a_reply_is_mailed_and_a_note_stays_inside(each_office: Office) -> None:
    api, ticket = each_office.api(), each_office.ticket()
    reply = api.post(f"/tickets/{ticket.number}/entries", json={"kind": "reply", "text": "Please try again."})
    assert reply.status_code == 201, reply.text
    assert (reply.json()["visibility"], reply.json()["medium"], reply.json()["attachments"]) == ("customer", "mail", [])
    note = api.post(f"/tickets/{ticket.number}/entries", json={"kind": "note", "text": "Looks like the spooler."})
    assert note.status_code == 201 and note.json()["visibility"] == "internal" and note.json()["author_name"] == "Technician"
    with each_office.whole.database.read() as unit:
        mails = unit.db.scalars(select(OutgoingMail).where(OutgoingMail.ticket_id == ticket.id)).all()
    assert [(mail.purpose, mail.to_address) for mail in mails] == [("ticket.reply", each_office.contact.email)]
    assert api.get(f"/tickets/{ticket.number}").json()["status"] == "open"


def test_an_entry_that_cannot_be_is_refused(office: Office) -> None:
    api, number = office.api(), office.ticket().number
    for body, field in (({"kind": "note", "text": ""}, "text"), ({"kind": "note", "text": " \n"}, "text"), ({"kind": "call", "text": "a"}, "kind"),
                        ({"kind": "note"}, "text"), ({"kind": "note", "text": "a", "to": "b@c.example"}, "to")):
        problem(api.post(f"/tickets/{number}/entries", json=body), 422, "invalid_input", field)
    nobody = api.post("/tickets", json={"subject": "Nobody to answer", "text": "Found in a log."}).json()["number"]
    problem(api.post(f"/tickets/{nobody}/entries", json={"kind": "reply", "text": "Hello"}), 422, "invalid_input", "to")
    problem(office.api("auditor").post(f"/tickets/{number}/entries", json={"kind": "note", "text": "a"}), 403, "forbidden")


def test_the_timeline_pages_back_to_its_beginning(each_office: Office) -> None:
    api, number = each_office.api(), each_office.ticket().number
    for count in range(6):
        assert api.post(f"/tickets/{number}/entries", json={"kind": "note", "text": f"Note {count}"}).status_code == 201
    pages = list(walk(api, f"/tickets/{number}/entries", limit=3))
    assert [[item["seq"] for item in page] for page in pages] == [[5, 6, 7], [2, 3, 4], [1]]


def test_a_ticket_is_changed_only_from_the_version_that_was_read(each_office: Office) -> None:
    api, path = each_office.api(), f"/tickets/{each_office.ticket().number}"
    tag = api.get(path).headers["etag"]
    changed = api.patch(path, json={"status": "waiting_customer", "subject": "Tray 2 jams", "urgency": "high", "assignee": "technician@desk.example"},
                        headers={"If-Match": tag})
    assert changed.status_code == 200, changed.text
    ticket = changed.json()
    assert (ticket["status"], ticket["subject"], ticket["priority"], ticket["assignee_id"]) == (
        "waiting_customer", "Tray 2 jams", 2, each_office.people["technician"].id)
    assert changed.headers["etag"] == f'"{ticket["version"]}"' != tag
    problem(api.patch(path, json={"status": "open"}, headers={"If-Match": tag}), 412, "outdated")
    assert api.get(path).json()["status"] == "waiting_customer"
    assert api.patch(path, json={"assignee": None}, headers={"If-Match": changed.headers["etag"]}).json()["assignee_id"] is None


def test_a_change_happens_whole_or_not_at_all(each_office: Office) -> None:
    api, path = each_office.api(), f"/tickets/{each_office.ticket().number}"
    before = api.get(path).json()
    problem(api.patch(path, json={"subject": "New subject", "status": "waiting_until"}), 422, "invalid_input", "wait_until")
    problem(api.patch(path, json={"subject": "New subject", "priority": 1}), 422, "invalid_input", "reason")
    problem(api.patch(path, json={"subject": "New subject", "assignee": "nobody@desk.example"}), 422, "invalid_input", "assignee")
    problem(api.patch(path, json={"subject": "New subject", "assignee": "auditor@desk.example"}), 422, "invalid_input", "assignee")
    problem(api.patch(path, json={"subject": "New subject", "status": "new"} | {"status": "done"}), 422, "invalid_input", "status")
    assert api.get(path).json() == before
    assert api.patch(path, json={"status": "closed"}).status_code == 200
    problem(api.patch(path, json={"subject": "Late", "status": "waiting_customer"}), 409, "conflict")
    assert api.get(path).json()["subject"] == before["subject"]


def test_a_ticket_moves_to_another_queue_and_out_of_sight(office: Office) -> None:
    number = office.ticket().number
    assert office.api("stranger").get(f"/tickets/{number}").status_code == 404
    assert office.api().patch(f"/tickets/{number}", json={"queue": "Other queue"}).json()["queue"] == "Other queue"
    problem(office.api().get(f"/tickets/{number}"), 404, "not_found")
    assert office.api("stranger").get(f"/tickets/{number}").status_code == 200
    assert office.api("lead").get(f"/tickets/{number}").status_code == 200


def test_lists_of_tickets_filter_and_page(each_office: Office) -> None:
    with each_office.whole.database.write() as unit:
        queue = make_queue(unit, each_office.people["technician"])
        made = [make_ticket(unit, queue, contact=each_office.contact, number=old_number()).number for _ in range(5)]
    api = each_office.api()
    assert api.patch(f"/tickets/{made[0]}", json={"status": "resolved"}).status_code == 200
    assert api.patch(f"/tickets/{made[1]}", json={"assignee": "technician@desk.example"}).status_code == 200
    pages = list(walk(api, "/tickets", limit=2, queue=queue.name))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(item["number"] for page in pages for item in page) == sorted(made)

    def numbers(**params: object) -> set[str]:
        return {item["number"] for item in api.get("/tickets", params={"queue": queue.name, "limit": 200, **params}).json()["items"]}

    assert numbers(status="resolved") == {made[0]}
    assert numbers(status=["resolved", "open"]) == {made[0], made[1]}
    assert numbers(assignee="technician@desk.example") == {made[1]}
    assert numbers(assignee="none") == set(made) - {made[1]}
    assert numbers(contact_id=each_office.contact.id, organisation_id=each_office.organisation.id) == set(made)
    assert each_office.api("stranger").get("/tickets", params={"queue": queue.name}).json() == {"items": [], "next": None}
    problem(api.get("/tickets", params={"queue": "Nowhere"}), 422, "invalid_input", "queue")
    problem(api.get("/tickets", params={"status": "done"}), 422, "invalid_input", "status.0")


def test_take_next_gives_the_most_urgent_ticket_and_says_why(each_office: Office) -> None:
    stranger = each_office.api("stranger")
    while stranger.post("/tickets/take-next").status_code == 200:
        pass
    problem(stranger.post("/tickets/take-next"), 404, "not_found")
    with each_office.whole.database.write() as unit:
        make_ticket(unit, each_office.other_queue, priority=4, number=old_number())
        urgent = make_ticket(unit, each_office.other_queue, priority=2, number=old_number())
    taken = stranger.post("/tickets/take-next")
    assert taken.status_code == 200, taken.text
    assert taken.json()["ticket"]["number"] == urgent.number and taken.json()["ticket"]["assignee_id"] == each_office.stranger.id
    assert "P2" in taken.json()["why"]
    problem(each_office.api("auditor").post("/tickets/take-next"), 403, "forbidden")


def test_nobody_reads_tickets_of_others(office: Office) -> None:
    ticket = office.ticket(subject=word())
    problem(office.api("stranger").get(f"/tickets/{ticket.number}"), 404, "not_found")
    problem(office.api("stranger").patch(f"/tickets/{ticket.number}", json={"status": "open"}), 404, "not_found")
    problem(office.api("stranger").post(f"/tickets/{ticket.number}/entries", json={"kind": "note", "text": "a"}), 404, "not_found")
    problem(office.api("administrator").get(f"/tickets/{ticket.number}"), 403, "forbidden")
    problem(office.api("administrator").get("/tickets"), 403, "forbidden")
    problem(office.api("auditor").patch(f"/tickets/{ticket.number}", json={"status": "open"}), 403, "forbidden")
    assert office.api("auditor").get(f"/tickets/{ticket.number}").status_code == 200
