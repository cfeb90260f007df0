"""Enrolling an agent: tokens, waiting, acceptance, and what may never happen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from agents.protocol.messages import ConsentPlace, Enrolment, HostClass, HostFacts, Inventory, UserFacts
from agents.protocol.signatures import SigningKey
from agents.protocol.tokens import parse_enrolment_token
from orchestrator.audit.models import AuditEntry
from orchestrator.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from sessions.endpoints.enrolment import read_token
from sessions.endpoints.errors import ClassDiffers, FingerprintDiffers, KeyKnown, StaleHolder, TokenRefused
from sessions.endpoints.models import Endpoint, EnrolmentToken
from sessions.endpoints.queries import find_by_fingerprint, get_endpoint, list_endpoints
from sessions.endpoints.service import (
    accept_endpoint,
    create_enrolment_token,
    disable_endpoint,
    enrol,
    hold_link,
    note_accounts,
    release_link,
    revoke_enrolment_token,
    set_presence,
)
from tests import builders
from tests.sessions.scene import Scene

HOST = HostFacts(host_name="srv-mail-01", host_class=HostClass.SERVER, consent=ConsentPlace.SERVER, protected=False, run_as="support",
                 may_become_root=False, boot_id="b1", agent_version="0.1.0")
INVENTORY = Inventory(host_name="srv-mail-01", operating_system="Debian 13", kernel="6.12", architecture="x86_64", processor="cpu",
                      processors=4, memory_bytes=2**33, addresses=("10.0.0.5",), users=(UserFacts("support", True, False),))


def make_token(scene: Scene, *, by_lead: bool = False, **values: object) -> str:
    with scene.database.write() as unit:
        return create_enrolment_token(unit, scene.actor(scene.lead if by_lead else None), organisation_id=scene.organisation.id,
                                      server_fingerprint=scene.parts.keys.fingerprint, **values)  # type: ignore[arg-type]


def enrol_agent(scene: Scene, token: str, *, key: SigningKey | None = None, host: HostFacts = HOST) -> Endpoint:
    text = parse_enrolment_token(token)
    with scene.database.write() as unit:
        return enrol(unit, public_key=(key or SigningKey.generate()).public.text,
                     enrolment=Enrolment(text.token_id, text.secret, INVENTORY), host=host)


def accept(scene: Scene, endpoint: Endpoint, **values: str) -> Endpoint:
    wanted = {"fingerprint": endpoint.fingerprint, "endpoint_class": "server", "responsible": scene.contact.email or "", **values}
    with scene.database.write() as unit:
        return accept_endpoint(unit, scene.actor(scene.lead), endpoint.id, **wanted)


def test_a_token_names_the_servers_key_and_its_secret_is_in_no_table(scene: Scene) -> None:
    token = make_token(scene)
    assert parse_enrolment_token(token).server_fingerprint == scene.parts.keys.fingerprint
    with scene.database.read() as unit:
        row = unit.db.scalars(select(EnrolmentToken)).one()
        assert parse_enrolment_token(token).secret not in str(vars(row))
        assert row.expires_at - row.created_at == timedelta(hours=1)


def test_an_enrolled_agent_waits_and_is_accepted_after_the_fingerprints_were_compared(scene: Scene) -> None:
    endpoint = enrol_agent(scene, make_token(scene))
    assert (endpoint.state, endpoint.name, endpoint.organisation_id) == ("waiting", "srv-mail-01", scene.organisation.id)
    assert endpoint.accounts["support"]["login_allowed"] is True
    accepted = accept(scene, endpoint, fingerprint=endpoint.fingerprint.removeprefix("SHA256:"))
    assert (accepted.state, accepted.endpoint_class, accepted.responsible_kind) == ("accepted", "server", "contact")
    with scene.database.read() as unit:
        kinds = set(unit.db.scalars(select(AuditEntry.kind)))
        assert {"enrolment-token.created", "endpoint.enrolled", "endpoint.accepted"} <= kinds
        assert find_by_fingerprint(unit, endpoint.fingerprint) is not None


def test_a_token_works_once(scene: Scene) -> None:
    token = make_token(scene)
    enrol_agent(scene, token)
    with pytest.raises(TokenRefused):
        enrol_agent(scene, token)


def test_a_token_dies_after_an_hour_by_a_wrong_secret_and_by_revocation(light_scene: Scene) -> None:
    scene = light_scene
    token = make_token(scene)
    wrong = parse_enrolment_token(token)
    with pytest.raises(TokenRefused), scene.database.write() as unit:
        enrol(unit, public_key=SigningKey.generate().public.text, enrolment=Enrolment(wrong.token_id, "x" * 43, INVENTORY), host=HOST)
    with pytest.raises(TokenRefused), scene.database.write() as unit:
        enrol(unit, public_key=SigningKey.generate().public.text, enrolment=Enrolment("nobody", wrong.secret, INVENTORY), host=HOST)
    scene.now_later(hours=1)
    with pytest.raises(TokenRefused):
        enrol_agent(scene, token)
    revoked = make_token(scene)
    with scene.database.write() as unit:
        revoke_enrolment_token(unit, scene.actor(), parse_enrolment_token(revoked).token_id)
    with pytest.raises(TokenRefused):
        enrol_agent(scene, revoked)


def test_an_existing_identity_cannot_be_enrolled_over(scene: Scene) -> None:
    key = SigningKey.generate()
    first = enrol_agent(scene, make_token(scene), key=key)
    with pytest.raises(KeyKnown):
        enrol_agent(scene, make_token(scene), key=key)
    with scene.database.write() as unit:
        disable_endpoint(unit, scene.actor(scene.lead), first.id)
    with pytest.raises(KeyKnown):
        enrol_agent(scene, make_token(scene), key=key)


def test_a_duplicate_host_name_is_flagged(light_scene: Scene) -> None:
    first = enrol_agent(light_scene, make_token(light_scene))
    second = enrol_agent(light_scene, make_token(light_scene), host=replace(HOST, host_name="SRV-Mail-01"))
    assert (first.duplicate_name, second.duplicate_name) == (False, True)


def test_a_wrong_fingerprint_another_class_and_a_stranger_as_responsible_are_refused(light_scene: Scene) -> None:
    scene = light_scene
    endpoint = enrol_agent(scene, make_token(scene))
    with pytest.raises(FingerprintDiffers):
        accept(scene, endpoint, fingerprint=SigningKey.generate().public.fingerprint)
    with pytest.raises(FingerprintDiffers):
        accept(scene, endpoint, fingerprint="")
    with pytest.raises(ClassDiffers):
        accept(scene, endpoint, endpoint_class="client")
    with pytest.raises(InvalidInput):
        accept(scene, endpoint, endpoint_class="toaster")
    with scene.database.write() as unit:
        stranger = builders.make_contact(unit, builders.make_organisation(unit))
    for nobody in (stranger.email or "", stranger.id, "", "nobody@muster.example"):
        with pytest.raises(InvalidInput):
            accept(scene, endpoint, responsible=nobody)
    assert accept(scene, endpoint, responsible=scene.technician.email).responsible_kind == "technician"
    with pytest.raises(Conflict):
        accept(scene, endpoint)


def test_technicians_enrol_and_only_leads_accept_and_disable(light_scene: Scene) -> None:
    scene = light_scene
    endpoint = enrol_agent(scene, make_token(scene))
    with scene.database.write() as unit:
        with pytest.raises(Forbidden):
            accept_endpoint(unit, scene.actor(), endpoint.id, fingerprint=endpoint.fingerprint, endpoint_class="server",
                            responsible=scene.contact.email or "")
        with pytest.raises(Forbidden):
            disable_endpoint(unit, scene.actor(), endpoint.id)
        with pytest.raises(Forbidden):
            create_enrolment_token(unit, scene.actor(), organisation_id=scene.organisation.id, server_fingerprint="SHA256:" + "A" * 43,
                                   auto_accept=True, endpoint_class="server", responsible=scene.contact.email)


def test_an_auto_accept_token_has_one_use_a_class_and_a_responsible_person(light_scene: Scene) -> None:
    scene = light_scene
    good = {"auto_accept": True, "endpoint_class": "server", "responsible": scene.contact.email}
    for bad in ({"uses": 2}, {"endpoint_class": None}, {"responsible": None}, {"responsible": "nobody@muster.example"}):
        with pytest.raises(InvalidInput):
            make_token(scene, by_lead=True, **{**good, **bad})
    endpoint = enrol_agent(scene, make_token(scene, by_lead=True, **good))
    assert (endpoint.state, endpoint.endpoint_class, endpoint.responsible_id) == ("accepted", "server", scene.contact.id)
    with pytest.raises(ClassDiffers):
        enrol_agent(scene, make_token(scene, by_lead=True, **good), host=replace(HOST, host_class=HostClass.CLIENT))


def test_token_bounds_and_unreadable_tokens_are_refused(light_scene: Scene) -> None:
    for bad in ({"uses": 0}, {"uses": 101}, {"expires": timedelta(seconds=1)}, {"expires": timedelta(days=8)}):
        with pytest.raises(InvalidInput):
            make_token(light_scene, **bad)
    for text in ("", "a.b.c", "x" * 400, "id.secret-that-is-long-enough.short"):
        with pytest.raises(InvalidInput):
            read_token(text)


def test_a_stale_holder_writes_nothing(scene: Scene) -> None:
    endpoint = accept(scene, enrol_agent(scene, make_token(scene)))
    with scene.database.write() as unit:
        first = hold_link(unit, endpoint.id, label="0", host=HOST, clock_offset_seconds=0)
        second = hold_link(unit, endpoint.id, label="1", host=HOST, clock_offset_seconds=1200)
    assert second == first + 1
    with scene.database.write() as unit, pytest.raises(StaleHolder):
        set_presence(unit, endpoint.id, online=False, label="0", epoch=first)
    with scene.database.write() as unit:
        assert release_link(unit, endpoint.id, epoch=first) is False
    with scene.database.write() as unit:
        row = get_endpoint(unit, scene.actor(), endpoint.id)
        assert (row.online, row.holder_label, row.clock_offset_seconds) == (True, "1", 1200)
        assert release_link(unit, endpoint.id, epoch=second) is True
        assert row.online is False


def test_a_disabled_endpoint_holds_no_link(light_scene: Scene) -> None:
    scene = light_scene
    with scene.database.write() as unit:
        disable_endpoint(unit, scene.actor(scene.lead), scene.endpoint.id)
        with pytest.raises(Conflict):
            hold_link(unit, scene.endpoint.id, label="0", host=HOST, clock_offset_seconds=0)


def test_facts_of_accounts_are_renewed(light_scene: Scene) -> None:
    scene = light_scene
    with scene.database.write() as unit:
        endpoint = note_accounts(unit, scene.endpoint.id, [UserFacts("support", False, True, "locked"), UserFacts("new", True, False)])
        assert endpoint.accounts["support"] == {"login_allowed": False, "may_become_root": True, "reason": "locked"}
        assert set(endpoint.accounts) == {"support", "root", "wheely", "locked", "new"}


def test_lists_filter_by_name_literally_and_page_by_cursor(scene: Scene) -> None:
    with scene.database.write() as unit:
        for name in ("a%b", "axb", "B-2", "b-1"):
            builders.make_endpoint(unit, scene.organisation, name=name)
    with scene.database.read() as unit:
        found, _ = list_endpoints(unit, scene.actor(), query="a%")
        assert [endpoint.name for endpoint in found] == ["a%b"]
        names, cursor = [], None
        while True:
            page, cursor = list_endpoints(unit, scene.actor(), cursor=cursor, limit=2)
            names += [endpoint.name for endpoint in page]
            if cursor is None:
                break
        assert names == ["a%b", "axb", "b-1", "B-2", "srv-print-01"]
        with pytest.raises(NotFound):
            get_endpoint(unit, scene.actor(), "not-an-id")
