"""Bare references, each a process of its own: a WebSocket echo, and a minimal relay with an agent that runs a shell on a PTY.

They do nothing that Fernwart must do (no consent, record, resume, limits): they say what this machine can reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import ssl
import struct
import subprocess
import sys
import termios
from pathlib import Path

import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.certificates import Certificates
from tests.running import clean_environment, free_port

GATHER_BYTES = 65536
SHORT_READ_BYTES = 1024


def _server_context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def run_echo(port: int, certificate: str, key: str) -> None:
    """Send back what comes."""
    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with serve(echo, "127.0.0.1", port, ssl=_server_context(certificate, key), compression=None, max_size=None, ping_interval=None):
        await asyncio.get_running_loop().create_future()


async def run_relay(port: int, certificate: str, key: str) -> None:
    """Pump bytes between the socket at /agent and the one at /browser."""
    waiting: dict[str, asyncio.Future[ServerConnection]] = {}

    def seat(path: str) -> asyncio.Future[ServerConnection]:
        return waiting.setdefault(path, asyncio.get_running_loop().create_future())

    async def pump(socket: ServerConnection) -> None:
        path = socket.request.path if socket.request else ""
        seat(path).set_result(socket)
        other = await seat("/browser" if path == "/agent" else "/agent")
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                await other.send(message)
        await other.close()

    async with serve(pump, "127.0.0.1", port, ssl=_server_context(certificate, key), compression=None, max_size=None, ping_interval=None):
        await asyncio.get_running_loop().create_future()


async def run_relay_agent(port: int, ca: str) -> None:
    """Run bash on a PTY and pump it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    shell = subprocess.Popen(["bash", "--norc"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                             env={**os.environ, "TERM": "xterm-256color"})
    os.close(slave)
    os.set_blocking(master, False)
    loop = asyncio.get_running_loop()
    async with connect(f"wss://127.0.0.1:{port}/agent", ssl=ssl.create_default_context(cafile=ca), compression=None, max_size=None,
                       ping_interval=None) as socket:
        readable = asyncio.Event()
        loop.add_reader(master, readable.set)

        async def send_output() -> None:
            while True:
                await readable.wait()
                readable.clear()
                while data := gather(master):
                    await socket.send(data)

        sender = asyncio.create_task(send_output())
        async for message in socket:
            data = message if isinstance(message, bytes) else message.encode()
            while data:
                try:
                    data = data[os.write(master, data):]
                except BlockingIOError:
                    await asyncio.sleep(0.001)
        sender.cancel()
    shell.kill()


def gather(master: int) -> bytes:
    """Read what is there, at most 64 KiB; a terminal gives 4 KiB at a time. A short read means that it is empty."""
    data = b""
    with contextlib.suppress(BlockingIOError):
        while len(data) < GATHER_BYTES:
            piece = os.read(master, GATHER_BYTES - len(data))
            data += piece
            if len(piece) < SHORT_READ_BYTES:
                break
    return data


class Reference:
    """A started reference process."""

    def __init__(self, words: list[str]) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.references", *words], env=clean_environment())

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(5)


def start_echo(certificates: Certificates) -> tuple[Reference, int]:
    port = free_port()
    return Reference(["echo", str(port), str(certificates.certificate), str(certificates.key)]), port


def start_relay(certificates: Certificates) -> tuple[Reference, int]:
    port = free_port()
    return Reference(["relay", str(port), str(certificates.certificate), str(certificates.key)]), port


def start_relay_agent(port: int, ca: Path) -> Reference:
    return Reference(["relay-agent", str(port), str(ca)])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["echo", port, certificate, key]:
            uvloop.run(run_echo(int(port), certificate, key))
        case ["relay", port, certificate, key]:
            uvloop.run(run_relay(int(port), certificate, key))
        case ["relay-agent", port, ca]:
            uvloop.run(run_relay_agent(int(port), ca))
        case _:
            sys.exit("echo|relay PORT CERTIFICATE KEY, relay-agent PORT CA")
