"""The agent's local socket: `status` and `stop` for the people at the machine, with or without a server.

It lies in the private state folder; only root and the agent's own account are answered. One JSON object a line, one question
a connection.
"""

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from agents.errors import ConfigurationError
from agents.state_folder import StateFolder

SOCKET_NAME = "agent.sock"
ANSWER_SECONDS = 15
_LONGEST_LINE = 64 * 1024
_PATH_LIMIT = 100

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

logger = logging.getLogger(__name__)


async def serve_local_socket(folder: StateFolder, answer: Answer) -> asyncio.Server:
    """Listen in the state folder; the caller closes the server. Raises ConfigurationError."""
    folder.remove(SOCKET_NAME)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _with_short_path(folder.path, listening.bind)
        (folder.path / SOCKET_NAME).chmod(0o600)
    except OSError as exc:
        listening.close()
        raise ConfigurationError(f"The local socket in {folder.path} cannot be made: {exc.strerror}.") from exc

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await _attend(reader, writer, answer)
        except (OSError, ValueError, TimeoutError) as exc:
            logger.info("local socket: %s", type(exc).__name__)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    return await asyncio.start_unix_server(attend, sock=listening, limit=_LONGEST_LINE)


def ask_local_agent(folder: StateFolder, question: dict[str, Any]) -> dict[str, Any] | None:
    """Ask the running agent; None when none runs. Blocks at most 15 s."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            _with_short_path(folder.path, connection.connect)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        connection.sendall(json.dumps(question).encode("utf-8") + b"\n")
        with connection.makefile("rb") as file:
            line = file.readline(16 * _LONGEST_LINE)
    value = json.loads(line)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


async def _attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    line = await reader.readline()
    if not _may_ask(writer):
        reply: dict[str, Any] = {"error": "Only root and the agent's own account may ask."}
    else:
        question = json.loads(line)
        if not isinstance(question, dict):
            raise ValueError("not an object")
        reply = await answer(cast("dict[str, Any]", question))
    writer.write(json.dumps(reply).encode("utf-8") + b"\n")
    await writer.drain()


def _may_ask(writer: asyncio.StreamWriter) -> bool:
    """Check who is at the other end, beside the folder's permissions; where the system does not tell, those alone count."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    return uid in (0, os.geteuid())


def _with_short_path(folder: Path, use: Callable[[str], None]) -> None:
    """Bind or connect although the folder's path may be longer than a socket's address can be (108 bytes on Linux)."""
    path = str(folder / SOCKET_NAME)
    if len(os.fsencode(path)) < _PATH_LIMIT:
        use(path)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        use(f"/proc/self/fd/{descriptor}/{SOCKET_NAME}")
    finally:
        os.close(descriptor)
