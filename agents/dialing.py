"""Dialling the server: addresses, trust, time limits, and the one place that touches the websockets library.

What is said on the sockets is in link.py and channel_link.py.
"""

import hashlib
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from agents.errors import ConfigurationError

OPEN_SECONDS = 10
CLOSE_SECONDS = 2
USER_TIMEOUT_SECONDS = 20

Socket = ClientConnection
SocketClosed = ConnectionClosed
DIAL_ERRORS = (OSError, WebSocketException, TimeoutError)


class _Connect(connect):
    """A dial that goes where it was told: a redirect is a failure."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where the server is: `ws://host:port/prefix` and how it is trusted (None = plain, on loopback only)."""

    base: str
    trust: ssl.SSLContext | None
    is_loopback: bool

    async def dial(
        self,
        path: str,
        *,
        longest_message: int,
        headers: dict[str, str] | None = None,
        ping_seconds: float | None = None,
        queued_frames: int = 16,
    ) -> Socket:
        """Open a socket at the path; the caller closes it. Raises one of DIAL_ERRORS.

        With `ping_seconds`, a peer that answers no ping for as long is taken for gone.
        """
        socket_ = await _Connect(
            self.base + path,
            ssl=self.trust,
            additional_headers=headers,
            user_agent_header="fernwart-agent",
            compression=None,
            proxy=None if self.is_loopback else True,
            max_size=longest_message,
            max_queue=queued_frames,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            ping_interval=ping_seconds,
            ping_timeout=ping_seconds,
        )
        _limit_silence(socket_)
        return socket_


def read_address(url: str, ca_file: str) -> ServerAddress:
    """Turn the server's public URL into an address. Raises ConfigurationError.

    Plain http and ws are accepted on loopback only. `ca_file` replaces the system's certificate store when it is not empty.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as exc:
        raise ConfigurationError(f"{url!r} is no address; write for example https://desk.example.org") from exc
    if parts.scheme not in ("http", "https", "ws", "wss") or not host or parts.username or parts.query or parts.fragment:
        raise ConfigurationError(f"{url!r} is no address; write for example https://desk.example.org")
    is_loopback = _is_loopback(host)
    secure = parts.scheme in ("https", "wss")
    if not secure and not is_loopback:
        raise ConfigurationError("Without TLS the agent talks to this machine only; use an https address.")
    shown = f"[{host}]" if ":" in host else host
    where = shown if port is None else f"{shown}:{port}"
    base = f"{'wss' if secure else 'ws'}://{where}{parts.path.rstrip('/')}"
    return ServerAddress(base, _make_trust(ca_file) if secure else None, is_loopback)


def certificate_digest(socket_: Socket) -> str:
    """SHA-256 (hexadecimal) of the certificate the server showed; empty without TLS."""
    secured = socket_.transport.get_extra_info("ssl_object")
    if secured is None:
        return ""
    return hashlib.sha256(secured.getpeercert(binary_form=True)).hexdigest()


def describe_failure(error: BaseException) -> str:
    """Say in a few words why a dial failed or a socket closed."""
    if isinstance(error, InvalidStatus):
        return f"the server answered {error.response.status_code}"
    if isinstance(error, ConnectionClosed):
        return "the connection was lost"
    if isinstance(error, InvalidHandshake):
        return "the server does not speak our protocol"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted ({error.verify_message}); name its authority with --ca"
    if isinstance(error, TimeoutError):
        return "the server does not answer"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _make_trust(ca_file: str) -> ssl.SSLContext:
    if ca_file and not Path(ca_file).is_file():
        raise ConfigurationError(f"There is no file {ca_file} with certificates.")
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (ssl.SSLError, OSError) as exc:
        raise ConfigurationError(f"The certificates in {ca_file or 'the system store'} cannot be read.") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _limit_silence(socket_: Socket) -> None:
    """Let the kernel give up on a peer that acknowledges nothing for 20 s (wire.md 4: half-open paths)."""
    raw: socket.socket | None = socket_.transport.get_extra_info("socket")
    if raw is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_SECONDS * 1000)
