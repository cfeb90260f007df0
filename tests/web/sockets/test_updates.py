"""Page updates: hints for what the reader may see, and for nothing else."""

from __future__ import annotations

import json

import pytest
from websockets.sync.client import ClientConnection

from orchestrator.accounts.actor import Role
from orchestrator.accounts.queries import actor_for_user
from orchestrator.core.ids import new_id
from tests.web.sockets.program import Program, until
from tests.web.sockets.test_entrance import make_other
from web.sockets.live import may_hear


def next_topic(socket: ClientConnection) -> str:
    while True:
        message = json.loads(socket.recv(timeout=10))
        if "topic" in message:
            return str(message["topic"])


def test_a_page_is_told_of_its_topics_and_only_of_those(program: Program) -> None:
    ticket = program.scene.ticket.id
    socket = program.browse(f"{program.sockets}/live")
    socket.send(json.dumps({"subscribe": [f"ticket:{ticket}", f"ticket:{new_id()}", "nonsense", "tickets"]}))
    until(lambda: len(program.services.signals._by_topic.get(f"ticket:{ticket}", ())) > 0, "the subscription")
    program.services.signals.publish("sessions")
    program.services.signals.publish(f"ticket:{ticket}")
    assert next_topic(socket) == f"ticket:{ticket}"
    socket.send(json.dumps({"subscribe": ["sessions"]}))
    until(lambda: not program.services.signals._by_topic.get(f"ticket:{ticket}", ()), "the new subscription")
    program.services.signals.publish(f"ticket:{ticket}")
    program.services.signals.publish("sessions")
    assert next_topic(socket) == "sessions"
    socket.close()
    until(lambda: not program.services.signals._by_topic.get("sessions", ()), "the end of the subscription")


@pytest.mark.parametrize("role", list(Role))
def test_topics_follow_what_the_role_may_see(program: Program, role: Role) -> None:
    user, _, _ = make_other(program, role)
    with program.services.database.read() as unit:
        actor = actor_for_user(unit, user)
        heard = {topic: may_hear(unit, actor, topic) for topic in (
            f"ticket:{program.scene.ticket.id}", f"endpoint:{program.endpoint_id}", f"user:{user.id}", f"user:{program.scene.technician.id}",
            "tickets", "sessions", "jobs", "jobs:x", "", "ticket:", "ticket:../x", f"queue:{program.scene.queue.id}")}
    assert heard == {
        f"ticket:{program.scene.ticket.id}": role in (Role.LEAD, Role.AUDITOR), f"endpoint:{program.endpoint_id}": role is not Role.ADMINISTRATOR,
        f"user:{user.id}": True, f"user:{program.scene.technician.id}": False, "tickets": role is not Role.ADMINISTRATOR, "sessions": True,
        "jobs": False, "jobs:x": False, "": False, "ticket:": False, "ticket:../x": False,
        f"queue:{program.scene.queue.id}": role in (Role.LEAD, Role.AUDITOR),
    }
