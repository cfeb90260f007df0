"""Every page of the story: nothing serious for axe, no violation of the policy, no sideways scrolling, in all widths and looks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(180)]

DESK = ("/", "/tickets", "/tickets/new", "/knowledge", "/customers", "/endpoints", "/sessions", "/search?q=Drucker", "/account", "/audit", "/settings")
PLAIN = ("/login", "/demo/inbox?write=true", "/demo/codes")
SIZES = ((360, 780), (1280, 900), (2560, 1300))


def check(page: Page, name: str) -> list[str]:
    """Name what is wrong with the page that is shown."""
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
    problems = [f"{name}: {item['id']} ({item['impact']}): {item['nodes'][0]['html'][:120]}" for item in found.response["violations"]
                if item["impact"] in ("serious", "critical")]
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [*problems, *([f"{name}: scrolls sideways by {wide} px"] if wide > 1 else [])]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_of_the_desk_are_accessible(open_page: OpenPage, log_in: Callable[[Page, str], None], screenshots: Path, width: int, height: int,
                                          dark: bool) -> None:
    page = open_page(width=width, height=height, dark=dark)
    log_in(page, "lea")
    page.goto("/tickets")
    ticket = page.locator("main a[href*='/tickets/20']").first.get_attribute("href")
    assert ticket is not None
    problems: list[str] = []
    for path in (*DESK, ticket, f"{ticket}/connect", *PLAIN):
        answer = page.goto(path)
        assert answer is not None
        if answer.status == 403:  # a lead has no accounts page of the administrator
            continue
        assert answer.status == 200, f"{path}: {answer.status}"
        name = f"{path.split('?')[0].strip('/').replace('/', '-') or 'board'}-{width}-{'dark' if dark else 'light'}"
        page.screenshot(path=screenshots / f"{name}.png", full_page=True)
        problems += check(page, name)
    assert problems == []


def test_the_desk_is_usable_by_keyboard_alone(open_page: OpenPage, log_in: Callable[[Page, str], None]) -> None:
    page = open_page()
    log_in(page, "lea")
    page.goto("/")
    page.keyboard.press("?")
    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("Druckerwarteschlange")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=*")
    assert "Spooler startet nicht" in page.locator("main").inner_text()
    page.keyboard.press("n")
    page.wait_for_url("**/tickets/new")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")


def test_a_first_visit_is_small_and_the_next_ones_smaller(open_page: OpenPage, log_in: Callable[[Page, str], None]) -> None:
    known = open_page()
    log_in(known, "lea")
    page = open_page()
    page.context.add_cookies(known.context.cookies())
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[int] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    page.goto("/tickets")
    page.wait_for_load_state("load")
    first = sum(sizes)
    sizes.clear()
    page.goto("/customers")
    page.wait_for_load_state("load")
    assert 10_000 < first <= 300_000, f"{first} bytes on the first visit"
    assert 0 < sum(sizes) <= 100_000, f"{sum(sizes)} bytes for the next page"


@pytest.mark.parametrize("locale", ["de-DE", "en-GB"])
def test_the_login_page_speaks_the_readers_language(open_page: OpenPage, locale: str) -> None:
    page = open_page(locale=locale)
    page.goto("/login")
    assert page.locator("html").get_attribute("lang") == locale[:2]
    assert ("Passwort" if locale == "de-DE" else "Password") in page.locator("main").inner_text()
