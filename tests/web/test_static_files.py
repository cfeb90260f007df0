"""Static files: hashed addresses, compression, caching, nothing outside the folder, and the weight of a first visit."""

from __future__ import annotations

import asyncio
import gzip
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from web.static_files import FOLDER, StaticFiles

ROOT = FOLDER.parent.parent
FIRST_VISIT_BYTES = 300_000


@pytest.fixture
def static() -> StaticFiles:
    return StaticFiles()


def fetch(static: StaticFiles, path: str, **headers: str) -> httpx.Response:
    app = Starlette()
    app.mount("/static", static)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://desk.example") as client:
            return await client.get(path, headers={"accept-encoding": "identity", **headers})

    return asyncio.run(ask())


def test_a_hashed_address_is_cached_for_ever(static: StaticFiles) -> None:
    answer = fetch(static, static.url("fernwart.css"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.content == (FOLDER / "fernwart.css").read_bytes()


def test_an_address_of_an_earlier_version_is_answered_but_not_cached_for_ever(static: StaticFiles) -> None:
    answer = fetch(static, "/static/000000000000/fernwart.css")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


def test_a_known_etag_is_answered_without_a_body(static: StaticFiles) -> None:
    etag = fetch(static, static.url("desk.js")).headers["etag"]
    again = fetch(static, static.url("desk.js"), **{"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_text_is_sent_compressed_to_who_takes_it(static: StaticFiles) -> None:
    path = static.url("vendor/tabler/tabler.min.css")
    packed = fetch(static, path, **{"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == fetch(static, path).content
    assert len(gzip.compress(packed.content, 9)) < 90_000


@pytest.mark.parametrize("path", [
    "/static/../app.py", "/static/%2e%2e/app.py", "/static/vendor/../../app.py", "/static//etc/passwd", "/static/vendor/vendor.lock.json",
    "/static/", "/static/fernwart.css/", "/static/vendor/tabler/LICENSE",
])
def test_nothing_but_the_files_of_the_pages_is_served(static: StaticFiles, path: str) -> None:
    assert fetch(static, path).status_code == 404


def test_the_address_of_an_unknown_file_is_an_error(static: StaticFiles) -> None:
    with pytest.raises(KeyError):
        static.url("no-such-file.js")


def test_the_files_of_an_ordinary_page_stay_under_the_weight_of_a_first_visit(static: StaticFiles) -> None:
    base = (FOLDER.parent / "templates" / "base.html").read_text()
    named = re.findall(r'static\("([^"]+)"\)', base)
    assert "vendor/tabler/tabler.min.css" in named
    files = {*named, "live.js", "vendor/tabler-icons/sprite.svg"}
    weight = sum(len(gzip.compress((FOLDER / name).read_bytes(), 9)) for name in files)
    assert weight < FIRST_VISIT_BYTES - 60_000, "room for the page itself"


def test_the_vendored_files_are_those_of_the_lock() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "vendor.py"), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_own_scripts_and_styles_name_no_other_host() -> None:
    own = [path for path in FOLDER.rglob("*") if path.suffix in (".js", ".css") and "vendor" not in path.parts]
    for path in own:
        assert not re.search(r"https?://(?!www\.w3\.org)", path.read_text()), path


def test_templates_use_nothing_that_the_content_security_policy_forbids() -> None:
    for path in sorted((FOLDER.parent / "templates").rglob("*.html")):
        text = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"\|\s*safe\b", text), f"{path.name}: |safe"
        text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", text, flags=re.DOTALL)
        name = path.relative_to(Path(FOLDER.parent))
        assert not re.search(r"\sstyle\s*=", text), f"{name}: a style attribute"
        assert not re.search(r"\son[a-z]+\s*=\s*[\"']", text), f"{name}: an inline handler"
        assert "hx-on" not in text and "javascript:" not in text, name
        for tag in re.findall(r"<script\b[^>]*>", text):
            assert "src=" in tag, f"{name}: an inline script"
        assert "<style" not in text, f"{name}: an inline style sheet"
