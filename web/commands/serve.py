"""``fernwart serve``: the server, with a listening socket of its own making and uvicorn set for terminals."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Annotated

import typer
import uvicorn
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from orchestrator.accounts.links import make_first_link
from orchestrator.core.logging import configure_logging
from orchestrator.core.settings import Settings, describe_settings
from sessions.keys import open_keys
from web.app import create_app
from web.commands.opening import open_databases
from web.doors import OnlyProxies, is_loopback, read_networks

TCP_USER_TIMEOUT_MS = 15_000
MAX_MESSAGE_BYTES = 1024 * 1024


def run_serve(
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="port to listen on")] = None,
    print_settings: Annotated[bool, typer.Option("--print-settings", help="show all settings, secrets hidden, and stop")] = False,
) -> None:
    """Start the server. The first start creates the database and the keys and prints a one-time set-up link."""
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = Settings(**given)  # type: ignore[arg-type]  # checked by pydantic
    if print_settings:
        for name, value in describe_settings(settings).items():
            typer.echo(f"FERNWART_{name.upper()}={value}")
        return
    configure_logging(settings.log_format)
    refuse_plain_http(settings)
    listening = listen(settings.host, settings.port)
    prepare_first_start(settings)
    serve(settings, listening)


def refuse_plain_http(settings: Settings) -> None:
    """Stop with one sentence when the server would speak plain http to other machines than the listed proxies."""
    try:
        read_networks(settings.trusted_proxies)
    except ValueError as exc:
        sys.stderr.write(f"fernwart: FERNWART_TRUSTED_PROXIES must list addresses or networks: {exc}.\n")
        sys.exit(os.EX_CONFIG)
    if settings.tls_cert or settings.allow_plain_http or is_loopback(settings.host) or settings.trusted_proxies:
        return
    sys.stderr.write("fernwart: plain http is served on this machine only; set FERNWART_TLS_CERT and FERNWART_TLS_KEY, "
                     "FERNWART_TRUSTED_PROXIES behind a proxy, or FERNWART_ALLOW_PLAIN_HTTP=yes.\n")
    sys.exit(os.EX_CONFIG)


def listen(host: str, port: int) -> socket.socket:
    """Bind the listening socket. ``proto`` is named, or asyncio would not switch Nagle's algorithm off; the user timeout
    ends a connection whose peer has silently gone."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
    try:
        bound.bind((host, port))
    except OSError as exc:
        bound.close()
        sys.stderr.write(f"fernwart: cannot listen on {host}:{port} ({exc.strerror}); choose another with --port.\n")
        sys.exit(os.EX_UNAVAILABLE)
    bound.listen(2048)
    return bound


def prepare_first_start(settings: Settings) -> None:
    """Make database and keys where there are none, and print what is shown only once."""
    with open_databases(settings) as (database, _records), database.write() as unit:
        opened = open_keys(unit, settings.data_dir)
        token = make_first_link(unit)
    if opened.recovery_secret is not None:
        typer.echo(f"Recovery key, shown this once; keep it offline, away from this server:\n  {opened.recovery_secret}")
    if token is not None:
        typer.echo(f"Set up the first account here (one use, 24 hours):\n  {settings.public_url}/set-up/{token}")
    sys.stdout.flush()


def guard_peers(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Believe forwarded addresses of the listed proxies, and speak plain http beyond this machine to them alone."""
    if not settings.trusted_proxies:
        return app
    believing = ProxyHeadersMiddleware(app, trusted_hosts=settings.trusted_proxies)  # type: ignore[arg-type]  # uvicorn's ASGI types
    if settings.tls_cert or settings.allow_plain_http or is_loopback(settings.host):
        return believing  # type: ignore[return-value]  # uvicorn's ASGI types
    return OnlyProxies(believing, proxies=read_networks(settings.trusted_proxies))  # type: ignore[arg-type]  # uvicorn's ASGI types


class _Server(uvicorn.Server):
    """Calls ``on_start`` once the server answers."""

    on_start: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.on_start is not None:
            self.on_start()


def serve(settings: Settings, listening: socket.socket, *, demo: bool = False, state: Mapping[str, object] | None = None,
          on_start: Callable[[], None] | None = None) -> None:
    """Serve until told to stop. ``state`` is put on the application; ``on_start`` is called when it answers."""
    app = create_app(settings, demo=demo)
    for name, value in (state or {}).items():
        setattr(app.state, name, value)
    config = uvicorn.Config(
        guard_peers(app, settings),
        loop="auto", http="httptools", ws="websockets-sansio", ws_per_message_deflate=False, ws_ping_interval=None, ws_ping_timeout=None,
        ws_max_size=MAX_MESSAGE_BYTES, log_config=None, access_log=False, server_header=False, date_header=True, lifespan="on",
        timeout_keep_alive=75, timeout_graceful_shutdown=5, backlog=2048, h11_max_incomplete_event_size=64 * 1024,
        proxy_headers=False,
        ssl_certfile=str(settings.tls_cert) if settings.tls_cert else None, ssl_keyfile=str(settings.tls_key) if settings.tls_key else None,
    )
    server = _Server(config)
    server.on_start = on_start
    server.run(sockets=[listening])
    if not server.started:
        sys.exit(os.EX_SOFTWARE)
