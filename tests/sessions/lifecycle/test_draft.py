"""A draft article from a session: chosen commands, no names, no hosts, no way out of the code block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounts.actor import Role
from orchestrator.core.errors import AppError, Forbidden, InvalidInput
from orchestrator.tickets.models import Ticket
from sessions.endpoints.models import Endpoint
from sessions.lifecycle.draft import clean_line, draft_article, fence, replace_names
from sessions.recording.models import CommandRow
from tests import builders
from tests.sessions.scene import Scene

CHANNEL = "01900000-0000-7000-8000-000000000001"


def record(scene: Scene, session_id: str, *lines: str) -> None:
    with scene.parts.record_database.write() as records:
        for seq, line in enumerate(lines, start=1):
            records.db.add(CommandRow(channel_id=CHANNEL, seq=seq, session_id=session_id, line=line, source="marks", flags=[],
                                      started_at=scene.clock.moment, offset_start=seq))


def test_a_draft_holds_the_chosen_commands_and_no_names_of_the_customer(light_scene: Scene) -> None:
    scene = light_scene
    with scene.database.write() as unit:
        unit.db.get_one(Endpoint, scene.endpoint.id).inventory = {"host_name": "srv-print-01.muster.example", "addresses": ["10.0.0.5"]}
        ticket = unit.db.get_one(Ticket, scene.ticket.id)
        ticket.subject, ticket.language = "Printer of Erika Beispiel at Muster GmbH (srv-print-01) stuck", "en"
    session, _ = scene.asked(purpose="Call from Beispiel, fe80::1 at 10:30:00")
    record(scene, session.id, "systemctl restart cups", "ssh erika@SRV-PRINT-01.muster.example", "ping 192.168.1.20 -c 3", "secret")
    with scene.database.write() as unit:
        article = draft_article(unit, scene.actor(), session, commands=[(CHANNEL, 3), (CHANNEL, 1), (CHANNEL, 2)],
                                solution="Restarted on srv-print-01 for Erika Beispiel", services=scene.parts)
    text = f"{article.title}\n{article.problem}\n{article.body}"
    assert article.title == "Printer of <contact> at <organisation> (<host>) stuck" and article.state == "draft" and article.internal
    assert "systemctl restart cups" in text and "ping <address> -c 3" in text and "10:30:00" in text and "secret" not in text
    for name in ("Erika", "Beispiel", "Muster", "srv-print", "SRV-PRINT", "192.168", "fe80", "muster.example"):
        assert name not in text, name
    assert (article.from_session_id, article.from_ticket_id) == (session.id, scene.ticket.id)


def test_who_may_not_see_the_recording_drafts_nothing_and_commands_of_others_are_refused(light_scene: Scene) -> None:
    scene = light_scene
    session, _ = scene.asked()
    other, _ = scene.asked()
    record(scene, other.id, "ls")
    with scene.database.write() as unit:
        colleague, auditor = builders.make_user(unit), builders.make_user(unit, roles=(Role.AUDITOR,))
        for user, error in ((colleague, Forbidden), (auditor, Forbidden)):
            with pytest.raises(error):
                draft_article(unit, scene.actor(user), session, commands=[], services=scene.parts)
        for commands in ([(CHANNEL, 1)], [(CHANNEL, 9)], [(CHANNEL, n) for n in range(300)]):
            with pytest.raises(InvalidInput):
                draft_article(unit, scene.actor(), session, commands=commands, services=scene.parts)
        draft = draft_article(unit, scene.actor(), session, commands=[], services=scene.parts)
        assert "## " in draft.body
    assert issubclass(Forbidden, AppError)


@given(st.text(max_size=80), st.lists(st.text(max_size=60), max_size=5))
def test_no_line_ends_the_code_block_and_no_control_character_survives(name: str, lines: list[str]) -> None:
    block = fence(clean_line(line) for line in lines)
    first, *middle, last = block.split("\n")
    assert first.rstrip("sh") == last and not any(line.strip() == last for line in middle)
    assert all(character.isprintable() for line in lines for character in clean_line(line))
    assert replace_names(name, {}) is not None
