"""Opening channels at an agent: session, nonce, signed grant, channel; and taking over a new grant in a running session.

The grant is signed when the technician opens, over the nonce that the agent has just issued. One opening of a session at a
time, so that a session never has two first grants.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

import structlog

from agents.protocol.messages import (
    ChannelFailed,
    ChannelKind,
    GrantAnswer,
    OpenChannel,
    OpenSession,
    SessionNonce,
    SessionRefused,
    UseGrant,
)
from orchestrator.accounts.actor import SYSTEM, Actor
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import AppError
from sessions.consent.grants import ConsentOver, SignedGrant, sign_grant
from sessions.lifecycle.models import RemoteSession, SessionState
from sessions.lifecycle.queries import find_consent_in_force
from sessions.lifecycle.service import end_sessions, renew_grant
from sessions.live.agent_link import AgentLink
from sessions.live.channels import ChannelAsked, read_opening, read_request_token
from sessions.live.errors import AgentAway, AgentRefused
from sessions.live.relay import ChannelRelay, RelayState

if TYPE_CHECKING:
    from sessions.live.hub import Hub

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 15.0
START_SECONDS = 30.0
"""A login shell on a busy machine, with a directory server behind it, takes its time."""
DIAL_SECONDS = 20.0


class Openings:
    """Opens channels over the links of a hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def open(self, asked: ChannelAsked, relay: ChannelRelay) -> None:
        """Bring a channel from its row to its first socket; a failure ends the channel with the reason."""
        try:
            async with self._locks[asked.session_id]:
                await self._ask_agent(asked)
            async with asyncio.timeout(DIAL_SECONDS):
                await relay.began.wait()
        except AppError as exc:
            relay.end(str(exc), state=RelayState.FAILED)
        except TimeoutError:
            relay.end("The machine started the channel, but did not connect it.", state=RelayState.FAILED)

    def forget(self, session_id: str) -> None:
        """The session is over."""
        self._locks.pop(session_id, None)

    async def _ask_agent(self, asked: ChannelAsked) -> None:
        hub = self._hub
        hub.recorder.check_room()
        facts = await hub.read(lambda unit: read_opening(unit, asked.channel_id))
        link = hub.link_of(facts.endpoint_id)
        grant: SignedGrant | None = None
        if facts.session_id not in link.granted:
            grant = await self._sign(link, asked.actor, facts.session_id, facts.request_token)
        message = OpenChannel(
            channel_id=facts.channel_id, session_id=facts.session_id, kind=ChannelKind(facts.kind), columns=facts.columns, rows=facts.rows,
            token=hub.tokens.issue(facts.channel_id, facts.endpoint_id), label=hub.label, grant=grant.token if grant else "",
        )
        answer = await link.ask("channel", facts.channel_id, message, seconds=START_SECONDS)
        if isinstance(answer, ChannelFailed):
            raise AgentRefused(answer.reason, answer.code)
        if grant is not None:
            link.granted[facts.session_id] = grant.grant_id
            if facts.state is SessionState.LIVE:
                await self._note_renewed(asked.actor, facts.session_id, grant)

    async def take_over(self, session_id: str, endpoint_id: str) -> None:
        """Let the agent go on under a newly approved request; without a link it happens at the next welcome."""
        try:
            async with self._locks[session_id]:
                link = self._hub.link_of(endpoint_id)
                if not await self._hub.read(lambda unit: _has_newer_consent(unit, session_id)):
                    return
                token = await self._hub.read(lambda unit: read_request_token(unit, session_id))
                grant = await self._sign(link, SYSTEM, session_id, token)
                answer = await link.ask("grant", session_id, UseGrant(session_id=session_id, grant=grant.token), seconds=ANSWER_SECONDS)
                assert isinstance(answer, GrantAnswer)
                if answer.refusal:
                    raise AgentRefused(answer.reason, answer.refusal)
                link.granted[session_id] = grant.grant_id
                await self._note_renewed(SYSTEM, session_id, grant)
        except AgentAway:
            log.info("a new grant waits for the agent's link", session=session_id)
        except AppError as exc:
            log.warning("a new grant was not taken over", session=session_id, reason=str(exc))

    async def _sign(self, link: AgentLink, actor: Actor, session_id: str, request_token: str) -> SignedGrant:
        answer = await link.ask("session", session_id, OpenSession(session_id=session_id, request=request_token), seconds=ANSWER_SECONDS)
        if isinstance(answer, SessionRefused):
            raise AgentRefused(answer.reason, answer.code)
        assert isinstance(answer, SessionNonce)
        nonce = answer.nonce

        def sign(unit: WriteUnit) -> SignedGrant:
            return sign_grant(unit, actor, unit.db.get_one(RemoteSession, session_id), nonce=nonce, keys=self._hub.keys)

        try:
            return await self._hub.write(sign)
        except ConsentOver as exc:
            reason = exc.end_reason
            await self._hub.write(lambda unit: end_sessions(unit, SYSTEM, [session_id], reason))
            raise

    async def _note_renewed(self, actor: Actor, session_id: str, grant: SignedGrant) -> None:
        await self._hub.write(lambda unit: renew_grant(unit, actor, session_id, grant))


def _has_newer_consent(unit: ReadUnit, session_id: str) -> bool:
    session = unit.db.get_one(RemoteSession, session_id)
    found = find_consent_in_force(unit, session)
    return session.state == SessionState.LIVE and found is not None and found[1].id != session.consent_id
