"""A real browser against the running demo. Screenshots stay in .ci/output for looking at."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.os_account import shell_account
from tests.running import Running, read_logins, start_demo

OUTPUT = Path(__file__).resolve().parent.parent.parent / ".ci" / "output"


@pytest.fixture(scope="session")
def shell_user() -> Generator[str, None, None]:
    """Whose shells the technician opens; there before the agent lists the accounts of the machine."""
    with shell_account("demo") as name:
        yield name


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, shell_user: str) -> Generator[Running, None, None]:
    """The demo, started once for all browser tests of a process."""
    running = start_demo(tmp_path_factory.mktemp("demo"))
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def browser() -> Generator[Browser, None, None]:
    """Chromium, ended with the module: while it runs, an event loop of its own occupies this thread, and no other test may need one."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs chromium, which is not here")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


class Problems:
    """What the page complained about: script errors, and violations of the content security policy."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.lines.append(f"error: {error}"))
        page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and ("Content Security Policy" in message.text or "Uncaught" in message.text):
            self.lines.append(message.text)


@pytest.fixture
def problems() -> Generator[Problems, None, None]:
    """Every page opened through ``open_page`` is watched; a test fails on any problem."""
    found = Problems()
    yield found
    assert found.lines == []


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, demo: Running, problems: Problems) -> Generator[OpenPage, None, None]:
    """Open a page of its own context: ``open_page(width=…, height=…, dark=…, locale=…, scripts=…)``."""
    contexts: list[BrowserContext] = []

    def open_one(*, width: int = 1280, height: int = 900, dark: bool = False, locale: str = "en-GB", scripts: bool = True) -> Page:
        context = browser.new_context(base_url=demo.url, viewport={"width": width, "height": height}, locale=locale, java_script_enabled=scripts,
                                      color_scheme="dark" if dark else "light")
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        problems.watch(page)
        return page

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def known_logins() -> dict[str, list[Any]]:
    """Cookies of those who have logged in already: a code of the second factor works once."""
    return {}


@pytest.fixture
def log_in(demo: Running, known_logins: dict[str, list[Any]]) -> Callable[[Page, str], None]:
    """Log in with password and second factor, or go on with the login of before: ``log_in(page, "jana")``."""
    logins = read_logins(demo.data)

    def run(page: Page, who: str) -> None:
        if who in known_logins:
            page.context.add_cookies(known_logins[who])
            page.goto("/")
            return
        login = logins[who]
        page.goto("/login")
        page.locator("input[name=email]").fill(login.email)
        page.locator("input[type=password]").fill(login.password)
        page.locator("main form button[type=submit]").first.click()
        page.locator("input[name=code]").fill(login.code())
        page.locator("main form button[type=submit]").first.click()
        page.wait_for_url(lambda url: "/login" not in url)
        known_logins[who] = page.context.cookies()

    return run


@pytest.fixture(scope="session")
def screenshots() -> Path:
    folder = OUTPUT / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
