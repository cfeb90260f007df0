"""Who may speak to the server at all: by which host name, and from which peer when http is plain. Plain ASGI, for requests
and sockets alike. Not here: logins, rights, origins."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
ANY_HOST_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by machines that know the server by its address; they show nothing of a desk."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_loopback(host: str) -> bool:
    """Say whether an address, or the name ``localhost``, is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_networks(listed: str) -> tuple[Network, ...]:
    """Read ``FERNWART_TRUSTED_PROXIES``: addresses and networks with commas between. Raises ValueError for anything else."""
    return tuple(ipaddress.ip_network(part.strip()) for part in listed.split(",") if part.strip())


class HostCheck:
    """Answer 421 unless the ``Host`` header names this desk: the host of ``public_url``, or a name of this machine while we
    listen on this machine alone. Without it a page of a foreign name that resolves to us (DNS rebinding) could read ours."""

    def __init__(self, app: ASGIApp, *, public_url: str, listen_host: str) -> None:
        self._app = app
        own = urlsplit(public_url).hostname
        self._names = frozenset({own} if own else ()) | (LOOPBACK_NAMES if is_loopback(listen_host) else frozenset())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"] not in ANY_HOST_PATHS and not self._is_ours(scope):
            await refuse(scope, send, 421, "This server is not known by that name.")
            return
        await self._app(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1:
            return False
        try:
            return urlsplit(f"//{given[0].decode('ascii')}").hostname in self._names
        except ValueError:
            return False


class OnlyProxies:
    """Answer 403 to everybody but this machine and the listed proxies. For plain http beyond loopback; must see the
    peer's own address, so it stands outside of whatever believes forwarded ones."""

    def __init__(self, app: ASGIApp, *, proxies: Sequence[Network]) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self._may_speak(scope["client"][0] if scope.get("client") else ""):
            await refuse(scope, send, 403, "Plain http is answered to the proxy alone.")
            return
        await self._app(scope, receive, send)

    def _may_speak(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return address.is_loopback or any(address in network for network in self._proxies)


async def refuse(scope: Scope, send: Send, status: int, sentence: str) -> None:
    """Answer a request with one sentence; a socket is refused before it opens (403)."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": sentence})
        return
    body = sentence.encode()
    await send({"type": "http.response.start", "status": status, "headers": [
        (b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
