"""Watching and replaying from the customer's side: the deciding browser, the mailed code, and everybody else."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from orchestrator.accounts.actor import ActorKind
from orchestrator.core.db import ReadUnit
from orchestrator.notifications.models import OutgoingMail
from sessions.consent.links import open_link
from sessions.consent.models import ConsentCode
from sessions.consent.service import stop_by_link
from sessions.consent.viewers import TooManyCodes, cookie_name, find_viewer, is_viewer, mail_code, use_code
from tests.sessions.scene import Scene


def newest_code(scene: Scene, unit: ReadUnit) -> str:
    mail = unit.db.scalars(select(OutgoingMail).where(OutgoingMail.purpose == "consent.code").order_by(OutgoingMail.id.desc())).first()
    assert mail is not None and mail.to_address == scene.contact.email
    code = scene.secret_of(mail, "code")
    assert code not in mail.text
    return code


def send_code(scene: Scene, token: str) -> str:
    with scene.database.write() as unit:
        mail_code(unit, token, services=scene.parts)
        return newest_code(scene, unit)


def enter(scene: Scene, token: str, digits: str) -> str | None:
    with scene.database.write() as unit:
        return use_code(unit, token, digits, services=scene.parts)


def test_the_browser_that_decided_may_watch_and_nobody_else(scene: Scene) -> None:
    session, token = scene.asked()
    decided = scene.decide(token)
    with scene.database.read() as unit:
        opened = open_link(unit, token)
        name = cookie_name(opened.link)
        assert is_viewer(unit, opened, {name: decided.cookie_secret})
        viewer = find_viewer(unit, session.id, {name: decided.cookie_secret})
        assert viewer is not None and (viewer.kind, viewer.id) == (ActorKind.CONTACT, scene.contact.id)
        for cookies in ({}, {name: ""}, {name: "x"}, {"__Host-fernwart-view-other": decided.cookie_secret}):
            assert not is_viewer(unit, opened, cookies) and find_viewer(unit, session.id, cookies) is None
    other, _ = scene.asked()
    with scene.database.read() as unit:
        assert find_viewer(unit, other.id, {name: decided.cookie_secret}) is None


def test_six_digits_by_mail_let_another_browser_in_once(scene: Scene) -> None:
    session, token = scene.approved()
    code = send_code(scene, token)
    assert len(code) == 6
    secret = enter(scene, token, f" {code[:3]} {code[3:]} ")
    assert secret is not None and enter(scene, token, code) is None
    with scene.database.read() as unit:
        name = cookie_name(open_link(unit, token).link)
        assert find_viewer(unit, session.id, {name: secret}) is not None
        assert code not in str(vars(unit.db.scalars(select(ConsentCode)).one()))
    scene.now_later(hours=12)
    with scene.database.read() as unit:
        assert find_viewer(unit, session.id, {name: secret}) is None


def test_five_wrong_tries_and_ten_minutes_end_a_code(light_scene: Scene) -> None:
    scene = light_scene
    _, token = scene.approved()
    code = send_code(scene, token)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for _ in range(5):
        assert enter(scene, token, wrong) is None
    assert enter(scene, token, code) is None
    code = send_code(scene, token)
    scene.now_later(minutes=10)
    assert enter(scene, token, code) is None
    assert enter(scene, token, "") is None


def test_only_the_newest_code_counts_and_five_an_hour_are_mailed(light_scene: Scene) -> None:
    scene = light_scene
    _, token = scene.approved()
    first = send_code(scene, token)
    codes = [send_code(scene, token) for _ in range(4) if scene.now_later(seconds=1)]
    with pytest.raises(TooManyCodes):
        send_code(scene, token)
    assert first == codes[-1] or enter(scene, token, first) is None
    assert enter(scene, token, codes[-1]) is not None


def test_a_dead_link_lets_nobody_in(light_scene: Scene) -> None:
    scene = light_scene
    session, token = scene.asked()
    secret = scene.decide(token).cookie_secret
    with scene.database.write() as unit:
        name = cookie_name(open_link(unit, token).link)
        stop_by_link(unit, token)
    scene.now_later(days=30)
    with scene.database.read() as unit:
        assert find_viewer(unit, session.id, {name: secret}) is None
