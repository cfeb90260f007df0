"""The sessions that live on this machine: what the server asks of them, what the machine asks, and everything that ends them.

Lives longer than any link. How a grant comes into force is in session_grants.py, the channels are in live_channels.py.
The rule throughout: a refusal, an error or a doubt opens nothing.
"""

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from typing import Any

from agents.channel_link import ChannelFacts
from agents.channels.interface import ShellOpener
from agents.dialing import ServerAddress
from agents.errors import AgentError, PolicyRefusal, ShellError, StateError
from agents.grants import LiveGrant
from agents.identity import PROCESS_INSTANCE, ServerRecord
from agents.live_channels import LiveChannels
from agents.outlet import Outlet, Send
from agents.policy import read_policy
from agents.protection import may_become_root
from agents.protocol import limits
from agents.protocol.errors import GrantRefusal, GrantRefused, ProtocolError
from agents.protocol.messages import (
    ChannelFailed,
    ChannelKind,
    ChannelOpened,
    ConsentPlace,
    Failure,
    GrantAnswer,
    OpenChannel,
    OpenSession,
    Resume,
    Revoke,
    Revoked,
    SessionNonce,
    SessionRefused,
    SessionStopped,
    UseGrant,
    Welcome,
)
from agents.protocol.scopes import covers
from agents.protocol.signatures import SigningKey, hash_document
from agents.session_grants import LiveSession, SessionGrants
from agents.state_folder import StateFolder
from agents.word_store import WordStore

TICK_SECONDS = 0.5
_MOST_SESSIONS = 64
_MOST_UNSENT = 64

logger = logging.getLogger(__name__)


