"""A POST with an Idempotency-Key has one effect, however often it is sent, also at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select, update

from orchestrator.accounts.models import IdempotencyKey
from orchestrator.core.ids import new_id
from orchestrator.customers.models import Contact, Organisation
from orchestrator.notifications.models import OutgoingMail
from orchestrator.tickets.models import Ticket
from sessions.endpoints.models import EnrolmentToken
from tests.builders import make_queue
from tests.web.api.office import Office, problem, word
from web.api.idempotency import SWEPT_AT_ONCE


def _key() -> dict[str, str]:
    return {"Idempotency-Key": new_id()}


def test_the_same_key_gets_the_first_answer_again(each_office: Office) -> None:
    api, name, key = each_office.api(), word(), _key()
    body = {"subject": name, "text": "Once", "contact_id": each_office.contact.id}
    first = api.post("/tickets", json=body, headers=key)
    again = api.post("/tickets", json=body, headers=key)
    assert first.status_code == again.status_code == 201
    assert again.content == first.content and again.headers["etag"] == first.headers["etag"] == '"1"'
    assert "idempotency-replayed" not in first.headers and again.headers["idempotency-replayed"] == "true"
    assert each_office.number_of(Ticket, Ticket.subject == name) == 1
    assert each_office.number_of(OutgoingMail, OutgoingMail.ticket_id == first.json()["id"]) == 1
    other = api.post("/tickets", json=body, headers=_key())
    assert other.status_code == 201 and other.json()["id"] != first.json()["id"]


def test_a_key_is_for_one_request(each_office: Office) -> None:
    api, key = each_office.api(), _key()
    assert api.post("/organisations", json={"name": word()}, headers=key).status_code == 201
    problem(api.post("/organisations", json={"name": word()}, headers=key), 409, "idempotency_key_used")
    problem(api.post("/contacts", json={"name": word()}, headers=key), 409, "idempotency_key_used")


def test_a_key_belongs_to_the_token_that_used_it(office: Office) -> None:
    key, body = _key(), {"name": word()}
    first = office.api("technician").post("/organisations", json=body, headers=key)
    other = office.api("lead").post("/organisations", json=body, headers=key)
    again = office.api("technician", "customers:read", "customers:write").post("/organisations", json=body, headers=key)
    assert len({answer.json()["id"] for answer in (first, other, again)}) == 3


def test_many_requests_with_one_key_at_once_have_one_effect(each_office: Office) -> None:
    name, key = word(), _key()
    headers = each_office.whole.token_of(each_office.people["technician"], "all") | key
    body = {"subject": name, "text": "Once", "contact": {"name": name, "email": f"{name}@muster.example"}}

    def send(_number: int) -> httpx.Response:
        return httpx.post(f"{each_office.whole.url}/api/v1/tickets", json=body, headers=headers, timeout=30)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["number"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert each_office.number_of(Ticket, Ticket.subject == name) == 1
    assert each_office.number_of(Contact, Contact.email == f"{name}@muster.example") == 1


def test_many_requests_with_their_own_keys_all_have_effect(each_office: Office) -> None:
    name = word()
    headers = each_office.whole.token_of(each_office.people["technician"], "all")

    def send(_number: int) -> httpx.Response:
        return httpx.post(f"{each_office.whole.url}/api/v1/tickets", json={"subject": name, "text": "Each"}, headers=headers | _key(), timeout=30)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(16)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["number"] for answer in answers}) == 16 == each_office.number_of(Ticket, Ticket.subject == name)


def test_a_request_that_failed_may_be_repeated_with_its_key(each_office: Office) -> None:
    api, key, queue = each_office.api(), _key(), word()
    body = {"subject": "Later", "text": "When there is the queue", "queue": queue}
    problem(api.post("/tickets", json=body, headers=key), 422, "invalid_input", "queue")
    with each_office.whole.database.write() as unit:
        make_queue(unit, name=queue)
    made = api.post("/tickets", json=body, headers=key)
    assert made.status_code == 201 and "idempotency-replayed" not in made.headers


def test_a_key_is_forgotten_after_a_day(each_office: Office) -> None:
    api, name, key = each_office.api(), word(), _key()
    first = api.post("/organisations", json={"name": name}, headers=key).json()["id"]
    with each_office.whole.database.write() as unit:
        unit.db.execute(update(IdempotencyKey).values(created_at=unit.now - timedelta(days=1, seconds=1)))
    second = api.post("/organisations", json={"name": name}, headers=key)
    assert second.status_code == 201 and second.json()["id"] != first
    assert each_office.number_of(Organisation, Organisation.name == name) == 2
    assert each_office.number_of(IdempotencyKey) == 1, "the others of yesterday were swept"


def test_a_key_too_old_to_be_swept_yet_counts_as_new(office: Office) -> None:
    api, name, key = office.api(), word(), _key()
    first = api.post("/organisations", json={"name": name}, headers=key).json()["id"]
    with office.whole.database.write() as unit:
        mine = unit.db.scalars(select(IdempotencyKey).where(IdempotencyKey.key == key["Idempotency-Key"])).one()
        mine.created_at = unit.now - timedelta(days=2)
        unit.db.add_all(IdempotencyKey(owner="somebody", key=f"{name}{number}", request_hash="", status=200, body=b"",
                                       created_at=unit.now - timedelta(days=9)) for number in range(SWEPT_AT_ONCE * 2))
    second = api.post("/organisations", json={"name": name}, headers=key).json()["id"]
    assert second != first
    assert api.post("/organisations", json={"name": name}, headers=key).json()["id"] == second


def test_an_enrolment_token_is_repeated_but_not_readable_in_the_database(each_office: Office) -> None:
    api, key = each_office.api(), _key()
    body = {"organisation_id": each_office.organisation.id, "uses": 7}
    first = api.post("/enrolment-tokens", json=body, headers=key)
    assert first.status_code == 201, first.text
    assert api.post("/enrolment-tokens", json=body, headers=key).json() == first.json()
    assert each_office.number_of(EnrolmentToken, EnrolmentToken.uses_left == 7) == 1
    secret = first.json()["token"].split(".")[1]
    with each_office.whole.database.read() as unit:
        kept = unit.db.scalars(select(IdempotencyKey).where(IdempotencyKey.key == key["Idempotency-Key"])).one()
    assert secret.encode() not in kept.body and b"token" not in kept.body


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_has_a_length(office: Office, key: str) -> None:
    problem(office.api().post("/organisations", json={"name": word()}, headers={"Idempotency-Key": key}), 422, "invalid_input")


def test_take_next_with_a_key_takes_one_ticket(office: Office) -> None:
    for _ in range(2):
        office.ticket(priority=1)
    key = _key()
    first, again = office.api().post("/tickets/take-next", headers=key), office.api().post("/tickets/take-next", headers=key)
    assert first.status_code == again.status_code == 200 and first.json() == again.json()
