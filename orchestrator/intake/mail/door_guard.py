"""Who may talk to the SMTP door, how often, and how many at once.

Here: pure bookkeeping of addresses. Not here: sockets and replies to commands (`smtp.py`).
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from orchestrator.core.errors import InvalidInput
from orchestrator.core.settings import Settings

MAX_CONNECTIONS = 100
MAX_CONNECTIONS_OF_ADDRESS = 20
MAILS_PER_MINUTE = 600
"""From one address; this machine's own programs have no such limit."""

_MINUTE_SECONDS = 60.0
_MAX_KNOWN_ADDRESSES = 10_000

Network = IPv4Network | IPv6Network


def parse_listen(text: str) -> tuple[str, int]:
    """Read `host:port` or `[host]:port`. Raises ``InvalidInput``."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise InvalidInput("FERNWART_SMTP_LISTEN must be host:port, not {text}.", text=text, field="smtp_listen")
    return host.strip("[]") or "127.0.0.1", int(port)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read a list of addresses and networks, separated by commas or spaces. Raises ``InvalidInput``."""
    networks: list[Network] = []
    for part in text.replace(",", " ").split():
        try:
            networks.append(ip_network(part, strict=False))
        except ValueError as exc:
            raise InvalidInput("FERNWART_SMTP_ALLOW: {text} is no address and no network.", text=part, field="smtp_allow") from exc
    return tuple(networks)


@dataclass(slots=True)
class DoorGuard:
    """Count connections and mails by address. Safe to use from several threads; ``clock`` is monotonic, in seconds."""

    host: str
    port: int
    allowed: Sequence[Network] = ()
    clock: Callable[[], float] = time.monotonic
    _connections: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _mails: dict[str, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def from_settings(cls, settings: Settings) -> DoorGuard:
        """Read the settings; anything wider than loopback needs a list of allowed addresses. Raises ``InvalidInput``."""
        host, port = parse_listen(settings.smtp_listen)
        allowed = parse_networks(settings.smtp_allow)
        if not allowed and not _is_loopback(host):
            raise InvalidInput(
                "FERNWART_SMTP_LISTEN={listen} can be reached from elsewhere: say in FERNWART_SMTP_ALLOW which addresses may send.",
                listen=settings.smtp_listen, field="smtp_allow",
            )  # fmt: skip
        return cls(host, port, allowed)

    def admit(self, address: str) -> str | None:
        """Count a new connection, or give the line by which it is refused."""
        if not self.is_allowed(address):
            return "554 5.7.1 Your address may not send mail here"
        with self._lock:
            if sum(self._connections.values()) >= MAX_CONNECTIONS:
                return "421 4.3.2 Too many connections, try again later"
            if self._connections[address] >= MAX_CONNECTIONS_OF_ADDRESS and not _is_loopback(address):
                return "421 4.7.0 Too many connections from your address, try again later"
            self._connections[address] += 1
        return None

    def leave(self, address: str) -> None:
        """Count a connection that ended."""
        with self._lock:
            self._connections[address] -= 1
            if self._connections[address] <= 0:
                del self._connections[address]

    def is_allowed(self, address: str) -> bool:
        """Tell whether an address may send: this machine always, others by the list."""
        if _is_loopback(address):
            return True
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any(one in network for network in self.allowed for one in (parsed, mapped) if one is not None)

    def may_send(self, address: str) -> bool:
        """Count one mail of an address; False when it has sent too many within a minute."""
        if _is_loopback(address):
            return True
        now = self.clock()
        with self._lock:
            if len(self._mails) > _MAX_KNOWN_ADDRESSES:
                self._mails = {known: sent for known, sent in self._mails.items() if sent and sent[-1] > now - _MINUTE_SECONDS}
            sent = self._mails.setdefault(address, deque())
            while sent and sent[0] <= now - _MINUTE_SECONDS:
                sent.popleft()
            if len(sent) >= MAILS_PER_MINUTE:
                return False
            sent.append(now)
        return True


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return parsed.is_loopback or (mapped is not None and mapped.is_loopback)
