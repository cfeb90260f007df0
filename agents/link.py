"""The control link: one per agent, dialled again for ever, carrying messages between the server and the live sessions.

The handshake is in link_handshake.py, what happens to sessions in live_sessions.py.
"""

import asyncio
import logging
import random
from dataclasses import replace
from enum import StrEnum

from agents.backoff import Backoff
from agents.consent import answer_request
from agents.dialing import DIAL_ERRORS, ServerAddress, Socket, describe_failure
from agents.errors import StateError
from agents.host_facts import collect_host_facts
from agents.identity import ServerRecord, save_server
from agents.inventory import collect_inventory
from agents.link_handshake import LinkRefusedError, read_message, send_message, shake_hands
from agents.live_sessions import LiveSessions
from agents.protection import describe_user
from agents.protocol import limits
from agents.protocol.errors import HandshakeRefused, MalformedMessage, ProtocolError
from agents.protocol.messages import (
    AgentMessage,
    AskConsent,
    AskUser,
    Challenge,
    OpenChannel,
    OpenSession,
    Ping,
    Pong,
    Refused,
    ResumeChannel,
    Revoke,
    ServerMessage,
    UseGrant,
    UserAnswer,
    Waiting,
    Welcome,
    WordStored,
)
from agents.protocol.signatures import SigningKey
from agents.protocol.version import LINK_PATH
from agents.state_folder import StateFolder

FIRST_RETRY_SECONDS = 1.0
DEFAULT_CAP_SECONDS = 10.0
REFUSED_RETRY_SECONDS = 60
PONG_SECONDS = 15
WAITING_PING_SECONDS = 30

logger = logging.getLogger(__name__)


class LinkState(StrEnum):
    """What `status` shows."""

    OFFLINE = "offline"
    WAITING = "waiting"
    ONLINE = "online"


class Link:
    """Keeps the agent linked to its server until cancelled."""

    def __init__(
        self, *, key: SigningKey, record: ServerRecord, folder: StateFolder, address: ServerAddress, sessions: LiveSessions
    ) -> None:
        self.state = LinkState.OFFLINE
        self.last_failure = ""
        self._key = key
        self._record = record
        self._folder = folder
        self._address = address
        self._sessions = sessions
        self._backoff = Backoff(first_seconds=FIRST_RETRY_SECONDS, cap_seconds=DEFAULT_CAP_SECONDS)

    async def run(self) -> None:
        """Dial, serve, and dial again after a random time that doubles to the cap the server told."""
        while True:
            least_seconds = 0
            try:
                await self._serve_one_link()
            except LinkRefusedError as exc:
                least_seconds = exc.refused.retry_seconds or REFUSED_RETRY_SECONDS
                self._note_failure(f"the server refuses this agent ({exc.refused.code.value}): {exc}", logging.WARNING)
            except (HandshakeRefused, ProtocolError) as exc:
                self._note_failure(str(exc), logging.WARNING)
            except StateError as exc:
                self._note_failure(str(exc), logging.ERROR)
            except DIAL_ERRORS as exc:
                self._note_failure(describe_failure(exc), logging.INFO)
            except Exception as exc:
                logger.exception("link ended by an error")
                self.last_failure = type(exc).__name__
            await asyncio.sleep(least_seconds + self._backoff.next_seconds())

    def _note_failure(self, sentence: str, level: int) -> None:
        if sentence != self.last_failure:
            logger.log(level, "no link: %s", sentence)
        self.last_failure = sentence

    async def _serve_one_link(self) -> None:
        facts = await asyncio.to_thread(collect_host_facts, self._folder, self._record.host_class)
        socket = await self._address.dial(LINK_PATH, longest_message=limits.LINK_MESSAGE_BYTES)
        try:
            self._record = await shake_hands(
                socket,
                key=self._key,
                record=self._record,
                folder=self._folder,
                host=facts,
                channels=self._sessions.channels.held(),
            )
            await _LinkService(self, socket).run()
        except BaseExceptionGroup as group:
            raise _first_leaf(group) from None
        finally:
            self.state = LinkState.OFFLINE
            self._sessions.link_down()
            await socket.close()

    async def note_waiting(self, message: Waiting) -> None:
        """The server knows us and waits for a technician."""
        self.state = LinkState.WAITING
        self._backoff.reset()
        logger.info("waiting for acceptance; fingerprint of this agent: %s", self._key.public.fingerprint)
        await self._remember(replace(self._record, endpoint_id=message.endpoint_id))

    async def note_welcome(self, message: Welcome, socket: Socket) -> None:
        """The link stands. Raises HandshakeRefused when the welcome contradicts what was proved or enrolled."""
        record = self._record
        if message.epoch != record.epoch:
            raise HandshakeRefused("server welcomes under another epoch than it proved")
        if message.host_class is not record.host_class:
            raise HandshakeRefused(f"server accepted this machine as {message.host_class.value}, it is a {record.host_class.value}")
        await self._remember(replace(record, endpoint_id=message.endpoint_id))
        self._backoff.cap_seconds = float(message.reconnect_seconds)
        self._backoff.reset()

        async def send(out: AgentMessage) -> bool:
            try:
                await send_message(socket, out)
            except DIAL_ERRORS:
                # A link that takes nothing for 10 s is no link; the reader ends and dials again.
                socket.transport.abort()
                return False
            return True

        await self._sessions.link_up(self._record, message, send)
        self.state = LinkState.ONLINE
        self.last_failure = ""
        logger.info("online")
        await self.tell_inventory()

    async def tell_inventory(self) -> None:
        """Send the facts about this machine."""
        await self._sessions.outlet.tell(await asyncio.to_thread(collect_inventory))

    async def tell_user(self, message: AskUser) -> None:
        """Answer what may be said about an account."""
        facts = await asyncio.to_thread(describe_user, message.user)
        await self._sessions.outlet.tell(UserAnswer(query_id=message.query_id, facts=facts))

    @property
    def sessions(self) -> LiveSessions:
        """The sessions this link serves."""
        return self._sessions

    async def _remember(self, record: ServerRecord) -> None:
        if self._record.endpoint_id not in ("", record.endpoint_id):
            raise HandshakeRefused("server calls this endpoint by another name than before")
        if record != self._record:
            await asyncio.to_thread(save_server, self._folder, record)
            self._record = record


