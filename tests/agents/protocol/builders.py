"""Builders of signed documents and handshake values for the tests of the wire and of the agent."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agents.protocol.grants import AgentView, ConsentMethod, Grant, Recording, Request, sign_request
from agents.protocol.messages import ConsentPlace, Hello, HostClass, HostFacts
from agents.protocol.signatures import SigningKey, hash_document

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def build_nonce() -> str:
    return secrets.token_urlsafe(32)


def build_hello(key: SigningKey, **changes: Any) -> Hello:
    hello = Hello(
        versions=(1,),
        nonce=build_nonce(),
        public_key=key.public.text,
        instance="process-1",
        epoch=1,
        certificate_sha256="",
        clock_at=NOW,
    )
    return replace(hello, **changes)


def build_host(**changes: Any) -> HostFacts:
    host = HostFacts(
        host_name="web01",
        host_class=HostClass.SERVER,
        consent=ConsentPlace.SERVER,
        protected=True,
        run_as="root",
        may_become_root=True,
        boot_id="boot-1",
        agent_version="0.1.0",
    )
    return replace(host, **changes)


def build_request(agent_fingerprint: str, **changes: Any) -> Request:
    request = Request(
        version=1,
        request_id="request-1",
        session_id="session-1",
        server_instance="server-1",
        epoch=1,
        audience=agent_fingerprint,
        endpoint_id="endpoint-1",
        endpoint_name="web01",
        endpoint_class=HostClass.SERVER,
        protected=True,
        consent=ConsentPlace.SERVER,
        organisation="Möwe GmbH",
        desk="Fernwart",
        ticket="20261123-17",
        ticket_subject="Printer",
        technician="Tessa Lind",
        approver="Ada Kern <ada@moewe.example>",
        purpose="Look at the print queue.\nRestart it.",
        scopes=("terminal", "terminal.admin"),
        user="root",
        administrator=True,
        minutes=30,
        recording=Recording.FULL,
        start_within_minutes=480,
        clock_is_off=False,
        issued_at=NOW,
        expires_at=NOW + timedelta(hours=8),
    )
    return replace(request, **changes)


def build_grant(request: Request, request_sha256: str, nonce: str, **changes: Any) -> Grant:
    grant = Grant(
        version=1,
        grant_id="grant-1",
        session_id=request.session_id,
        server_instance=request.server_instance,
        epoch=request.epoch,
        audience=request.audience,
        endpoint_id=request.endpoint_id,
        nonce=nonce,
        request_sha256=request_sha256,
        ticket=request.ticket,
        technician=request.technician,
        approver=request.approver,
        method=ConsentMethod.LINK,
        scopes=request.scopes,
        user=request.user,
        recording=Recording.FULL,
        max_seconds=request.minutes * 60,
        grace_seconds=120,
        not_before_at=request.issued_at,
        expires_at=request.issued_at + timedelta(minutes=request.minutes),
    )
    return replace(grant, **changes)


def build_view(server: SigningKey, agent: SigningKey, nonce: str, **changes: Any) -> AgentView:
    request = build_request(agent.public.fingerprint)
    view = AgentView(
        server_instance="server-1",
        epoch=1,
        fingerprint=agent.public.fingerprint,
        endpoint_id="endpoint-1",
        session_id="session-1",
        issued_nonces=frozenset({nonce}),
        request=request,
        request_sha256=hash_document(sign_request(server, request)),
        now=NOW,
    )
    return replace(view, **changes)
