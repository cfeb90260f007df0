"""Drives a real login shell the way a technician would, and keeps the command rows its marks make."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType

from agents.channels.shell import ShellChannel, open_shell
from sessions.recording.commands import CommandLog
from sessions.recording.interface import CommandRow, MarkEvent, MarkEventKind
from sessions.recording.marks import MarkKind, MarkParser

DEADLINE_SECONDS = 8.0
EDITOR_READY = b"\x1b[?2004h"
"""What bash's line editor prints when it has taken the terminal over; `A` only means "about to prompt" (marks.md 11)."""


class ShellDriver:
    """``async with ShellDriver(user) as shell`` opens the shell and waits until its editor is ready."""

    def __init__(self, user: str, *, marked: bool = True, wait: bool = True) -> None:
        self.user = user
        self.nonce = secrets.token_hex(16)
        self.visible = bytearray()
        self.raw = bytearray()
        self.rows: dict[int, CommandRow] = {}
        self.events: list[MarkEventKind] = []
        self.prompts = 0
        self._wait = wait
        self._marked = marked
        self._removed = 0
        self._prompt_at = 0
        self._ready_prompts = 0
        self._news = asyncio.Event()

    async def __aenter__(self) -> ShellDriver:
        self._parser = MarkParser(self.nonce)
        self._started = time.monotonic()
        self._log = CommandLog(shell="bash", marked=True, started_at=datetime.now(UTC))
        self.channel: ShellChannel = await open_shell(user=self.user, columns=80, rows=24, marks_nonce=self.nonce if self._marked else None)
        self._pump = asyncio.create_task(self._read())
        try:
            if self._wait:
                await self.next_prompt()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.channel.kill_tree()
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)
        if kind is not None:
            print("screen:", bytes(self.visible[-3000:]))
            print("rows:", self.lines())

    async def _read(self) -> None:
        output = self.channel.output
        while True:
            offset = output.low
            await output.wait_beyond(offset)
            data = output.read_from(offset, 65_536)
            if not data:
                shown, marks = self._parser.finish()
                self.visible += shown
                self._keep(self._log.finish(at=self._at(), offset=offset, exit_status=await self.channel.wait_exit()))
                self._news.set()
                return
            output.acknowledge(offset + len(data))
            self.raw += data
            shown, marks = self._parser.feed(data)
            self.visible += shown
            for mark in marks:
                if mark.kind is MarkKind.PROMPT:
                    self.prompts += 1
                    self._prompt_at = mark.offset - self._removed
                self._removed += mark.offset_end - mark.offset
                self._keep(self._log.take(mark, at=self._at()))
            self._news.set()

    def _at(self) -> float:
        return time.monotonic() - self._started

    def _keep(self, changes: list[CommandRow | MarkEvent]) -> None:
        for change in changes:
            if isinstance(change, CommandRow):
                self.rows[change.number] = change
            else:
                self.events.append(change.kind)

    async def until(self, holds: Callable[[], bool], *, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait for a condition with a deadline; looks again whenever the shell printed something."""
        deadline = time.monotonic() + seconds
        while not holds():
            left = deadline - time.monotonic()
            assert left > 0, "the shell did not come to the expected state in time"
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), min(left, 0.25))
            except TimeoutError:
                continue

    async def send(self, data: bytes) -> None:
        await self.channel.write_input(data)

    async def next_prompt(self, *, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait for a prompt after the last one waited for, whose editor has begun to read."""
        wanted = self._ready_prompts + 1
        await self.until(lambda: self.prompts >= wanted and self.visible.find(EDITOR_READY, self._prompt_at) >= 0, seconds=seconds)
        self._ready_prompts = self.prompts

    async def line(self, text: str, *, seconds: float = DEADLINE_SECONDS) -> None:
        """Type a line and wait for the prompt after it."""
        self._ready_prompts = self.prompts
        await self.send(text.encode("utf-8", "surrogateescape") + b"\r")
        await self.next_prompt(seconds=seconds)

    async def interrupt(self, *, seconds: float = DEADLINE_SECONDS) -> None:
        """Press Ctrl-C and wait for the prompt; again after a while, since a line editor misses one that comes just as it
        has looked for signals and not begun to read yet."""
        self._ready_prompts = self.prompts
        deadline = time.monotonic() + seconds
        while self.prompts == self._ready_prompts:
            assert time.monotonic() < deadline, "Ctrl-C gave no prompt"
            await self.send(b"\x03")
            with suppress(AssertionError):
                await self.until(lambda: self.prompts > self._ready_prompts, seconds=0.7)
        await self.next_prompt()

    async def sees(self, text: bytes, *, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until the terminal has shown ``text``."""
        await self.until(lambda: text in self.visible, seconds=seconds)

    async def ended(self, *, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until the shell has ended and all of its output was read."""
        await self.until(self._pump.done, seconds=seconds)

    async def completed(self, count: int, *, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until ``count`` rows are complete."""
        await self.until(lambda: sum(row.offset_end is not None for row in self.rows.values()) >= count, seconds=seconds)

    def lines(self) -> list[tuple[str | None, int | None]]:
        """Line and status of every row so far."""
        return [(row.line, row.exit_status) for row in self.rows.values()]

    def flags(self) -> list[tuple[str, ...]]:
        return [row.flags for row in self.rows.values()]
