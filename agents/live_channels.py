"""The channels that live on this machine: started, attached, closed with their processes, and our signed word at the end.

Who may open one is decided in live_sessions.py; the socket is channel_link.py; the process is a kind of agents/channels.
A channel of an ended session stays for a while without processes, so that its last output and its exit still reach the record.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agents.channel_link import ChannelFacts, ChannelLink, ChannelOutcome
from agents.channels.interface import ShellChannel
from agents.dialing import ServerAddress
from agents.errors import StateError
from agents.grants import LiveGrant
from agents.outlet import Outlet
from agents.protocol.messages import ChannelLost, CloseWord, HeldChannel, Resume
from agents.protocol.signatures import SigningKey
from agents.protocol.words import WORD_VERSION, Word, sign_word
from agents.word_store import WordStore

LINGER_SECONDS = 300.0
REVOKED_LINGER_SECONDS = 3.0
SHUTDOWN_LINGER_SECONDS = 0.5

StartTask = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class LiveChannel:
    """One channel; `cause` is set once, by whatever ends it first (words as in protocol/words.py)."""

    facts: ChannelFacts
    shell: ShellChannel
    link: ChannelLink
    live: LiveGrant
    cause: str = ""
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def channel_id(self) -> str:
        """Name of the channel, given by the server."""
        return self.facts.channel_id


class LiveChannels:
    """All channels of this agent process, those included that only wait for their end to be on record."""

    def __init__(self, *, key: SigningKey, address: ServerAddress, outlet: Outlet, words: WordStore, start: StartTask) -> None:
        self._key = key
        self._address = address
        self._outlet = outlet
        self._words = words
        self._start = start
        self._channels: dict[str, LiveChannel] = {}
        self._attending: set[asyncio.Task[None]] = set()
        self._storing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._channels)

    def __contains__(self, channel_id: object) -> bool:
        return channel_id in self._channels

    def of_session(self, session_id: str) -> list[LiveChannel]:
        """List the channels of a session whose processes have not been ended."""
        return [one for one in self._channels.values() if one.facts.session_id == session_id and not one.cause]

    def held(self) -> tuple[HeldChannel, ...]:
        """List every channel, to be told in the proof of a link."""
        return tuple(HeldChannel(one.channel_id, one.facts.session_id) for one in self._channels.values())

    def begin(self, facts: ChannelFacts, shell: ShellChannel, live: LiveGrant, ticket: Resume) -> LiveChannel:
        """Take a started shell, attach it with the ticket and look after it from now on."""
        lost = ChannelLost(channel_id=facts.channel_id, session_id=facts.session_id)

        async def ask_again() -> None:
            await self._outlet.tell(lost)

        def on_revoke(reason: str) -> None:
            logger.info("channel %s revoked: %s", facts.channel_id, reason)
            self._start(self.close(channel, "revoked"), f"revoke {facts.channel_id}")

        link = ChannelLink(facts, shell, self._address, ask_again=ask_again, on_revoke=on_revoke)
        channel = LiveChannel(facts, shell, link, live)
        self._channels[facts.channel_id] = channel
        link.offer(ticket)
        attending = self._start(self._attend(channel), f"channel {facts.channel_id}")
        self._attending.add(attending)
        attending.add_done_callback(self._attending.discard)
        return channel

    def resume(self, ticket: Resume) -> None:
        """Dial a channel again, giving up the socket it has."""
        channel = self._channels.get(ticket.channel_id)
        if channel is not None and channel.facts.session_id == ticket.session_id:
            channel.link.offer(ticket, dial_again=True)

    async def resume_named(self, tickets: Iterable[Resume]) -> None:
        """After a welcome: offer what is named its ticket, and close every channel that is not named."""
        named = {(ticket.channel_id, ticket.session_id): ticket for ticket in tickets}
        unwanted: list[LiveChannel] = []
        for channel in self._channels.values():
            ticket = named.get((channel.channel_id, channel.facts.session_id))
            if ticket is not None:
                channel.link.offer(ticket)
            else:
                unwanted.append(channel)
        for channel in unwanted:
            channel.link.give_up()
        await asyncio.gather(*(self.close(channel, "unwanted") for channel in unwanted))

    async def close(self, channel: LiveChannel, cause: str) -> None:
        """End a channel's processes now; returns when they are gone."""
        if not channel.cause:
            channel.cause = cause
        await channel.shell.kill_tree()
        channel.closing.set()

    async def wait_closed(self, *, seconds: float) -> None:
        """Wait until no channel is left; after so many seconds each gives up its socket, and after twice as many its word."""
        if self._attending:
            await asyncio.wait(self._attending, timeout=seconds)
        for channel in self._channels.values():
            channel.link.give_up()
        if self._attending:
            await asyncio.wait(self._attending, timeout=seconds)
        for attending in self._attending:
            attending.cancel()

    async def tell_words(self) -> None:
        """Tell the server every word that it has not stored yet."""
        for channel_id, session_id, word in self._words.list_words():
            await self._outlet.tell(CloseWord(channel_id=channel_id, session_id=session_id, word=word))

    async def drop_word(self, channel_id: str) -> None:
        """Forget a word that the server has stored."""
        async with self._storing:
            await asyncio.to_thread(self._words.drop, channel_id)

    async def _attend(self, channel: LiveChannel) -> None:
        """Keep a channel attached until it is over, then end its processes and give our word about it."""
        linking = asyncio.create_task(channel.link.run())
        exiting = asyncio.create_task(self._end_tree_after_exit(channel))
        closing = asyncio.create_task(channel.closing.wait())
        try:
            await asyncio.wait((linking, closing), return_when=asyncio.FIRST_COMPLETED)
            if not channel.cause:
                channel.cause = "exit" if _has_finished(linking) else "unwanted"
            await channel.shell.kill_tree()
            await asyncio.wait((linking,), timeout=_linger_seconds(channel.cause))
        finally:
            for task in (linking, exiting, closing):
                task.cancel()
            ended = await asyncio.gather(linking, exiting, closing, return_exceptions=True)
            await channel.shell.kill_tree()
            self._channels.pop(channel.channel_id, None)
        for error in ended:
            if isinstance(error, Exception):
                logger.error("channel %s ended by an error", channel.channel_id, exc_info=error)
        await self._give_word(channel)

    async def _end_tree_after_exit(self, channel: LiveChannel) -> None:
        """A shell that ended leaves nothing behind."""
        await channel.shell.wait_exit()
        await channel.shell.kill_tree()

    async def _give_word(self, channel: LiveChannel) -> None:
        facts, shell = channel.facts, channel.shell
        word = Word(
            version=WORD_VERSION,
            endpoint_id=facts.endpoint_id,
            session_id=facts.session_id,
            channel_id=facts.channel_id,
            grant_id=channel.live.grant.grant_id,
            grant_sha256=channel.live.sha256,
            output_bytes=shell.output_total,
            output_sha256=shell.sha256_hex,
            exit_status=shell.exit_status,
            cause=channel.cause,
            closed_at=datetime.now(UTC),
        )
        signed = sign_word(self._key, word)
        try:
            async with self._storing:
                await asyncio.to_thread(self._words.keep, facts.channel_id, facts.session_id, signed)
        except StateError as exc:
            logger.error("word about channel %s is not stored: %s", facts.channel_id, exc)
        await self._outlet.tell(CloseWord(channel_id=facts.channel_id, session_id=facts.session_id, word=signed))


def _has_finished(linking: asyncio.Task[ChannelOutcome]) -> bool:
    if not linking.done() or linking.cancelled() or linking.exception() is not None:
        return False
    return linking.result() is ChannelOutcome.FINISHED


def _linger_seconds(cause: str) -> float:
    """How long the last output may take to reach the record after the processes are gone."""
    match cause:
        case "revoked" | "unwanted" | "refused":
            return REVOKED_LINGER_SECONDS
        case "shutdown":
            return SHUTDOWN_LINGER_SECONDS
        case _:
            return LINGER_SECONDS
