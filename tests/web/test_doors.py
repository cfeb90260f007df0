"""By which name and from which peer the server is spoken to."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Generator
from pathlib import Path

import pytest
import websockets
from starlette.types import Message, Receive, Scope, Send

from agents.protocol.version import LINK_PATH
from orchestrator.core.settings import Settings
from tests.web.whole import Whole, run_whole
from web.commands.serve import guard_peers, refuse_plain_http
from web.doors import HostCheck, OnlyProxies, read_networks


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Generator[Whole, None, None]:
    folder: Path = tmp_path_factory.mktemp("doors")
    with run_whole(Settings(data_dir=folder / "data", recording_reserve_bytes=1024, public_url="https://desk.example")) as running:
        yield running


@pytest.mark.parametrize("host", ["evil.example", "desk.example.evil.example", "127.0.0.1.evil.example", "evil.example:443", "", "[::1", "10.0.0.5"])
def test_a_foreign_host_name_is_refused_on_every_page_but_health(whole: Whole, host: str) -> None:
    with whole.client({"Host": host}) as client:
        assert client.get("/login").status_code == 421
        assert client.get("/static/none.css").status_code == 421
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("host", ["desk.example", "DESK.example:443", "localhost", "127.0.0.1:8420", "[::1]:8420"])
def test_the_names_of_the_desk_and_of_this_machine_are_answered(whole: Whole, host: str) -> None:
    with whole.client({"Host": host}) as client:
        assert client.get("/login").status_code == 200


def test_a_socket_by_a_foreign_name_does_not_open(whole: Whole) -> None:
    port = int(whole.url.rsplit(":", 1)[1])

    async def dial() -> None:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://evil.example:{port}{LINK_PATH}", host="127.0.0.1", port=port, proxy=None)
        assert refused.value.response.status_code == 403

    asyncio.run(dial())


async def answer_ok(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def no_body() -> Message:
    return {"type": "http.request"}


def status_of(app: HostCheck | OnlyProxies, *, host: str = "desk.example", peer: str | None = "127.0.0.1", kind: str = "http") -> int:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app({"type": kind, "path": "/", "headers": [(b"host", host.encode())], "client": (peer, 1) if peer else None}, no_body, send))
    return sent[0].get("status", 403 if sent[0]["type"] == "websocket.close" else 0)


def test_names_of_this_machine_do_not_count_when_other_machines_can_reach_us() -> None:
    check = HostCheck(answer_ok, public_url="https://desk.example", listen_host="0.0.0.0")
    assert status_of(check, host="desk.example") == 200
    assert status_of(check, host="localhost") == status_of(check, host="127.0.0.1") == 421


@pytest.mark.parametrize(("peer", "status"), [
    ("127.0.0.1", 200), ("::1", 200), ("10.0.0.5", 200), ("192.168.7.9", 200), ("10.0.0.6", 403), ("203.0.113.1", 403), (None, 403),
])
def test_plain_http_behind_a_proxy_is_answered_to_the_proxy_alone(peer: str | None, status: int) -> None:
    app = OnlyProxies(answer_ok, proxies=read_networks("10.0.0.5, 192.168.7.0/24"))
    assert status_of(app, peer=peer) == status
    assert status_of(app, peer=peer, kind="websocket") == status


def test_a_proxy_that_is_no_address_is_refused() -> None:
    assert read_networks("::1,10.0.0.0/8") == (ipaddress.ip_network("::1"), ipaddress.ip_network("10.0.0.0/8"))
    for listed in ("*", "proxy.example", "10.0.0.1/8"):
        with pytest.raises(ValueError):
            read_networks(listed)


def see_through(settings: Settings, *, peer: str) -> tuple[int, str, str]:
    """Status, scheme and client address that the application sees behind the guard, for a forwarded request of ``peer``."""
    seen: dict[str, str] = {"scheme": "", "client": ""}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.update(scheme=scope["scheme"], client=scope["client"][0])
        await answer_ok(scope, receive, send)

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/", "scheme": "http", "client": (peer, 1), "headers": [
        (b"host", b"desk.example"), (b"x-forwarded-for", b"198.51.100.7"), (b"x-forwarded-proto", b"https")]}
    asyncio.run(guard_peers(app, settings)(scope, no_body, send))
    return sent[0]["status"], seen["scheme"], seen["client"]


def test_listed_proxies_do_not_open_plain_http_to_everybody(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, host="0.0.0.0", trusted_proxies="10.0.0.5")
    assert see_through(settings, peer="203.0.113.1") == (403, "", "")
    assert see_through(settings, peer="10.0.0.5") == (200, "https", "198.51.100.7")
    behind = Settings(data_dir=tmp_path, host="127.0.0.1", trusted_proxies="127.0.0.1")
    assert see_through(behind, peer="127.0.0.1") == (200, "https", "198.51.100.7")
    assert see_through(Settings(data_dir=tmp_path), peer="127.0.0.1") == (200, "http", "127.0.0.1")


def test_a_server_that_would_trust_everybody_as_its_proxy_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for settings in (Settings(data_dir=tmp_path, trusted_proxies="*"), Settings(data_dir=tmp_path, host="0.0.0.0")):
        with pytest.raises(SystemExit) as ended:
            refuse_plain_http(settings)
        assert ended.value.code == 78
        assert "FERNWART_TRUSTED_PROXIES" in capsys.readouterr().err
