"""A session's life through the services: grants, suspension, every way to end, the clock, the summary."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from agents.protocol.errors import GrantRefused
from agents.protocol.grants import AgentView, check_grant, read_grant
from agents.protocol.signatures import encode_base64url, hash_document
from orchestrator.accounts.actor import SYSTEM, Actor, ActorKind, Role
from orchestrator.accounts.events import LoginRevoked, RolesChanged, TokenRevoked, UserDisabled
from orchestrator.accounts.models import User
from orchestrator.audit.chain import verify_chain
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict, Forbidden, NotFound
from orchestrator.customers.events import ApproverWithdrawn, ContactChanged
from orchestrator.customers.models import ApproverRight, Contact
from orchestrator.tickets.events import TicketChanged, TicketClosed, TicketOrganisationChanged
from orchestrator.tickets.models import Entry, Follower, Ticket
from orchestrator.tickets.queues import remove_member
from orchestrator.tickets.service import lock_ticket
from sessions.consent.grants import ConsentOver, SignedGrant, sign_grant
from sessions.consent.models import Consent, ConsentLink, ConsentRequest
from sessions.consent.service import Answer, decide, stop_by_link
from sessions.endpoints.models import Endpoint
from sessions.endpoints.service import disable_endpoint
from sessions.lifecycle.clock import SessionClock
from sessions.lifecycle.events import GrantRevoked, MoreApproved, SessionEnded, SessionWarned
from sessions.lifecycle.models import ChannelRow, RemoteSession
from sessions.lifecycle.queries import events_of, get_session, list_live, list_void_grants
from sessions.lifecycle.reasons import EndReason
from sessions.lifecycle.service import (
    begin_session,
    cancel_session,
    end_session,
    renew_grant,
    request_more,
    resume_session,
    suspend_holder,
    suspend_session,
)
from sessions.recording.models import CommandRow
from tests import builders
from tests.sessions.scene import Scene

NONCE = encode_base64url(b"n" * 32)


def sign(scene: Scene, session: RemoteSession) -> SignedGrant:
    with scene.database.write() as unit:
        return sign_grant(unit, scene.actor(), session, nonce=NONCE, keys=scene.parts.keys)


def begin(scene: Scene, session: RemoteSession) -> RemoteSession:
    sign(scene, session)
    with scene.database.write() as unit:
        return begin_session(unit, scene.actor(), session)


def live(scene: Scene, **wish: object) -> tuple[RemoteSession, str]:
    session, token = scene.approved(**wish)
    return begin(scene, session), token


def tick(scene: Scene) -> list[str]:
    """Let the clock look once, as the job runner does."""
    clock = SessionClock(scene.database, scene.parts)
    with scene.database.write() as unit:
        ids = list(clock.claim(unit, lease_until=unit.now + timedelta(minutes=2), limit=10))
    for session_id in ids:
        clock.perform(session_id)
    return ids


def view_of(scene: Scene, session: RemoteSession, grant: SignedGrant) -> AgentView:
    keys = scene.parts.keys
    return AgentView(server_instance=keys.instance_id, epoch=keys.epoch, fingerprint=scene.endpoint.fingerprint,
                     endpoint_id=scene.endpoint.id,
                     session_id=session.id, issued_nonces=frozenset({NONCE}), request=keys.read_request(grant.request_token),
                     request_sha256=hash_document(grant.request_token), now=scene.clock.moment)


def test_a_grant_passes_the_agents_own_check_and_is_no_wider_than_the_answer(scene: Scene) -> None:
    session, token = scene.asked(scopes=["terminal", "files.read:/var/log"])
    session = scene.decide(token, scopes=["terminal"], minutes=10).session
    grant = sign(scene, session)
    read = read_grant(grant.token, scene.parts.keys.public)
    check_grant(read, view_of(scene, session, grant))
    assert (read.scopes, read.max_seconds, read.user, read.grace_seconds) == (("terminal",), 600, "support", 120)
    assert read.expires_at - read.not_before_at == timedelta(minutes=10)
    with pytest.raises(GrantRefused):
        check_grant(read, AgentView(**{**{name: getattr(view_of(scene, session, grant), name) for name in AgentView.__slots__},
                                       "issued_nonces": frozenset()}))


def test_nothing_is_granted_before_a_yes_after_the_end_or_on_a_changed_machine(light_scene: Scene) -> None:
    scene = light_scene
    session, token = scene.asked()
    with pytest.raises(Conflict):
        sign(scene, session)
    with scene.database.write() as unit, pytest.raises(Conflict):
        begin_session(unit, scene.actor(), session)
    session = scene.decide(token).session
    with scene.database.write() as unit:
        unit.db.get_one(Endpoint, scene.endpoint.id).protected = True
    with pytest.raises(ConsentOver) as refused:
        sign(scene, session)
    assert refused.value.end_reason is EndReason.ENDPOINT_CHANGED
    with scene.database.write() as unit:
        unit.db.get_one(Endpoint, scene.endpoint.id).protected = False
        stop_by_link(unit, token)
    with pytest.raises(Conflict):
        sign(scene, session)


def let_the_right_run_out(scene: Scene, unit: WriteUnit) -> None:
    unit.db.execute(update(ApproverRight).values(until=unit.now))


def change_the_address(scene: Scene, unit: WriteUnit) -> None:
    unit.db.get_one(Contact, scene.contact.id).email = "other@muster.example"


def close_the_ticket(scene: Scene, unit: WriteUnit) -> None:
    unit.db.get_one(Ticket, scene.ticket.id).status = "closed"


@pytest.mark.parametrize(("change", "reason"), [
    (let_the_right_run_out, EndReason.CONTACT_CHANGED), (change_the_address, EndReason.CONTACT_CHANGED),
    (close_the_ticket, EndReason.TICKET_CLOSED)])
def test_a_yes_is_worth_nothing_when_what_it_stood_on_has_gone_before_the_start(
        light_scene: Scene, change: Callable[[Scene, WriteUnit], None], reason: EndReason) -> None:
    session, _ = light_scene.approved()
    with light_scene.database.write() as unit:
        change(light_scene, unit)  # as a lost event would leave it: nobody ended the session
    with pytest.raises(ConsentOver) as refused:
        sign(light_scene, session)
    assert refused.value.end_reason is reason
    assert light_scene.session(session.id).grant_id is None


def test_a_session_lives_from_its_first_channel_and_ends_with_its_grant_revoked(scene: Scene) -> None:
    session, _ = live(scene)
    assert (session.state, session.ends_at) == ("live", scene.clock.moment + timedelta(minutes=30))
    told: list[object] = []
    scene.database.events.after_commit(GrantRevoked, told.append)
    scene.database.events.after_commit(SessionEnded, told.append)
    with scene.database.write() as unit:
        ended = end_session(unit, scene.actor(), session, summary="Printer works")
    assert (ended.state, ended.end_reason, ended.summary, ended.end_actor_name) == ("ended", "technician", "Printer works", "Jana Roth")
    assert {type(event) for event in told} == {GrantRevoked, SessionEnded}
    assert scene.steps(session.id) == ["requested", "approved", "began", "ended"]
    with scene.database.read() as unit:
        kinds = [event.kind for event in events_of(unit, ended)]
        assert kinds == ["session.requested", "session.approved", "grant.signed", "session.began", "session.ended"]
        assert verify_chain(unit, session.id).is_whole
        assert list_void_grants(unit, scene.endpoint.id, since=scene.clock.moment - timedelta(hours=1)) == [session.grant_id]
        assert unit.db.scalars(select(ConsentLink)).one().dies_at == scene.clock.moment + timedelta(days=30)
    with scene.database.write() as unit, pytest.raises(Conflict):
        end_session(unit, scene.actor(), ended)


def test_a_session_that_did_not_begin_is_cancelled(light_scene: Scene) -> None:
    scene = light_scene
    session, token = scene.asked()
    with scene.database.write() as unit:
        assert cancel_session(unit, scene.actor(), session).state == "cancelled"
        assert unit.db.scalars(select(ConsentRequest)).one().state == "withdrawn"
    with pytest.raises(Conflict):
        scene.decide(token)
    running, _ = live(scene)
    with scene.database.write() as unit, pytest.raises(Conflict):
        cancel_session(unit, scene.actor(), running)


def actors_that_may_end(scene: Scene) -> list[tuple[Actor, EndReason]]:
    with scene.database.write() as unit:
        administrator = builders.make_user(unit, name="Ada", roles=(Role.ADMINISTRATOR,))
    contact = Actor(ActorKind.CONTACT, scene.contact.id, scene.contact.name)
    agent = Actor(ActorKind.AGENT, scene.endpoint.id, "agent")
    return [(scene.actor(), EndReason.TECHNICIAN), (scene.actor(scene.lead), EndReason.LEAD), (scene.actor(administrator), EndReason.LEAD),
            (contact, EndReason.CONTACT), (agent, EndReason.AGENT_STOPPED)]


def test_everybody_who_may_can_end_a_live_session(light_scene: Scene) -> None:
    scene = light_scene
    for actor, reason in actors_that_may_end(scene):
        scene.now_later(hours=1)
        session, _ = live(scene)
        with scene.database.write() as unit:
            assert end_session(unit, actor, session).end_reason == reason
    scene.now_later(hours=1)
    session, _ = live(scene)
    with scene.database.write() as unit:
        other = builders.make_user(unit)
        auditor = builders.make_user(unit, roles=(Role.AUDITOR,))
        for actor in (scene.actor(other), scene.actor(auditor), Actor(ActorKind.AGENT, scene.queue.id, "other agent"),
                      Actor(ActorKind.CONTACT, scene.queue.id, "other contact"), Actor(ActorKind.LINK, scene.queue.id, "link")):
            with pytest.raises(Forbidden):
                end_session(unit, actor, session)


TRIGGERS = {
    "ticket closed": (lambda scene: TicketClosed(scene.ticket.id), EndReason.TICKET_CLOSED),
    "ticket moved": (lambda scene: TicketOrganisationChanged(scene.ticket.id, None), EndReason.TICKET_CHANGED),
    "ticket's contact": (lambda scene: TicketChanged(scene.ticket.id, ("contact_id",)), EndReason.TICKET_CHANGED),
    "user disabled": (lambda scene: UserDisabled(scene.technician.id), EndReason.USER_DISABLED),
    "token revoked": (lambda scene: TokenRevoked("token-1", scene.technician.id), EndReason.LOGIN_REVOKED),
    "login revoked": (lambda scene: LoginRevoked("login-1", scene.technician.id), EndReason.LOGIN_REVOKED),
}


@pytest.mark.parametrize("name", list(TRIGGERS))
def test_what_happens_elsewhere_ends_a_live_session_in_the_same_transaction(light_scene: Scene, name: str) -> None:
    scene = light_scene
    session, _ = live(scene)
    make_event, reason = TRIGGERS[name]
    with scene.database.write() as unit:
        unit.db.execute(update(RemoteSession).values(login_id="login-1", token_id="token-1"))
        unit.emit(TicketChanged(scene.ticket.id, ("subject",)))
        assert unit.db.get_one(RemoteSession, session.id, populate_existing=True).state == "live"
        unit.emit(make_event(scene))
        assert unit.db.get_one(RemoteSession, session.id).state == "ended"
    assert scene.session(session.id).end_reason == reason


def test_a_technician_who_loses_the_role_loses_the_session(light_scene: Scene) -> None:
    session, _ = live(light_scene)
    with light_scene.database.write() as unit:
        user = unit.db.get_one(User, light_scene.technician.id)
        for roles, state in ((["lead"], "live"), (["auditor"], "ended")):
            user.roles = roles
            unit.emit(RolesChanged(user.id))
            assert unit.db.get_one(RemoteSession, session.id).state == state


def test_a_ticket_closed_while_somebody_decides_never_deadlocks(scene: Scene) -> None:
    session, token = scene.asked()
    start, outcomes = threading.Barrier(2), []

    def close() -> None:
        with scene.database.write() as unit:
            lock_ticket(unit, unit.db.get_one(Ticket, scene.ticket.id))
            start.wait(20)
            unit.emit(TicketClosed(scene.ticket.id))
        outcomes.append("closed")

    def approve() -> None:
        start.wait(20)
        try:
            scene.decide(token)
        except Conflict:
            outcomes.append("refused")

    threads = [threading.Thread(target=close), threading.Thread(target=approve)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["closed", "refused"] and scene.session(session.id).state == "cancelled"


def test_a_revoked_login_leaves_a_request_that_waits(light_scene: Scene) -> None:
    session, _ = light_scene.asked()
    with light_scene.database.write() as unit:
        unit.db.execute(update(RemoteSession).values(login_id="login-1"))
        unit.emit(LoginRevoked("login-1", light_scene.technician.id))
    assert light_scene.session(session.id).state == "requested"


def test_a_disabled_endpoint_and_a_withdrawn_right_end_what_hangs_on_them(light_scene: Scene) -> None:
    scene = light_scene
    approved, _ = scene.approved()
    running, _ = live(scene)
    with scene.database.write() as unit:
        right_id = unit.db.scalars(select(ConsentRequest.approver_right_id)).first()
        unit.emit(ApproverWithdrawn(scene.contact.id, (right_id or "",), "left"))
    assert {scene.session(session.id).end_reason for session in (approved, running)} == {EndReason.CONTACT_CHANGED}
    waiting, _ = scene.asked()
    with scene.database.write() as unit:
        disable_endpoint(unit, scene.actor(scene.lead), scene.endpoint.id)
    assert scene.session(waiting.id).end_reason == EndReason.ENDPOINT_DISABLED


def test_a_changed_address_withdraws_what_was_asked_at_the_old_one(light_scene: Scene) -> None:
    scene = light_scene
    session, token = scene.asked()
    with scene.database.write() as unit:
        unit.db.get_one(Contact, scene.contact.id).email = "other@muster.example"
        unit.emit(ContactChanged(scene.contact.id, ("phone",)))
        assert unit.db.get_one(RemoteSession, session.id).state == "requested"
        unit.emit(ContactChanged(scene.contact.id, ("email",)))
    assert scene.session(session.id).end_reason == EndReason.CONTACT_CHANGED
    with pytest.raises(Conflict):
        scene.decide(token)


def test_an_agent_that_is_back_in_time_goes_on_and_one_that_stays_away_ends_it(scene: Scene) -> None:
    session, _ = live(scene)
    with scene.database.write() as unit:
        assert suspend_holder(unit, [scene.endpoint.id]) == [session.id]
        assert suspend_session(unit, session.id) is None
    scene.now_later(seconds=100)
    assert tick(scene) == []
    with scene.database.write() as unit:
        resumed = resume_session(unit, session.id)
        assert resumed is not None and resumed.state == "live" and resumed.suspended_at is None
        assert resume_session(unit, session.id) is None
    with scene.database.write() as unit:
        suspend_session(unit, session.id)
    scene.now_later(seconds=130)
    assert tick(scene) == [session.id]
    assert scene.session(session.id).end_reason == EndReason.AGENT_LOST


def test_the_clock_warns_at_ten_and_three_minutes_and_ends_at_the_limit(scene: Scene) -> None:
    session, _ = live(scene, minutes=30)
    warned: list[int] = []
    scene.database.events.after_commit(SessionWarned, lambda event: warned.append(event.minutes))
    for minutes, expected in ((19, []), (1, [10]), (1, [10]), (6, [10, 3]), (2, [10, 3])):
        scene.now_later(minutes=minutes)
        tick(scene)
        assert warned == expected
    scene.now_later(minutes=1)
    tick(scene)
    assert (scene.session(session.id).state, scene.session(session.id).end_reason) == ("ended", "time_limit")


def test_nobody_answering_and_nobody_starting_expire(scene: Scene) -> None:
    unanswered, _ = scene.asked()
    approved, _ = scene.approved(start_within_minutes=90)
    scene.now_later(minutes=60)
    assert tick(scene) == [unanswered.id]
    assert (scene.session(unanswered.id).state, scene.session(unanswered.id).end_reason) == ("expired", "not_decided")
    with scene.database.read() as unit:
        assert {row.state for row in unit.db.scalars(select(ConsentRequest))} == {"expired", "approved"}
    scene.now_later(minutes=30)
    assert tick(scene) == [approved.id]
    assert scene.session(approved.id).end_reason == "not_started"
    with scene.database.write() as unit, pytest.raises(Conflict):
        begin_session(unit, scene.actor(), approved)
    assert tick(scene) == []


def test_a_claimed_row_is_left_alone_until_its_lease_is_over(light_scene: Scene) -> None:
    scene = light_scene
    session, _ = scene.asked()
    scene.now_later(minutes=60)
    clock = SessionClock(scene.database, scene.parts)
    with scene.database.write() as unit:
        assert list(clock.claim(unit, lease_until=unit.now + timedelta(minutes=2), limit=5)) == [session.id]
        assert list(clock.claim(unit, lease_until=unit.now + timedelta(minutes=2), limit=5)) == []
    scene.now_later(minutes=2)
    assert tick(scene) == [session.id]


def test_more_may_be_asked_while_live_and_the_session_goes_on_under_the_new_grant(scene: Scene) -> None:
    session, _ = live(scene)
    wanted: list[object] = []
    scene.database.events.after_commit(MoreApproved, wanted.append)
    with scene.database.write() as unit:
        request_more(unit, scene.actor(), session, scopes=["files.read:/var/log"], minutes=60, purpose="Read the log", services=scene.parts)
        with pytest.raises(Conflict):
            request_more(unit, scene.actor(), session, scopes=["terminal"], minutes=5, purpose="Again", services=scene.parts)
        token = scene.token_of(unit, session)
    scene.now_later(minutes=10)
    scene.decide(token, minutes=45)
    assert len(wanted) == 1 and scene.session(session.id).granted_seconds == 1800
    old_grant = scene.session(session.id).grant_id
    grant = sign(scene, session)
    assert scene.session(session.id).grant_id == old_grant and grant.scopes == ("terminal", "files.read:/var/log")
    check_grant(read_grant(grant.token, scene.parts.keys.public), view_of(scene, session, grant))
    with scene.database.write() as unit:
        renewed = renew_grant(unit, scene.actor(), session.id, grant)
    assert (renewed.grant_id, renewed.ends_at) == (grant.grant_id, scene.clock.moment + timedelta(minutes=45))
    again = sign(scene, session)
    assert again.max_seconds == 45 * 60
    assert scene.steps(session.id)[-3:] == ["more_asked", "more_approved", "grant_renewed"]


def test_more_that_is_denied_or_not_answered_changes_nothing(light_scene: Scene) -> None:
    scene = light_scene
    session, _ = live(scene, minutes=240)
    for approve in (False, None):
        scene.now_later(minutes=1)
        with scene.database.write() as unit:
            request_more(unit, scene.actor(), session, scopes=["terminal"], minutes=300, purpose="Longer", services=scene.parts)
            token = scene.token_of(unit, session)
        if approve is False:
            scene.decide(token, approve=False)
        else:
            scene.now_later(minutes=60)
            tick(scene)
        row = scene.session(session.id)
        assert (row.state, row.granted_seconds) == ("live", 240 * 60)
    assert scene.steps(session.id)[-4:] == ["more_asked", "more_denied", "more_asked", "more_expired"]


def test_an_agent_that_asks_anew_gets_only_the_time_that_is_left(light_scene: Scene) -> None:
    session, _ = live(light_scene)
    light_scene.now_later(minutes=20)
    assert sign(light_scene, session).max_seconds == 600
    light_scene.now_later(minutes=10)
    with pytest.raises(Conflict):
        sign(light_scene, session)


def test_the_summary_counts_the_commands_of_the_recording_once(scene: Scene) -> None:
    session, token = live(scene)
    with scene.database.write() as unit:
        channel = ChannelRow(session_id=session.id, kind="shell", state="live", os_user="support", columns=80, rows=24, opened_at=unit.now)
        unit.db.add(channel)
        unit.db.flush()
    with scene.parts.record_database.write() as records:
        for seq, (status, source) in enumerate(((0, "marks"), (1, "marks"), (None, "unmarked")), start=1):
            records.db.add(CommandRow(channel_id=channel.id, seq=seq, session_id=session.id, line="ls", exit_status=status, source=source,
                                      started_at=scene.clock.moment, offset_start=0, flags=[], shell_sequence=seq))
    scene.now_later(minutes=5)
    with scene.database.write() as unit:
        stop_by_link(unit, token)
    scene.now_later(seconds=2)
    assert tick(scene) == [session.id] and "summary" not in scene.steps(session.id)
    assert tick(scene) == []
    with scene.database.write() as unit:
        unit.db.execute(update(ChannelRow).values(closed_at=unit.now))
    scene.now_later(seconds=2)
    tick(scene)
    scene.now_later(minutes=5)
    assert tick(scene) == [] and scene.steps(session.id).count("summary") == 1
    with scene.database.read() as unit:
        entry = unit.db.scalars(select(Entry).where(Entry.ticket_id == scene.ticket.id).order_by(Entry.seq.desc()).limit(1)).one()
        assert "stopped through the link in the mail after 0:05:00" in entry.text and "2 commands, 1 of them failed" in entry.text
        assert "Erika Beispiel" in entry.text and verify_chain(unit, session.id).is_whole


def test_a_session_is_seen_by_those_whom_the_table_of_rights_names(light_scene: Scene) -> None:
    scene = light_scene
    session, _ = live(scene)
    with scene.database.write() as unit:
        roles = {role: builders.make_user(unit, roles=(role,)) for role in Role}
        member = builders.make_user(unit)
    seen = [scene.actor(), scene.actor(member), scene.actor(roles[Role.LEAD]), scene.actor(roles[Role.ADMINISTRATOR]),
            scene.actor(roles[Role.AUDITOR]), Actor(ActorKind.CONTACT, scene.contact.id, ""), SYSTEM,
            Actor(ActorKind.AGENT, scene.endpoint.id, "")]
    stranger = builders.actor_of(roles[Role.TECHNICIAN])
    hidden = [stranger, Actor(ActorKind.LINK, None, ""),
              *(Actor(kind, scene.lead.id, "") for kind in (ActorKind.CONTACT, ActorKind.AGENT, ActorKind.LINK))]
    with scene.database.read() as unit:
        for actor in seen:
            assert get_session(unit, actor, session.id).id == session.id
            assert [row.id for row in list_live(unit, actor)] == [session.id]
        for actor in hidden:
            with pytest.raises(NotFound):
                get_session(unit, actor, session.id)
            assert list(list_live(unit, actor)) == []
        with pytest.raises(NotFound):
            get_session(unit, SYSTEM, "../etc")


@pytest.mark.parametrize("keeps", ["nothing", "assignee", "follower"])
def test_a_technician_taken_out_of_the_queue_leads_on_only_what_he_has_or_follows(light_scene: Scene, keeps: str) -> None:
    scene = light_scene
    session, _ = scene.asked()
    with scene.database.write() as unit:
        unit.db.get_one(Ticket, scene.ticket.id).assignee_id = scene.technician.id if keeps == "assignee" else None
        unit.db.execute(delete(Follower))
        if keeps == "follower":
            unit.db.add(Follower(ticket_id=scene.ticket.id, user_id=scene.technician.id))
        unit.db.flush()
        remove_member(unit, builders.actor_of(builders.make_user(unit, roles=(Role.ADMINISTRATOR,))), scene.queue.id, scene.technician.id)
    found = scene.session(session.id)
    assert (found.state, found.end_reason) == (("cancelled", "queue_left") if keeps == "nothing" else ("requested", ""))


def test_the_newest_yes_that_was_not_taken_back_is_what_counts(light_scene: Scene) -> None:
    scene = light_scene
    session, _ = scene.approved()
    with scene.database.write() as unit:
        unit.db.execute(update(Consent).values(withdrawn_at=unit.now))
    with pytest.raises(Conflict):
        sign(scene, session)
    with scene.database.write() as unit:
        unit.db.execute(delete(Consent))
    with pytest.raises(Conflict):
        sign(scene, session)


def test_a_stop_and_a_begin_at_the_same_moment_leave_one_outcome(scene: Scene) -> None:
    session, token = scene.approved()
    sign(scene, session)
    with scene.database.write() as unit:
        stop_by_link(unit, token)
        with pytest.raises(Conflict):
            begin_session(unit, scene.actor(), session)
    assert scene.session(session.id).state == "cancelled"
    with scene.database.write() as unit, pytest.raises(Conflict):
        decide(unit, token, Answer(approve=True), services=scene.parts)
