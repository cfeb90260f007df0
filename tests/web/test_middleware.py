"""How large a request may be, and for whom."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from orchestrator.core.settings import Settings
from tests.web.whole import Whole, run_whole
from web.middleware import ATTACHMENT_BYTES, BODY_BYTES, LONG_TEXT_BYTES

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Generator[Whole, None, None]:
    folder: Path = tmp_path_factory.mktemp("bodies")
    with run_whole(Settings(data_dir=folder / "data", recording_reserve_bytes=1024)) as running:
        yield running


def status_of_announced(whole: Whole, path: str, *, size: int) -> int:
    """Announce a body without sending one: it must be refused before it comes."""
    connection = HTTPConnection("127.0.0.1", int(whole.url.rsplit(":", 1)[1]), timeout=20)
    try:
        connection.putrequest("POST", path)
        connection.putheader("content-length", str(size))
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(("path", "limit"), [
    ("/login", BODY_BYTES), ("/consent/a-token", BODY_BYTES), ("/set-up/a-token", BODY_BYTES), ("/api/v1/contacts", BODY_BYTES),
    ("/ticketsandmore", BODY_BYTES), ("/tickets/2026-1/note", LONG_TEXT_BYTES), ("/knowledge/new", LONG_TEXT_BYTES),
    ("/api/v1/articles", LONG_TEXT_BYTES), ("/tickets/2026-1/reply", ATTACHMENT_BYTES),
])
def test_a_body_is_as_large_as_its_route_needs_and_no_larger(whole: Whole, path: str, limit: int) -> None:
    with whole.client(FORM) as client:
        if limit < ATTACHMENT_BYTES:
            assert client.post(path, content=b"a=" + b"b" * (limit - 2)).status_code != 413
    assert status_of_announced(whole, path, size=limit + 1) == 413


def test_a_body_without_a_length_is_counted(whole: Whole) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"email="
        for _ in range(BODY_BYTES // 1024):
            yield b"x" * 1024

    with whole.client(FORM) as client:
        assert client.post("/login", content=chunks()).status_code == 413
