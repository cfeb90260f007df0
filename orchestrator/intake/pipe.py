"""The pipe command's way in: a local socket of the running server, and the same work without a server.

Here: the socket in the data folder, its little protocol, and the client. Not here: the command itself
(`web/commands/intake.py`), what becomes of a mail (`receive.py`).

One connection is one mail: a JSON line `{"size": N, "to": […], "from": …}`, N bytes, then one JSON line back. The answer
comes after the commit. The socket belongs to the account of the server and nobody else may open it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from orchestrator.core.db import Database
from orchestrator.core.errors import AppError, Unavailable
from orchestrator.core.settings import Settings
from orchestrator.intake.receive import receive_mail, recover_waiting
from orchestrator.intake.understand import IntakeResult, Outcome

log = structlog.get_logger(__name__)

SOCKET_NAME = "intake.sock"
ANSWER_SECONDS = 120.0
_READ_SECONDS = 60.0
_STOP_SECONDS = 10.0
_MAX_HEAD = 64 * 1024
_MAX_PATH = 100
"""Bytes that a socket's path may have; longer ones go over the folder's descriptor."""

_MAX_AT_ONCE = 8


class IntakeSocket:
    """Take mails from the pipe command while the server runs; what waited since the last stop is understood at the start.

    Order of calls: ``start``, then ``stop``, on the event loop of the server.
    """

    def __init__(self, settings: Settings, database: Database, executor: Executor) -> None:
        self._settings = settings
        self._database = database
        self._executor = executor
        self._server: asyncio.Server | None = None
        self._slots = asyncio.Semaphore(_MAX_AT_ONCE)
        self._recovery: asyncio.Future[int] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen, unless another server does so on this data folder already; then understand what waits."""
        loop = asyncio.get_running_loop()
        if await loop.run_in_executor(self._executor, is_served, self._settings):
            log.warning("another server listens on the intake socket of this data folder")
        else:
            self._server = await asyncio.start_unix_server(self._serve, sock=_bind(self._settings.data_dir), limit=_MAX_HEAD)
        self._recovery = loop.run_in_executor(self._executor, self._recover)

    async def stop(self) -> None:
        """Stop listening; a mail that has arrived is still answered."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            await self._end_connections()
            (self._settings.data_dir / SOCKET_NAME).unlink(missing_ok=True)
            self._server = None
        if self._recovery is not None:
            await self._recovery
            self._recovery = None

    async def _end_connections(self) -> None:
        """Let the connections that are open finish, and end those that take too long."""
        await asyncio.sleep(0)  # one that was accepted just now has no task yet
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _recover(self) -> int:
        try:
            return recover_waiting(self._database)
        except AppError as exc:
            log.warning("stored mails wait until the next start", reason=str(exc))
            return 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with self._slots:
                answer = await self._answer(reader)
                writer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        except asyncio.IncompleteReadError as exc:
            if exc.partial:  # without a byte it was only asked whether anybody listens
                log.warning("a connection of the pipe command broke off")
        except (OSError, TimeoutError):
            log.warning("a connection of the pipe command broke off")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                head = json.loads(await reader.readuntil(b"\n"))
                size = int(head["size"])
                if not 0 <= size <= self._settings.smtp_max_bytes:
                    return {"error": f"The mail is larger than {self._settings.smtp_max_bytes} bytes."}
                raw = await reader.readexactly(size)
        except (ValueError, KeyError, TypeError, asyncio.LimitOverrunError):
            return {"error": "The request cannot be read."}
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._executor, self._receive, head, raw)
        except AppError as exc:
            return {"error": str(exc)}
        except Exception:  # the boundary of the connection: the sender keeps the mail and tries again
            log.exception("a mail of the pipe could not be received")
            return {"error": "Something failed in the server."}
        return result_as_data(result)

    def _receive(self, head: dict[str, Any], raw: bytes) -> IntakeResult:
        sender = head.get("from")
        return receive_mail(self._database, self._settings, raw, door="pipe", envelope_from=None if sender is None else str(sender),
                            envelope_to=[str(address) for address in head.get("to") or ()])


def _bind(data_dir: Path) -> socket.socket:
    """Bind the socket in place of a dead one; only the server's own account may open it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with reachable_path(data_dir) as path:
        Path(path).unlink(missing_ok=True)
        listener.bind(path)
        Path(path).chmod(0o600)
    return listener


def result_as_data(result: IntakeResult) -> dict[str, Any]:
    """Give a result as the command prints it."""
    return {"outcome": str(result.outcome), "ticket": result.ticket_number, "entry": result.entry_id, "reason": result.reason}


def is_served(settings: Settings) -> bool:
    """Tell whether a server listens on this data folder."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        connection.settimeout(5)
        try:
            with reachable_path(settings.data_dir) as path:
                connection.connect(path)
        except OSError:
            return False
        return True


def hand_over(settings: Settings, raw: bytes, *, envelope_from: str | None, envelope_to: Sequence[str]) -> IntakeResult | None:
    """Give a mail to the running server; None when there is none.

    Raises:
        Unavailable: a server is there but could not store the mail.
    """
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            with reachable_path(settings.data_dir) as path:
                connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return None
        except OSError as exc:
            raise Unavailable("The server's intake socket cannot be used: {reason}", reason=str(exc)) from exc
        try:
            head = {"size": len(raw), "to": list(envelope_to), "from": envelope_from}
            with contextlib.suppress(BrokenPipeError):  # a server that refuses early has answered already
                connection.sendall(json.dumps(head).encode() + b"\n" + raw)
            with connection.makefile("rb") as lines:
                answer = json.loads(lines.readline(_MAX_HEAD) or b"{}")
        except (OSError, ValueError) as exc:
            raise Unavailable("The server did not answer: {reason}", reason=str(exc)) from exc
    if "outcome" not in answer:
        raise Unavailable("The server could not store the mail: {reason}", reason=str(answer.get("error", "no answer")))
    return IntakeResult(Outcome(answer["outcome"]), answer["ticket"], answer["entry"], answer["reason"])


@contextmanager
def reachable_path(data_dir: Path) -> Generator[str, None, None]:
    """Give a path of the socket that is short enough for the system."""
    path = data_dir / SOCKET_NAME
    if len(os.fsencode(path)) <= _MAX_PATH:
        yield str(path)
        return
    descriptor = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)