class _CannotOpen(AgentError):
    """A channel is not opened, for a reason that has a code of its own."""

    def __init__(self, code: Failure, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class LiveSessions:
    """All sessions of this agent process. Belongs to one event loop; its tasks live in the given group."""

    def __init__(
        self,
        *,
        key: SigningKey,
        folder: StateFolder,
        address: ServerAddress,
        server: ServerRecord,
        protected: bool,
        open_shell: ShellOpener,
        group: asyncio.TaskGroup,
    ) -> None:
        """Read ledger and words (blocking). Raises StateError."""
        self.server = server
        self.outlet = Outlet()
        self._folder = folder
        self._open_shell = open_shell
        self._group = group
        self._grants = SessionGrants(key=key, folder=folder, protected=protected)
        self.channels = LiveChannels(key=key, address=address, outlet=self.outlet, words=WordStore(folder), start=self.start)
        self._sessions: dict[str, LiveSession] = {}
        self._unsent: list[SessionStopped] = []
        self._some_live = asyncio.Event()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run work as a task of its own; an error ends that work alone and is logged."""
        return self._group.create_task(_guard(work, name), name=name)

    # The link.

    async def link_up(self, server: ServerRecord, welcome: Welcome, send: Send) -> None:
        """Take the welcome: first what is revoked, then what resumes, then what is still to be told."""
        self.server = server
        for grant_id in welcome.revoked:
            await self._grants.note_revoked(grant_id, "revoked while the link was away")
        revoked = [one for one in self._sessions.values() if one.live and one.live.grant.grant_id in welcome.revoked]
        await asyncio.gather(*(self._end(one, "revoked", "revoked while the link was away") for one in revoked))
        self.outlet.attach(send)
        await self.channels.resume_named(welcome.resume)
        unsent, self._unsent = self._unsent, []
        for stop in unsent:
            await self.outlet.tell(stop)
        await self.channels.tell_words()

    def link_down(self) -> None:
        """Note that the link is away: grace counts from now."""
        self.outlet.detach()

    # What the server asks.

    async def open_session(self, message: OpenSession) -> None:
        """Answer with a nonce, or with the reason why not."""
        try:
            asked = await self._grants.read_asked(message.request, message.session_id, self.server)
            session = self._sessions.get(message.session_id) or self._add_session(message.session_id)
        except PolicyRefusal as exc:
            place = await asyncio.to_thread(self._consent_place)
            await self._refuse_session(message, Failure.CONSENT_HERE if place is ConsentPlace.HERE else Failure.POLICY, exc)
        except ProtocolError as exc:
            await self._refuse_session(message, Failure.GRANT, exc)
        except ShellError as exc:
            await self._refuse_session(message, Failure.USER, exc)
        else:
            nonce = self._grants.issue_nonce(session, asked)
            await self.outlet.tell(SessionNonce(session_id=message.session_id, nonce=nonce))

    async def use_grant(self, message: UseGrant) -> None:
        """Go on under another grant of a live session."""
        sha256 = hash_document(message.grant)
        try:
            await self._accept_grant(message.session_id, message.grant)
        except GrantRefused as exc:
            logger.warning("session %s: grant refused (%s): %s", message.session_id, exc.refusal, exc)
            answer = GrantAnswer(message.session_id, sha256, exc.refusal.value, str(exc)[:500])
        except AgentError as exc:
            logger.warning("session %s: grant refused: %s", message.session_id, exc)
            answer = GrantAnswer(message.session_id, sha256, GrantRefusal.POLICY.value, str(exc)[:500])
        else:
            answer = GrantAnswer(message.session_id, sha256)
        await self.outlet.tell(answer)

    async def open_channel(self, message: OpenChannel) -> None:
        """Start what is asked and attach it, or tell why not."""
        refusal = ""
        try:
            await self._open_channel(message)
            return
        except GrantRefused as exc:
            code = Failure.SCOPE if exc.refusal is GrantRefusal.SCOPE else Failure.GRANT
            error, refusal = exc, exc.refusal.value
        except PolicyRefusal as exc:
            error, code = exc, Failure.POLICY
        except StateError as exc:
            error, code = exc, Failure.STORAGE
        except ShellError as exc:
            error, code = exc, Failure.USER
        except _CannotOpen as exc:
            error, code = exc, exc.code
        logger.warning("channel %s not opened (%s): %s", message.channel_id, refusal or code.value, error)
        await self.outlet.tell(
            ChannelFailed(
                channel_id=message.channel_id,
                session_id=message.session_id,
                code=code,
                reason=str(error)[:500],
                refusal=refusal,
            )
        )

    async def revoke(self, message: Revoke) -> None:
        """Close what the server names and tell when the processes are gone."""
        session = self._sessions.get(message.session_id)
        held = self.channels.of_session(message.session_id)
        if message.channels:
            held = [channel for channel in held if channel.channel_id in message.channels]
            if session is not None:
                session.closed_ids.update(message.channels)
                session.opening.difference_update(message.channels)
            await asyncio.gather(*(self.channels.close(channel, "revoked") for channel in held))
        else:
            if session is not None:
                await self._end(session, "revoked", message.reason)
            await self._grants.note_revoked(message.grant_id, message.reason)
        closed = tuple(channel.channel_id for channel in held)
        await self.outlet.tell(Revoked(session_id=message.session_id, channels=closed))

    # What the machine asks.

    async def stop(self, session_id: str, *, reason: str) -> list[str]:
        """End one session, or all when `session_id` is empty, with or without a link; return the ids of those ended."""
        chosen = [one for one in self._sessions.values() if not session_id or one.session_id == session_id]
        await asyncio.gather(*(self._end(one, "stopped", reason, tell=True) for one in chosen))
        return [one.session_id for one in chosen]

    async def end_all(self, *, cause: str, reason: str) -> None:
        """End every session, as the program stops."""
        chosen = list(self._sessions.values())
        await asyncio.gather(*(self._end(one, cause, reason, tell=True) for one in chosen))

    def describe(self) -> list[dict[str, Any]]:
        """Describe the sessions with a grant in force, for `status`."""
        return [
            {
                "session_id": session.session_id,
                "ticket": session.live.grant.ticket,
                "technician": session.live.grant.technician,
                "approver": session.live.grant.approver,
                "user": session.live.grant.user,
                "scopes": list(session.live.grant.scopes),
                "seconds_left": max(0, round(session.live.seconds_left())),
                "channels": [
                    {"channel_id": one.channel_id, "kind": "shell", "attached": one.link.attached.is_set()}
                    for one in self.channels.of_session(session.session_id)
                ],
            }
            for session in self._sessions.values()
            if session.live is not None
        ]

    async def watch_limits(self) -> None:
        """End sessions whose time is over, and those whose link has been away for their grace. Runs until cancelled."""
        while True:
            await self._some_live.wait()
            await asyncio.sleep(TICK_SECONDS)
            for session in list(self._sessions.values()):
                if session.live is None:
                    continue
                if session.live.seconds_left() <= 0:
                    await self._end(session, "time", "the time of the grant is over", tell=True)
                elif self.outlet.is_away and self.outlet.away_seconds() >= session.live.grant.grace_seconds:
                    await self._end(session, "grace", "the server was away for too long", tell=True)
            if not any(session.live for session in self._sessions.values()):
                self._some_live.clear()

    # Grants and channels.

    async def _accept_grant(self, session_id: str, token: str) -> LiveGrant:
        session = self._sessions.get(session_id)
        before = session.live if session is not None else None
        live = await self._grants.accept(session, session_id, token, self.server)
        self._some_live.set()
        if before is not None and before is not live:
            await self._close_uncovered(session_id, before, live)
        return live

    async def _close_uncovered(self, session_id: str, before: LiveGrant, live: LiveGrant) -> None:
        """After a change of grant: channels go on under the new one, those it does not cover are closed."""
        action = await asyncio.to_thread(_shell_action, before.grant.user)
        covered = live.grant.user == before.grant.user and covers(live.grant.scopes, action)
        for channel in self.channels.of_session(session_id):
            if covered:
                channel.live = live
            else:
                await self.channels.close(channel, "refused")

    async def _open_channel(self, message: OpenChannel) -> None:
        if message.grant:
            await self._accept_grant(message.session_id, message.grant)
        session = self._sessions.get(message.session_id)
        if session is None or session.live is None:
            raise GrantRefused(GrantRefusal.UNKNOWN_NONCE, "session has no grant")
        session.live.check()
        user = session.live.grant.user
        if message.kind is not ChannelKind.SHELL or message.target:
            raise _CannotOpen(Failure.UNSUPPORTED, f"This version of the agent opens no channel of kind {message.kind.value}.")
        self._grants.check_user(user)
        action = await asyncio.to_thread(_shell_action, user)
        policy = await asyncio.to_thread(read_policy, self._folder)
        policy.check_action(message.kind, action)
        if not covers(session.live.grant.scopes, action):
            raise GrantRefused(GrantRefusal.SCOPE, f"grant does not cover {action}, which a shell of {user} needs")
        if message.channel_id in self.channels or message.channel_id in session.opening | session.closed_ids:
            raise _CannotOpen(Failure.UNKNOWN, "A channel of this name was there before.")
        if len(self.channels) + sum(len(one.opening) for one in self._sessions.values()) >= limits.CHANNELS_PER_AGENT:
            raise _CannotOpen(Failure.TOO_MANY, "Too many channels are open on this machine.")
        session.opening.add(message.channel_id)
        session.closed_ids.add(message.channel_id)
        try:
            await self._start_shell(session, session.live, message)
        finally:
            session.opening.discard(message.channel_id)

    async def _start_shell(self, session: LiveSession, live: LiveGrant, message: OpenChannel) -> None:
        facts = ChannelFacts(
            channel_id=message.channel_id,
            session_id=session.session_id,
            endpoint_id=self.server.endpoint_id,
            instance=PROCESS_INSTANCE,
            marks_nonce=secrets.token_hex(16),
        )
        user = live.grant.user
        shell = await self._open_shell(user=user, columns=message.columns, rows=message.rows, marks_nonce=facts.marks_nonce)
        if session.ended or message.channel_id not in session.opening or session.live is not live:
            await shell.kill_tree()
            raise _CannotOpen(Failure.STOPPED, "The session ended, or its grant changed, while the shell was starting.")
        ticket = Resume(message.channel_id, session.session_id, message.label, message.token)
        self.channels.begin(facts, shell, live, ticket)
        await self.outlet.tell(
            ChannelOpened(
                channel_id=facts.channel_id,
                session_id=facts.session_id,
                user=user,
                shell=shell.shell[:200],
                marked=shell.marked,
                marks_nonce=facts.marks_nonce,
            )
        )

    async def _end(self, session: LiveSession, cause: str, reason: str, *, tell: bool = False) -> None:
        """End a session for good: every channel at once, the grant void."""
        if session.ended:
            return
        session.ended = True
        self._sessions.pop(session.session_id, None)
        logger.info("session %s ends (%s): %s", session.session_id, cause, reason)
        held = self.channels.of_session(session.session_id)
        await asyncio.gather(*(self.channels.close(channel, cause) for channel in held))
        if session.live is not None:
            await self._grants.note_revoked(session.live.grant.grant_id, reason)
        if tell:
            stop = SessionStopped(session_id=session.session_id, cause=cause, reason=reason[:500])
            if not await self.outlet.tell(stop):
                self._unsent = [*self._unsent[-_MOST_UNSENT + 1 :], stop]

    def _add_session(self, session_id: str) -> LiveSession:
        """Make a session; when there are too many, the oldest that never got a grant goes."""
        idle = [one for one in self._sessions.values() if one.live is None]
        if len(self._sessions) >= _MOST_SESSIONS and idle:
            idle[0].ended = True
            del self._sessions[idle[0].session_id]
        if len(self._sessions) >= _MOST_SESSIONS:
            raise PolicyRefusal("Too many sessions are open on this machine.")
        session = self._sessions[session_id] = LiveSession(session_id)
        return session

    def _consent_place(self) -> ConsentPlace | None:
        try:
            return read_policy(self._folder).consent
        except PolicyRefusal:
            return None

    async def _refuse_session(self, message: OpenSession, code: Failure, error: Exception) -> None:
        logger.warning("session %s refused (%s): %s", message.session_id, code.value, error)
        await self.outlet.tell(SessionRefused(session_id=message.session_id, code=code, reason=str(error)[:500]))


def _shell_action(user: str) -> str:
    """The scope a shell of this user needs. May block (directory servers)."""
    return "terminal.admin" if may_become_root(user) else "terminal"


async def _guard(work: Coroutine[Any, Any, None], name: str) -> None:
    """The boundary of a task: an error ends this piece of work and nothing else."""
    try:
        await work
    except Exception:
        logger.exception("%s failed", name)
