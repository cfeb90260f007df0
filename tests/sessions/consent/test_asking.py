"""What may be asked of whom: machine, account, approver, rates. Each refusal leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from orchestrator.accounts.actor import Role
from orchestrator.accounts.errors import StepUpNeeded
from orchestrator.audit.chain import verify_chain
from orchestrator.audit.models import AuditEntry
from orchestrator.core.errors import AppError, Conflict, Forbidden, InvalidInput, NotFound
from orchestrator.customers.models import ApproverRight, Contact
from orchestrator.notifications.models import OutgoingMail
from orchestrator.tickets.models import Status, Ticket
from sessions.consent.models import ConsentRequest
from sessions.consent.policy import AskedBefore, ConsentHere, TooManyRequests, check_rates, is_paused
from sessions.consent.requests import NoApprover, send_again
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.models import RemoteSession
from tests import builders
from tests.sessions.scene import Scene, build_scene


def refused(scene: Scene, kind: type[AppError], **wish: object) -> AppError:
    with pytest.raises(kind) as caught:
        scene.asked(**wish)
    with scene.database.read() as unit:
        assert unit.db.scalar(select(func.count()).select_from(RemoteSession)) == 0
        assert unit.db.scalar(select(func.count()).select_from(OutgoingMail)) == 0
    return caught.value


def change(scene: Scene, table: type, row_id: str, **values: object) -> None:
    with scene.database.write() as unit:
        row = unit.db.get_one(table, row_id)
        for name, value in values.items():
            setattr(row, name, value)


def test_a_request_is_signed_mailed_and_on_record(scene: Scene) -> None:
    session, token = scene.asked()
    assert session.state == "requested" and len(token) > 40
    assert scene.steps(session.id) == ["requested"]
    with scene.database.read() as unit:
        request = unit.db.scalars(select(ConsentRequest)).one()
        asked = scene.parts.keys.read_request(request.request_jws)
        assert (asked.technician, asked.endpoint_name, asked.user, asked.minutes, asked.scopes) == (
            "Jana Roth", "srv-print-01", "support", 30, ("terminal",))
        assert asked.audience == scene.endpoint.fingerprint and asked.protected is False and asked.administrator is False
        mail = unit.db.scalars(select(OutgoingMail)).one()
        assert mail.to_address == scene.contact.email and "{link}" in mail.text and token not in mail.text
        for words in ("Jana Roth", "srv-print-01", "Restart the print service", "support", "30 minutes", "unprotected"):
            assert words in mail.text
        assert verify_chain(unit, session.id).is_whole
        assert session.due_at == request.expires_at
        assert "session.requested" in set(unit.db.scalars(select(AuditEntry.kind)))


@pytest.mark.parametrize(("wish", "field"), [
    ({"purpose": "  "}, "purpose"), ({"scopes": []}, "scopes"), ({"scopes": ["root"]}, "scopes"), ({"scopes": ["terminal "]}, "scopes"),
    ({"minutes": 0}, "minutes"), ({"minutes": 481}, "minutes"), ({"start_within_minutes": 0}, "start_within_minutes"),
    ({"start_within_minutes": 10081}, "start_within_minutes"),
    ({"recording": "none"}, "recording"), ({"recording": "commands"}, "recording"),
    ({"method": "standing"}, "method"), ({"method": "endpoint"}, "method"), ({"os_user": "root"}, "user"), ({"os_user": "nobody"}, "user"),
])
def test_a_wish_out_of_bounds_names_its_field(light_scene: Scene, wish: dict[str, object], field: str) -> None:
    error = refused(light_scene, InvalidInput, **wish)
    assert isinstance(error, InvalidInput) and error.field == field


def test_an_unprotected_agent_runs_its_own_user_only_and_a_protected_one_what_it_reported(light_scene: Scene) -> None:
    scene = light_scene
    change(scene, Endpoint, scene.endpoint.id, protected=True)
    for user, scopes in (("nobody", ["terminal"]), ("locked", ["terminal"]), ("root", ["terminal"]), ("wheely", ["terminal"])):
        refused(scene, InvalidInput, os_user=user, scopes=scopes)
    session, _ = scene.asked(os_user="wheely", scopes=["terminal.admin"])
    assert session.administrator is True
    with scene.database.read() as unit:
        mail = unit.db.scalars(select(OutgoingMail)).one()
        assert "may become administrator" in mail.text and "unprotected" not in mail.text


@pytest.mark.parametrize(("values", "error"), [
    ({"state": "waiting"}, Conflict), ({"state": "disabled"}, Conflict), ({"endpoint_class": None}, Conflict),
    ({"responsible_kind": None, "responsible_id": None}, Conflict), ({"consent_mode": "here"}, ConsentHere),
])
def test_a_machine_that_is_not_ready_or_wants_to_be_asked_itself_is_refused(
    light_scene: Scene, values: dict[str, object], error: type[AppError],
) -> None:
    change(light_scene, Endpoint, light_scene.endpoint.id, **values)
    refused(light_scene, error)


def test_machine_and_contact_of_another_organisation_look_like_none(light_scene: Scene) -> None:
    scene = light_scene
    with scene.database.write() as unit:
        other = builders.make_organisation(unit)
        machine = builders.make_endpoint(unit, other)
        stranger = builders.make_contact(unit, other)
        builders.make_approver(unit, stranger, scene.lead)
    refused(scene, NotFound, endpoint_id=machine.id)
    refused(scene, NotFound, endpoint_id="nonsense")
    refused(scene, InvalidInput, contact_id=stranger.id)


def test_a_closed_ticket_an_old_proof_and_a_missing_right_stop_the_technician(light_scene: Scene) -> None:
    scene = light_scene
    actor = scene.actor()
    refused(scene, StepUpNeeded, actor=replace(actor, proved_at=None))
    refused(scene, Forbidden, actor=replace(actor, rights=frozenset()))
    change(scene, Ticket, scene.ticket.id, status=Status.CLOSED)
    refused(scene, Conflict)


def test_without_a_usable_right_nobody_is_asked(light_scene: Scene) -> None:
    scene = light_scene
    with scene.database.write() as unit:
        right = unit.db.scalars(select(ApproverRight)).one()
        unit.db.expunge(right)
    now = scene.clock.moment
    refused(scene, NoApprover, scopes=["terminal", "desktop.view"])
    refused(scene, NoApprover, scopes=["files.read:/etc"])
    for values in ({"ended_at": now}, {"suspended_at": now}, {"until": now}, {"ticket_id": scene.queue.id}, {"scopes": ["diagnostics"]}):
        kept = {name: getattr(right, name) for name in values}
        change(scene, ApproverRight, right.id, **values)
        refused(scene, NoApprover)
        change(scene, ApproverRight, right.id, **kept)
    for values in ({"left_at": now}, {"email_changed_at": now}, {"email_bounced_at": now}):
        change(scene, Contact, scene.contact.id, **values)
        refused(scene, NoApprover)
        change(scene, Contact, scene.contact.id, **dict.fromkeys(values))
    assert scene.asked()[0].state == "requested"


def test_a_technician_who_adds_his_own_address_as_contact_is_refused(light_scene: Scene) -> None:
    scene = light_scene
    with scene.database.write() as unit:
        own = builders.make_contact(unit, scene.organisation, email=scene.technician.email)
        builders.make_approver(unit, own, scene.lead)
    refused(scene, NoApprover, contact_id=own.id)


def test_whoever_gave_the_right_may_not_lead_unless_the_rule_rests(light_scene: Scene) -> None:
    scene = light_scene
    leading_lead = scene.actor(scene.lead)
    refused(scene, NoApprover, actor=leading_lead)
    with scene.database.write() as unit:
        builders.make_approver(unit, scene.contact, scene.lead, ticket_id=scene.ticket.id, reason="On the phone at night")
    session, _ = scene.asked(actor=leading_lead)
    with scene.database.read() as unit:
        request = unit.db.scalars(select(ConsentRequest).where(ConsentRequest.session_id == session.id)).one()
        assert "one ticket" in request.rule_rested


def test_on_a_one_person_desk_the_rule_rests_and_the_request_says_so(sqlite_settings, sqlite_database) -> None:  # type: ignore[no-untyped-def]
    scene = build_scene(sqlite_settings, sqlite_database, sqlite_database, single_person=True)
    session, _ = scene.asked(actor=scene.actor(scene.lead))
    with scene.database.read() as unit:
        request = unit.db.scalars(select(ConsentRequest).where(ConsentRequest.session_id == session.id)).one()
        assert "fewer than two people" in request.rule_rested


def test_three_open_mails_and_six_an_hour_are_the_limits(scene: Scene) -> None:
    for _ in range(3):
        scene.asked()
    with pytest.raises(TooManyRequests):
        scene.asked()
    scene.now_later(minutes=61)
    assert scene.asked()[0].state == "requested"


def test_ten_requests_in_an_hour_stop_at_six(light_scene: Scene) -> None:
    scene = light_scene
    sent = 0
    for _ in range(10):
        scene.now_later(minutes=1)
        try:
            _session, token = scene.asked()
        except TooManyRequests:
            continue
        sent += 1
        scene.decide(token)
    assert sent == 6


def test_a_mail_sent_again_counts_and_its_old_link_decides_no_more(light_scene: Scene) -> None:
    scene = light_scene
    session, old = scene.asked()
    with scene.database.write() as unit:
        request_id = unit.db.scalars(select(ConsentRequest.id)).one()
        with pytest.raises(Forbidden):
            send_again(unit, scene.actor(scene.lead), request_id, services=scene.parts)
    for _ in range(5):
        scene.now_later(seconds=1)
        with scene.database.write() as unit:
            send_again(unit, scene.actor(), request_id, services=scene.parts)
    with scene.database.write() as unit, pytest.raises(TooManyRequests):
        send_again(unit, scene.actor(), request_id, services=scene.parts)
    with pytest.raises(Conflict):
        scene.decide(old)
    with scene.database.read() as unit:
        new = scene.token_of(unit, session)
    assert scene.decide(new).session.state == "approved"


def test_two_denials_in_a_row_pause_an_hour_and_tell_the_lead(scene: Scene) -> None:
    for _ in range(2):
        scene.now_later(minutes=1)
        scene.decide(scene.asked()[1], approve=False)
    with pytest.raises(TooManyRequests):
        scene.asked()
    with scene.database.read() as unit:
        told = list(unit.db.scalars(select(OutgoingMail).where(OutgoingMail.purpose == "consent.paused")))
        assert scene.lead.email in {mail.to_address for mail in told} and len(told) == 2
        assert "denied remote access twice" in told[0].text
    scene.now_later(minutes=60)
    assert scene.asked()[0].state == "requested"


def test_a_yes_between_two_denials_does_not_pause(light_scene: Scene) -> None:
    scene = light_scene
    for approve in (False, True, False):
        scene.now_later(minutes=1)
        scene.decide(scene.asked()[1], approve=approve)
    assert scene.asked()[0].state == "requested"


def test_rates_are_pure_and_exact_at_their_bounds(light_scene: Scene) -> None:
    now = light_scene.clock.moment
    check_rates(AskedBefore(2, 5, [("deny", now)]), now)
    for bad in (AskedBefore(3, 0, []), AskedBefore(0, 6, []), AskedBefore(0, 0, [("deny", now), ("deny", now)])):
        with pytest.raises(TooManyRequests):
            check_rates(bad, now)
    assert not is_paused([("deny", now), ("approve", now)], now)


def test_only_a_user_asks(light_scene: Scene) -> None:
    with light_scene.database.write() as unit:
        auditor = builders.make_user(unit, roles=(Role.AUDITOR,))
        administrator = builders.make_user(unit, roles=(Role.ADMINISTRATOR,))
    for user in (auditor, administrator):
        refused(light_scene, Forbidden, actor=light_scene.actor(user))
