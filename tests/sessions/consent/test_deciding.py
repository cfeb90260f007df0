"""Answering by link: the common real cases of consent by mail, on both databases where two may meet."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from agents.protocol.signatures import DocumentType, PublicKey, hash_document, read_jws
from orchestrator.audit.chain import verify_chain
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput
from orchestrator.customers.models import ApproverRight, Contact
from orchestrator.intake.events import OwnLinksSeen
from orchestrator.notifications.events import MailBounced
from orchestrator.notifications.models import OutgoingMail
from orchestrator.tickets.events import TicketClosed
from orchestrator.tickets.models import Entry, Status, Ticket
from sessions.consent.links import LinkUnknown, burn_link, hash_token, note_fetch, open_link
from sessions.consent.models import Consent, ConsentLink, ConsentRequest
from sessions.consent.policy import CallBackNeeded
from sessions.consent.service import AlreadyDecided, DecisionOver, ask_question, record_call_back, stop_by_link
from sessions.endpoints.models import Endpoint
from tests.sessions.scene import Scene


def change(scene: Scene, table: type, row_id: str, **values: object) -> None:
    with scene.database.write() as unit:
        row = unit.db.get_one(table, row_id)
        for name, value in values.items():
            setattr(row, name, value)


def test_a_yes_opens_the_start_window_and_signs_a_receipt(scene: Scene) -> None:
    session, token = scene.asked(start_within_minutes=60)
    decided = scene.decide(token, address="203.0.113.7")
    assert (decided.session.state, decided.session.granted_scopes, decided.session.granted_seconds) == ("approved", ["terminal"], 1800)
    assert decided.session.start_by_at == scene.clock.moment + timedelta(minutes=60) == decided.session.due_at
    receipt = scene.parts.keys.read_receipt(decided.consent.receipt_jws)
    assert receipt["answer"]["link_went_to"] == scene.contact.email and receipt["event"]["state"] == "given"
    assert receipt["server"]["key"] == scene.parts.keys.fingerprint
    assert receipt["request"]["sha256"] == hash_document(decided.request.request_jws)
    assert scene.steps(session.id) == ["requested", "approved"]
    with scene.database.read() as unit:
        assert verify_chain(unit, session.id).is_whole
        mail = unit.db.scalars(select(OutgoingMail).where(OutgoingMail.purpose == "consent.receipt")).one()
        assert mail.to_address == scene.contact.email and hash_document(decided.consent.receipt_jws) in mail.text


def test_a_receipt_has_the_mandatory_fields_and_verifies_with_the_public_key_alone(light_scene: Scene) -> None:
    decided = light_scene.decide(light_scene.asked()[1])
    receipt = read_jws(decided.consent.receipt_jws, PublicKey.from_text(light_scene.parts.keys.public.text), DocumentType.RECEIPT)
    for path in ("schema", "record_id", "language", "pii_principal.person", "privacy_notice.sha256", "processing.purpose.text",
                 "processing.lawful_basis", "processing.pii_information", "processing.controllers", "processing.storage_location",
                 "processing.retention", "processing.jurisdiction", "processing.recipients", "processing.withdrawal", "parties",
                 "event.time",
                 "event.validity_seconds", "event.entity", "event.type", "event.state"):
        value: object = receipt
        for part in path.split("."):
            assert isinstance(value, dict)
            value = value[part]
        assert value, path


def test_a_no_ends_it_with_the_reason_and_a_receipt(scene: Scene) -> None:
    session, token = scene.asked()
    decided = scene.decide(token, approve=False, reason="Not today")
    assert (decided.session.state, decided.consent.reason, decided.consent.scopes) == ("denied", "Not today", [])
    assert scene.parts.keys.read_receipt(decided.consent.receipt_jws)["event"]["state"] == "refused"
    assert decided.session.due_at is None and scene.session(session.id).end_reason == "denied"


def test_fetching_by_a_scanner_changes_nothing_but_the_note(scene: Scene) -> None:
    session, token = scene.asked()
    with scene.database.write() as unit:
        assert note_fetch(unit, token) is True
    with scene.database.write() as unit:
        assert note_fetch(unit, token) is False
        assert open_link(unit, token).request.state == "open"
    assert scene.session(session.id).state == "requested"
    assert scene.decide(token).session.state == "approved"


def test_time_and_scopes_can_be_narrowed_never_widened(scene: Scene) -> None:
    _, token = scene.asked(scopes=["terminal", "files.read:/var/log"])
    for bad in ({"scopes": ["terminal", "terminal.admin"]}, {"scopes": ["files.read:/var"]}, {"scopes": []}, {"minutes": 31},
                {"minutes": 0}, {"scopes": ["nonsense"]}):
        with pytest.raises(InvalidInput):
            scene.decide(token, **bad)
    decided = scene.decide(token, scopes=["files.read:/var/log/nginx"], minutes=10)
    assert (decided.consent.scopes, decided.consent.max_seconds) == (["files.read:/var/log/nginx"], 600)
    assert decided.session.granted_seconds == 600


def test_a_link_used_twice_decides_once(scene: Scene) -> None:
    session, token = scene.asked()
    scene.decide(token)
    for approve in (True, False):
        with pytest.raises(AlreadyDecided):
            scene.decide(token, approve=approve)
    assert scene.session(session.id).state == "approved"


def test_two_browsers_at_once_make_exactly_one_decision(scene: Scene) -> None:
    session, token = scene.asked()
    start, results = threading.Barrier(6), []

    def answer(approve: bool) -> None:
        start.wait(20)
        try:
            results.append(scene.decide(token, approve=approve).consent.decision)
        except AlreadyDecided:
            results.append("refused")

    threads = [threading.Thread(target=answer, args=(number % 2 == 0,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results.count("refused") == 5
    with scene.database.read() as unit:
        consent = unit.db.scalars(select(Consent)).one()
        assert scene.session(session.id).state == {"approve": "approved", "deny": "denied"}[consent.decision]
        assert unit.db.scalar(select(func.count()).select_from(OutgoingMail).where(OutgoingMail.purpose == "consent.receipt")) == 1
        assert verify_chain(unit, session.id).is_whole


def test_after_its_time_the_link_decides_nothing(light_scene: Scene) -> None:
    session, token = light_scene.asked()
    light_scene.now_later(minutes=60)
    with pytest.raises(DecisionOver):
        light_scene.decide(token)
    assert light_scene.session(session.id).state == "requested"


def test_after_the_ticket_closed_nothing_can_be_allowed(scene: Scene) -> None:
    session, token = scene.asked()
    with scene.database.write() as unit:
        unit.db.get_one(Ticket, scene.ticket.id).status = Status.CLOSED
        unit.emit(TicketClosed(scene.ticket.id))
    assert (scene.session(session.id).state, scene.session(session.id).end_reason) == ("cancelled", "ticket_closed")
    with pytest.raises(DecisionOver):
        scene.decide(token)


def test_a_burned_link_shows_state_but_decides_nothing(scene: Scene) -> None:
    session, token = scene.asked()
    with scene.database.write() as unit:
        assert burn_link(unit, hash_token(token)) is True
        assert burn_link(unit, hash_token("never made")) is False
    for approve in (True, False):
        with pytest.raises(DecisionOver):
            scene.decide(token, approve=approve)
    with scene.database.read() as unit:
        assert open_link(unit, token).session.id == session.id


def test_a_link_burned_after_the_decision_still_stops(scene: Scene) -> None:
    session, token = scene.approved()
    with scene.database.write() as unit:
        burn_link(unit, hash_token(token))
    with scene.database.write() as unit:
        stop_by_link(unit, token)
    assert scene.session(session.id).state == "cancelled"


def test_stopping_twice_and_after_the_end_is_harmless_and_the_link_dies_after_thirty_days(light_scene: Scene) -> None:
    scene = light_scene
    session, token = scene.approved()
    for _ in range(2):
        with scene.database.write() as unit:
            stop_by_link(unit, token)
    with scene.database.read() as unit:
        consent = unit.db.scalars(select(Consent)).one()
        assert consent.withdrawn_at == scene.clock.moment
    scene.now_later(days=29)
    with scene.database.read() as unit:
        open_link(unit, token)
    scene.now_later(days=1)
    with scene.database.write() as unit, pytest.raises(LinkUnknown):
        stop_by_link(unit, token)
    assert scene.steps(session.id) == ["requested", "approved", "ended"]


def test_an_open_request_is_denied_not_stopped(light_scene: Scene) -> None:
    session, token = light_scene.asked()
    with light_scene.database.write() as unit, pytest.raises(Conflict):
        stop_by_link(unit, token)
    assert light_scene.session(session.id).state == "requested"


def test_the_approver_who_has_left_is_denied_with_the_reason_stored(scene: Scene) -> None:
    cases = [
        (Contact, scene.contact.id, {"left_at": scene.clock.moment}), (Contact, scene.contact.id, {"email": "new@muster.example"}),
        (Endpoint, scene.endpoint.id, {"protected": True}), (Endpoint, scene.endpoint.id, {"state": "disabled"}),
        (Endpoint, scene.endpoint.id, {"consent_mode": "here"}), (Endpoint, scene.endpoint.id, {"accounts": {}}),
    ]
    with scene.database.read() as unit:
        right = unit.db.scalars(select(ApproverRight)).one()
    cases.append((ApproverRight, right.id, {"ended_at": scene.clock.moment}))
    for number, (table, row_id, values) in enumerate(cases):
        scene.now_later(hours=2)
        session, token = scene.asked()
        with scene.database.read() as unit:
            row = unit.db.get_one(table, row_id)
            kept = {name: getattr(row, name) for name in values}
        change(scene, table, row_id, **values)
        decided = scene.decide(token)
        assert (decided.consent.decision, decided.session.state) == ("deny", "denied"), number
        assert decided.consent.reason and scene.parts.keys.read_receipt(decided.consent.receipt_jws)["answer"]["reason"]
        assert scene.session(session.id).granted_scopes is None
        change(scene, table, row_id, **kept)


def test_a_permanent_bounce_that_quotes_the_link_withdraws_the_request(scene: Scene) -> None:
    session, token = scene.asked()
    with scene.database.write() as unit:
        mail = unit.db.scalars(select(OutgoingMail).where(OutgoingMail.purpose == "consent.request")).one()
        burn_link(unit, hash_token(token))
        unit.emit(MailBounced(mail.id, permanent=False))
        assert unit.db.scalars(select(ConsentRequest)).one().state == "open"
        unit.emit(MailBounced(mail.id, permanent=True))
    assert (scene.session(session.id).state, scene.session(session.id).end_reason) == ("cancelled", "bounced")
    with scene.database.read() as unit:
        request = unit.db.scalars(select(ConsentRequest)).one()
        assert request.state == "withdrawn" and request.bounced_at is not None
        assert unit.db.scalars(select(ApproverRight)).one().suspended_at is not None


def test_asking_first_writes_on_the_ticket_and_leaves_the_request_open(scene: Scene) -> None:
    session, token = scene.asked()
    for _ in range(5):
        with scene.database.write() as unit:
            ask_question(unit, token, question="Why now?\nAnd who?", address="203.0.113.9")
    with scene.database.write() as unit, pytest.raises(Conflict):
        ask_question(unit, token, question="And another one?")
    with scene.database.write() as unit, pytest.raises(InvalidInput):
        ask_question(unit, token, question="  \x00 ")
    with scene.database.read() as unit:
        entries = list(unit.db.scalars(select(Entry).where(Entry.kind == "message", Entry.text == "Why now?\nAnd who?")))
        assert len(entries) == 5 and entries[0].author_name == "Erika Beispiel"
    assert scene.session(session.id).state == "requested"
    assert scene.decide(token).session.state == "approved"


def test_a_shared_mailbox_names_the_person_and_gives_no_administrator_rights_without_a_call_back(scene: Scene) -> None:
    change(scene, Contact, scene.contact.id, shared_mailbox=True, phone="+4930123456")
    change(scene, Endpoint, scene.endpoint.id, accounts={"support": {"login_allowed": True, "may_become_root": True}})
    _, token = scene.asked(scopes=["terminal.admin", "files.read:/var/log"])
    with pytest.raises(InvalidInput) as caught:
        scene.decide(token)
    assert caught.value.field == "name"
    with pytest.raises(CallBackNeeded):
        scene.decide(token, name_given="Erika")
    with scene.database.write() as unit:
        request_id = unit.db.scalars(select(ConsentRequest.id)).one()
        for actor, error in ((scene.actor(), Forbidden), (scene.actor(scene.lead), InvalidInput)):
            with pytest.raises(error):
                record_call_back(unit, actor, request_id, person_name=" ")
        record_call_back(unit, scene.actor(scene.lead), request_id, person_name="Erika Beispiel")
    decided = scene.decide(token, name_given="Erika B.")
    receipt = scene.parts.keys.read_receipt(decided.consent.receipt_jws)
    assert decided.session.state == "approved" and receipt["pii_principal"]["name_given"] == "Erika B."
    assert receipt["pii_principal"]["name"] == f"holder of {scene.contact.email}"
    assert receipt["answer"]["call_back"]["person"] == "Erika Beispiel" and receipt["answer"]["call_back"]["by"] == "Lea Lead"


def test_a_shared_mailbox_gives_the_rest_without_a_call_back(light_scene: Scene) -> None:
    scene = light_scene
    change(scene, Contact, scene.contact.id, shared_mailbox=True)
    change(scene, Endpoint, scene.endpoint.id, accounts={"support": {"login_allowed": True, "may_become_root": True}})
    _, token = scene.asked(scopes=["terminal.admin", "files.read:/var/log"])
    assert scene.decide(token, scopes=["files.read:/var/log"], name_given="Erika").session.granted_scopes == ["files.read:/var/log"]


def test_the_clock_tick_counts_only_where_the_request_says_that_the_clock_is_wrong(light_scene: Scene) -> None:
    scene = light_scene
    assert scene.decide(scene.asked()[1], clock_is_wrong=True).consent.clock_is_wrong is False
    change(scene, Endpoint, scene.endpoint.id, clock_offset_seconds=-4000.0)
    scene.now_later(minutes=1)
    _, token = scene.asked()
    assert scene.decide(token, clock_is_wrong=True).consent.clock_is_wrong is True


def test_the_token_is_in_no_table(light_scene: Scene) -> None:
    scene = light_scene
    _, token = scene.approved()
    with scene.database.read() as unit:
        connection = unit.db.connection()
        tables = [row[0] for row in connection.exec_driver_sql("select name from sqlite_master where type = 'table'")]
        for table in tables:
            for row in connection.exec_driver_sql(f'select * from "{table}"'):
                assert token not in " ".join(value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in row), table
        assert unit.db.scalars(select(ConsentLink)).one().token_hash == hash_token(token)


def test_an_answer_that_quotes_the_link_burns_it_and_the_ticket_says_so(scene: Scene) -> None:
    session, token = scene.asked()
    decided, done = scene.approved()
    with scene.database.write() as unit:
        unit.emit(OwnLinksSeen((hash_token(token), hash_token(done), hash_token("unknown")), scene.ticket.id))
    with pytest.raises(DecisionOver):
        scene.decide(token)
    assert scene.steps(session.id) == ["requested", "link_burned"] and "link_burned" not in scene.steps(decided.id)
    with scene.database.write() as unit:
        assert stop_by_link(unit, done).state == "cancelled"
        assert verify_chain(unit, session.id).is_whole
