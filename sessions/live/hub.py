"""All control links and channels of this process: who is connected, what resumes, what ends. Belongs to one event loop.

Rows are read and written in worker threads (``holding.py``, ``channels.py``); what happens elsewhere in the program arrives as
domain events after their commit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

import structlog

from agents.protocol.channel_messages import ChannelResume
from agents.protocol.errors import MalformedMessage
from agents.protocol.messages import (
    AgentMessage,
    AskUser,
    ChannelFailed,
    ChannelLost,
    ChannelOpened,
    CloseWord,
    Consent,
    GrantAnswer,
    Inventory,
    LinkRefusal,
    Resume,
    ResumeChannel,
    Revoke,
    Revoked,
    SessionNonce,
    SessionRefused,
    SessionStopped,
    UserAnswer,
    UserFacts,
    Waiting,
    Welcome,
    WordStored,
)
from orchestrator.core.db import Database, ReadUnit, WriteUnit
from orchestrator.core.errors import AppError, Conflict, Unavailable
from orchestrator.core.ids import new_id
from orchestrator.core.signals import Signals
from sessions.endpoints.service import note_accounts, note_inventory
from sessions.keys import ServerKeys
from sessions.lifecycle.events import GrantRevoked, MoreApproved, SessionEnded
from sessions.lifecycle.models import ChannelRow
from sessions.lifecycle.reasons import SENTENCES
from sessions.live.agent_link import PING_SECONDS, AgentLink, LinkRefusedError, say_refused, shake_hands
from sessions.live.certificates import OwnCertificates
from sessions.live.channels import ChannelAsked, begin_channel, close_channel, list_unclosed, opening_of, read_channel, store_word
from sessions.live.errors import AgentAway
from sessions.live.holding import begin_process, end_by_agent, find_agent, hold_agent, identify_agent, lose_agent, note_second_link
from sessions.live.openings import Openings
from sessions.live.relay import ChannelRelay, RelayState
from sessions.live.sockets import CloseCode, Socket, SocketClosed
from sessions.live.tokens import ChannelTokens
from sessions.recording.errors import RecordingUnavailable
from sessions.recording.interface import MEBIBYTE, ChannelRecorder, Recorder, RecordingHead
from sessions.recording.replay import iterate_raw

log = structlog.get_logger(__name__)

LOST_AFTER_SECONDS = 2.0
"""A link that is back by then was never away: no line on the ticket for a short interruption."""
KEEP_CLOSED_SECONDS = 60.0
MOST_HANDSHAKES = 512
USER_SECONDS = 10.0
LOOK_SECONDS = 1.0
LOOK = "hub"
ROWS = "rows"
RETRIES = 30

Result = TypeVar("Result")


class Hub:
    """Implements ``RelayOwner``. ``start`` before the first socket, ``stop`` at the end."""

    def __init__(self, *, database: Database, record_database: Database, recorder: Recorder, signals: Signals, keys: ServerKeys,
                 certificates: OwnCertificates, executor: Executor, label: str) -> None:
        self.recorder = recorder
        self.keys = keys
        self.label = label
        self._database = database
        self._record_database = record_database
        self._signals = signals
        self._certificates = certificates
        self._executor = executor
        self._links: dict[str, AgentLink] = {}
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._relays: dict[str, ChannelRelay] = {}
        self._askers: dict[str, ChannelAsked] = {}
        self._handshakes = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._openings = Openings(self)
        self._stopping = False
        self._running_loop: asyncio.AbstractEventLoop | None = None
        self.tokens = ChannelTokens(time.monotonic)

    # The process.

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """The loop that everything here belongs to. Raises Unavailable before ``start``."""
        if self._running_loop is None:
            raise Unavailable("Remote sessions are not ready yet.")
        return self._running_loop

    async def start(self) -> None:
        """Take up what an earlier life of this process left: suspend, close, continue. The recorder must run."""
        self._running_loop = asyncio.get_running_loop()
        await self.write(lambda unit: begin_process(unit, label=self.label))
        for row, endpoint_id, running in await self.read(lambda unit: list_unclosed(unit, label=self.label)):
            try:
                await self._take_up(row, endpoint_id, running=running)
            except AppError as exc:
                log.error("a channel could not be taken up", channel=row.id, reason=str(exc))
        self.spawn(self._look(), LOOK)

    async def stop(self) -> None:
        """Let every socket go; agents keep their channels for their grace."""
        self._stopping = True
        for link in list(self._links.values()):
            link.close(CloseCode.RESTART, "the server restarts")
        await asyncio.gather(*(relay.let_go() for relay in self._relays.values()))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run work as a task of the hub; an error ends that work alone and is logged."""
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def list_missing_work(self) -> list[str]:
        """Names of the hub's lasting tasks that do not run."""
        running = {task.get_name() for task in list(self._tasks) if not task.done()}
        return sorted({LOOK, ROWS} - running)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("work of the hub failed", work=task.get_name(), exc_info=task.exception())

    async def read(self, work: Callable[[ReadUnit], Result]) -> Result:
        """Run work in a read unit, in a thread."""
        def run() -> Result:
            with self._database.read() as unit:
                return work(unit)
        return await self._loop.run_in_executor(self._executor, run)

    async def write(self, work: Callable[[WriteUnit], Result]) -> Result:
        """Run work in a write unit, in a thread; returns after the commit."""
        def run() -> Result:
            with self._database.write() as unit:
                return work(unit)
        return await self._loop.run_in_executor(self._executor, run)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._loop.time()
            for link in self._links.values():
                link.look(now)

    async def _take_up(self, row: ChannelRow, endpoint_id: str, *, running: bool) -> None:
        if row.state == "opening":
            await self._close_row(row.id, state="failed", reason="the server restarted while it was opened", complete=True)
            return
        opening = opening_of(row, nonce=row.marks_nonce or None, shell=row.shell)
        try:
            recorder = await self.recorder.open_channel(opening)
        except RecordingUnavailable as exc:
            await self._close_row(row.id, state="failed", reason=str(exc), complete=False)
            return
        if not running:
            reason = "the session ended while the server was away"
            head = await recorder.close(exit_status=None, word=None, reason=reason)
            await self._close_row(row.id, state="closed", reason=reason, complete=False, head=head, received=head.total_bytes)
            return
        relay = ChannelRelay(
            channel_id=row.id, session_id=row.session_id, endpoint_id=endpoint_id, kind=row.kind, columns=row.columns, rows=row.rows,
            owner=self, known_to_agent=True, nonce=row.marks_nonce or None,
        )
        recorded = await self._loop.run_in_executor(self._executor, self._read_recorded, row.id, recorder.durable_offset)
        relay.adopt_record(recorder, instance=row.agent_instance, recorded=recorded)
        self._relays[row.id] = relay

    def _read_recorded(self, channel_id: str, end: int) -> bytes:
        start = max(0, end - MEBIBYTE)
        with self._record_database.read() as unit:
            raw = b"".join(iterate_raw(unit, channel_id, from_offset=start))
        # A line feed is never part of a mark, so what follows the first one begins outside of any.
        return raw[raw.find(b"\n") + 1 :] if start else raw

    # Links.

    def link_of(self, endpoint_id: str) -> AgentLink:
        """Return the endpoint's link. Raises AgentAway."""
        link = self._links.get(endpoint_id)
        if link is None:
            raise AgentAway()
        return link

    async def serve_link(self, socket: Socket, *, address: str, from_loopback: bool) -> None:
        """Serve a control link until it ends; closes the socket."""
        if self._handshakes >= MOST_HANDSHAKES or self._stopping:
            await say_refused(socket, LinkRefusedError(LinkRefusal.BUSY, "too many agents connect at this moment", retry_seconds=5))
            return
        self._handshakes += 1
        try:
            introduction = await shake_hands(socket, self.keys.identity)
            if not await self._loop.run_in_executor(
                    self._executor, lambda: self._certificates.is_own(introduction.hello.certificate_sha256, from_loopback=from_loopback)):
                raise LinkRefusedError(LinkRefusal.CERTIFICATE, "this agent saw a certificate that is not ours; something stands between",
                                       retry_seconds=60)
            agent = await self.write(lambda unit: identify_agent(unit, introduction, address=address)) if introduction.proof.enrol else (
                await self.read(lambda unit: find_agent(unit, introduction)))
        except LinkRefusedError as exc:
            log.info("agent refused", code=exc.code, reason=str(exc), address=address)
            await say_refused(socket, exc)
            return
        except (SocketClosed, TimeoutError):
            await socket.close(CloseCode.POLICY, "no handshake")
            return
        except AppError as exc:
            await say_refused(socket, LinkRefusedError(LinkRefusal.BUSY, str(exc), retry_seconds=5))
            return
        finally:
            self._handshakes -= 1
        link = AgentLink(socket, introduction, address=address)
        link.start()
        try:
            await self._serve(link, agent.endpoint_id, agent.fingerprint, accepted=agent.state == "accepted")
        except SocketClosed:
            pass
        except LinkRefusedError as exc:
            await say_refused(socket, exc)
        except MalformedMessage as exc:
            log.warning("agent sent what we do not accept", endpoint=agent.endpoint_id, reason=str(exc))
            link.close(CloseCode.PROTOCOL, str(exc)[:100])
        except AppError as exc:
            log.warning("link ended", endpoint=agent.endpoint_id, reason=str(exc))
        finally:
            await link.stop()
            self._lose(link)

    async def _serve(self, link: AgentLink, endpoint_id: str, fingerprint: str, *, accepted: bool) -> None:
        if not accepted:
            link.send(Waiting(endpoint_id=endpoint_id, fingerprint=fingerprint))
            await self._wait_for_acceptance(link, endpoint_id)
        await self._welcome(link, endpoint_id)
        while True:
            message = await link.read()
            if self._links.get(endpoint_id) is link:
                await self._take(link, message)

    async def _wait_for_acceptance(self, link: AgentLink, endpoint_id: str) -> None:
        news = asyncio.Event()
        self._waiting.setdefault(endpoint_id, set()).add(news)
        reading = asyncio.create_task(link.read())
        try:
            while (await self.read(lambda unit: find_agent(unit, link.introduction))).state != "accepted":
                told = asyncio.create_task(news.wait())
                await asyncio.wait((reading, told), return_when=asyncio.FIRST_COMPLETED)
                told.cancel()
                news.clear()
                if reading.done():
                    reading.result()
                    raise MalformedMessage("agent spoke before it was welcome")
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self._waiting[endpoint_id].discard(news)
            if not self._waiting[endpoint_id]:
                del self._waiting[endpoint_id]

    async def _welcome(self, link: AgentLink, endpoint_id: str) -> None:
        old = self._links.get(endpoint_id)
        if old is not None and old.instance != link.instance and not old.is_silent:
            await self.write(lambda unit: note_second_link(unit, endpoint_id, address=link.address, old_address=old.address))
        agent = await self.read(lambda unit: find_agent(unit, link.introduction))
        held = await self.write(lambda unit: hold_agent(unit, endpoint_id, link.introduction, label=self.label))
        link.endpoint_id, link.holder_epoch = endpoint_id, held.holder_epoch
        newer = self._links.get(endpoint_id)  # another link of this agent may have come while we waited
        if newer is not None and newer is not old:
            self._note_twice(link, newer, endpoint_id)
            newer.close(CloseCode.SUPERSEDED, "a newer link of this agent")
        if old is not None:
            old.close(CloseCode.SUPERSEDED, "a newer link of this agent")
        self._links[endpoint_id] = link
        holds = {channel.channel_id for channel in link.introduction.proof.channels if channel.session_id in held.running}
        resume: list[Resume] = []
        for relay in [one for one in self._relays.values() if one.endpoint_id == endpoint_id and not one.is_over]:
            if relay.channel_id in holds:
                resume.append(self._ticket(relay))
            elif relay.began.is_set():
                relay.end("the agent does not hold this channel any more", state=RelayState.CLOSED)
        link.granted = {relay.session_id: "" for relay in self._relays.values() if relay.channel_id in holds}
        link.send(Welcome(
            endpoint_id=endpoint_id, host_class=agent.host_class, epoch=self.keys.epoch, revoked=held.revoked, resume=tuple(resume),
            ping_seconds=PING_SECONDS, reconnect_seconds=30 if len(self._links) > 5000 else 10,
        ))
        for session_id in held.running:
            self.spawn(self._openings.take_over(session_id, endpoint_id), f"take over a grant in {session_id}")

    def _note_twice(self, link: AgentLink, other: AgentLink, endpoint_id: str) -> None:
        if other.instance != link.instance and not other.is_silent:
            self.spawn(self._insist(lambda unit: note_second_link(unit, endpoint_id, address=link.address, old_address=other.address)),
                       f"second link of {endpoint_id}")

    def _ticket(self, relay: ChannelRelay) -> Resume:
        return Resume(channel_id=relay.channel_id, session_id=relay.session_id, label=self.label,
                      token=self.tokens.issue(relay.channel_id, relay.endpoint_id))

    def _lose(self, link: AgentLink) -> None:
        if not link.endpoint_id or self._links.get(link.endpoint_id) is not link:
            return
        del self._links[link.endpoint_id]
        if not self._stopping:
            self.spawn(self._lose_later(link.endpoint_id, link.holder_epoch), f"lose {link.endpoint_id}")

    async def _lose_later(self, endpoint_id: str, epoch: int) -> None:
        await asyncio.sleep(LOST_AFTER_SECONDS)
        if endpoint_id not in self._links:
            await self._insist(lambda unit: lose_agent(unit, endpoint_id, epoch=epoch))

    async def _take(self, link: AgentLink, message: AgentMessage) -> None:
        endpoint_id = link.endpoint_id
        match message:
            case SessionNonce() | SessionRefused():
                link.answer("session", message.session_id, message)
            case GrantAnswer():
                link.answer("grant", message.session_id, message)
            case ChannelOpened():
                link.answer("channel", message.channel_id, message)
            case ChannelFailed():
                relay = self._relays.get(message.channel_id)
                if not link.answer("channel", message.channel_id, message) and relay is not None and relay.endpoint_id == endpoint_id:
                    relay.end(message.reason, state=RelayState.FAILED)
            case ChannelLost():
                self._answer_lost(link, message)
            case UserAnswer():
                link.answer("user", message.query_id, message)
            case Inventory():
                self.spawn(self._store(lambda unit: note_inventory(unit, endpoint_id, message)), "inventory")
            case SessionStopped():
                self.spawn(self._insist(lambda unit: end_by_agent(
                    unit, endpoint_id, message.session_id, cause=message.cause, reason=message.reason)), "session stopped")
            case CloseWord():
                self.spawn(self._store_word(link, message), f"word of {message.channel_id}")
            case Revoked() | Consent():
                log.info("agent answered", endpoint=endpoint_id, kind=message.TYPE)
            case _:
                raise MalformedMessage("handshake messages come at the start")

    def _answer_lost(self, link: AgentLink, message: ChannelLost) -> None:
        relay = self._relays.get(message.channel_id)
        if relay is not None and relay.endpoint_id == link.endpoint_id and relay.session_id == message.session_id:
            link.send(ResumeChannel(channel=self._ticket(relay)))
        else:
            link.send(Revoke(session_id=message.session_id, reason="the channel has ended", channels=(message.channel_id,)))

    async def ask_user(self, endpoint_id: str, user: str) -> UserFacts:
        """Ask the agent about an OS account and store the answer. Raises AgentAway."""
        query_id = new_id()
        answer = await self.link_of(endpoint_id).ask("user", query_id, AskUser(query_id=query_id, user=user), seconds=USER_SECONDS)
        assert isinstance(answer, UserAnswer)
        facts = answer.facts
        await self.write(lambda unit: note_accounts(unit, endpoint_id, [facts]))
        return facts

    # Channels.

    def find_relay(self, channel_id: str) -> ChannelRelay | None:
        """Return the channel of this process, also for a minute after its end."""
        return self._relays.get(channel_id)

    def relays_of(self, session_id: str) -> list[ChannelRelay]:
        """The session's channels that this process holds."""
        return [relay for relay in self._relays.values() if relay.session_id == session_id]

    def list_held_sessions(self) -> set[str]:
        """Ids of sessions with a channel here, or with a grant that an agent got from here."""
        running = {relay.session_id for relay in self._relays.values() if not relay.is_over}
        return running.union(*(link.granted for link in self._links.values()))

    async def attach_channel(self, relay: ChannelRelay, resume: ChannelResume) -> ChannelRecorder:
        """See ``RelayOwner``."""
        asked = self._askers.pop(relay.channel_id, None)
        if asked is None:
            raise Conflict("Nobody asked for this channel.")
        row = await self.read(lambda unit: read_channel(unit, relay.channel_id))
        nonce = resume.marks_nonce if resume.marked else None
        recorder = await self.recorder.open_channel(opening_of(row, nonce=nonce, shell=resume.shell))
        try:
            await self.write(lambda unit: begin_channel(unit, asked.actor, relay.channel_id, resume))
        except AppError:
            await recorder.close(exit_status=None, word=None, reason="the channel was refused")
            raise
        relay.ring.nonce = nonce
        return recorder

    def channel_over(self, relay: ChannelRelay, *, exit_status: int | None, reason: str, complete: bool) -> None:
        """See ``RelayOwner``."""
        self.tokens.void(relay.channel_id)
        self._askers.pop(relay.channel_id, None)
        link = self._links.get(relay.endpoint_id)
        if not complete and link is not None:
            link.send(Revoke(session_id=relay.session_id, reason=reason[:500], channels=(relay.channel_id,)))
        self.spawn(self._close(relay, exit_status=exit_status, reason=reason, complete=complete), f"close {relay.channel_id}")

    async def _close(self, relay: ChannelRelay, *, exit_status: int | None, reason: str, complete: bool) -> None:
        head: RecordingHead | None = None
        state = "failed" if relay.state is RelayState.FAILED else "closed"
        received = 0
        if relay.recorder is not None:
            try:
                head = await relay.recorder.close(exit_status=exit_status, word=None, reason=reason)
                received = head.total_bytes
            except RecordingUnavailable as exc:
                log.error("the end of a recording is not written", channel=relay.channel_id, reason=str(exc))
                state, complete, received = "failed", False, relay.recorder.durable_offset
                reason = reason or str(exc)
        await self._close_row(relay.channel_id, state=state, exit_status=exit_status, reason=reason, complete=complete, head=head,
                              received=received)
        relay.finish()
        self._signals.publish(f"session:{relay.session_id}")
        await asyncio.sleep(KEEP_CLOSED_SECONDS)
        self._relays.pop(relay.channel_id, None)
        await relay.let_go()

    async def _close_row(self, channel_id: str, *, state: str, reason: str, complete: bool, exit_status: int | None = None,
                         head: RecordingHead | None = None, received: int = 0) -> None:
        await self._insist(lambda unit: close_channel(
            unit, channel_id, state=state, exit_status=exit_status, reason=reason, head=head, complete=complete, received=received))

    async def _insist(self, work: Callable[[WriteUnit], object]) -> None:
        """Write what must be written, again while the database is away; gives up after half a minute, the next start goes on."""
        for _ in range(RETRIES):
            try:
                await self.write(work)
                return
            except Unavailable as exc:
                log.warning("the database is away, trying again", reason=str(exc))
                await asyncio.sleep(1)
        log.error("gave up writing to the database")

    async def _store(self, work: Callable[[WriteUnit], object]) -> None:
        try:
            await self.write(work)
        except AppError as exc:
            log.warning("what the agent told is not stored", reason=str(exc))

    async def _store_word(self, link: AgentLink, message: CloseWord) -> None:
        relay = self._relays.get(message.channel_id)
        if relay is not None:
            try:
                async with asyncio.timeout(KEEP_CLOSED_SECONDS):
                    await relay.wait_finished()
            except TimeoutError:
                return  # it is told again at the next welcome
        try:
            stored = await self.write(lambda unit: store_word(unit, link.endpoint_id, message.channel_id, message.word))
        except Unavailable as exc:
            log.warning("the agent's word is not stored yet", reason=str(exc))
            return
        except AppError as exc:
            log.warning("the agent's word is refused", endpoint=link.endpoint_id, channel=message.channel_id, reason=str(exc))
            stored = True
        if stored:
            link.send(WordStored(channel_id=message.channel_id))
            if relay is not None:
                self._signals.publish(f"session:{relay.session_id}")

    # What happened elsewhere; called on the loop after the commit.

    def on_channel_asked(self, asked: ChannelAsked) -> None:
        """A technician wants a channel."""
        self.spawn(self._begin(asked), f"open {asked.channel_id}")

    async def relay_for(self, channel_id: str) -> ChannelRelay | None:
        """Return the channel's relay, waiting a moment for one that was asked for just now."""
        relay = self._relays.get(channel_id)
        for _ in range(20):
            if relay is not None:
                break
            await asyncio.sleep(0.01)
            relay = self._relays.get(channel_id)
        return relay

    async def _begin(self, asked: ChannelAsked) -> None:
        row = await self.read(lambda unit: read_channel(unit, asked.channel_id))
        relay = ChannelRelay(
            channel_id=row.id, session_id=row.session_id, endpoint_id=asked.endpoint_id, kind=row.kind, columns=row.columns, rows=row.rows,
            owner=self, known_to_agent=False,
        )
        self._relays[row.id] = relay
        self._askers[row.id] = asked
        await self._openings.open(asked, relay)

    def on_session_ended(self, event: SessionEnded) -> None:
        """A session is over: input is dead from now on."""
        reason = _sentence(event.reason)
        for relay in self.relays_of(event.session_id):
            relay.end(reason)
        self._openings.forget(event.session_id)

    def on_grant_revoked(self, event: GrantRevoked) -> None:
        """Tell the agent; without a link it is told in the next welcome."""
        link = self._links.get(event.endpoint_id)
        if link is not None:
            link.granted.pop(event.session_id, None)
            link.send(Revoke(session_id=event.session_id, reason=_sentence(event.reason), grant_id=event.grant_id))

    def on_more_approved(self, event: MoreApproved) -> None:
        """A running session may go on under a new grant."""
        self.spawn(self._openings.take_over(event.session_id, event.endpoint_id), f"take over a grant in {event.session_id}")

    def on_endpoint_accepted(self, endpoint_id: str) -> None:
        """A waiting agent may be welcome now."""
        for news in self._waiting.get(endpoint_id, ()):
            news.set()

    def on_endpoint_disabled(self, endpoint_id: str) -> None:
        """Its link closes; the next dial is refused."""
        self.on_endpoint_accepted(endpoint_id)
        link = self._links.get(endpoint_id)
        if link is not None:
            link.close(CloseCode.FORBIDDEN, "this endpoint is disabled")


def _sentence(reason: str) -> str:
    return next((text for known, text in SENTENCES.items() if known == reason), reason or "the session is over")