class _LinkService:
    """One link after the proof: reads messages, pings, hands over. Ends with an exception, in every case."""

    def __init__(self, link: Link, socket: Socket) -> None:
        self._link = link
        self._socket = socket
        self._ping_seconds = WAITING_PING_SECONDS
        self._pong = asyncio.Event()
        self._count = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ping())
            while True:
                await self._take(await read_message(self._socket))

    async def _take(self, message: ServerMessage) -> None:
        sessions = self._link.sessions
        if self._link.state is not LinkState.ONLINE and not isinstance(message, Refused | Waiting | Welcome | Pong):
            raise MalformedMessage("server asks for something before it welcomed this agent")
        match message:
            case Refused():
                raise LinkRefusedError(message)
            case Waiting():
                await self._link.note_waiting(message)
            case Welcome():
                if self._link.state is LinkState.ONLINE:
                    raise MalformedMessage("server welcomes twice")
                self._ping_seconds = message.ping_seconds
                await self._link.note_welcome(message, self._socket)
            case OpenSession():
                sessions.start(sessions.open_session(message), f"open session {message.session_id}")
            case UseGrant():
                sessions.start(sessions.use_grant(message), f"use grant in {message.session_id}")
            case OpenChannel():
                sessions.start(sessions.open_channel(message), f"open channel {message.channel_id}")
            case Revoke():
                sessions.start(sessions.revoke(message), f"revoke in {message.session_id}")
            case ResumeChannel():
                sessions.channels.resume(message.channel)
            case WordStored():
                sessions.start(sessions.channels.drop_word(message.channel_id), f"drop word of {message.channel_id}")
            case AskUser():
                sessions.start(self._link.tell_user(message), f"describe user {message.user}")
            case AskConsent():
                await sessions.outlet.tell(answer_request(message))
            case Pong():
                if message.count == self._count:
                    self._pong.set()
            case Challenge():
                raise MalformedMessage("server challenges twice")

    async def _ping(self) -> None:
        """Ping, spread over the interval; a server that does not answer is gone (whoever dials, pings)."""
        await asyncio.sleep(random.uniform(0, self._ping_seconds))  # noqa: S311 (spreading, no secret)
        while True:
            self._count += 1
            self._pong.clear()
            await send_message(self._socket, Ping(count=self._count))
            async with asyncio.timeout(PONG_SECONDS):
                await self._pong.wait()
            await asyncio.sleep(self._ping_seconds)


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first_leaf(first) if isinstance(first, BaseExceptionGroup) else first
