"""The main job in a real browser against the running demo: a mailed problem becomes a ticket, the customer consents on a
phone without JavaScript, the technician works in a terminal, the customer watches and stops, everything is on the ticket."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]

LogIn = Callable[[Page, str], None]
NUMBER = re.compile(r"\d{4}-\d{6}-\d")


def send_mail(page: Page, sender: str, subject: str, text: str) -> None:
    """Write as a customer in the demo inbox."""
    page.goto("/demo/inbox?write=true")
    page.locator("input[name=sender]").fill(sender)
    page.locator("input[name=subject]").fill(subject)
    page.locator("textarea[name=text]").fill(text)
    page.locator("main form button").last.click()
    expect(page).to_have_url(re.compile(r"/demo/inbox$"))


def read_mail(page: Page, to: str, subject: str, *, seconds: float = 20) -> str:
    """Wait for a mail in the demo inbox, open it and return its text."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        page.goto("/demo/inbox")
        row = page.locator("tbody tr").filter(has_text=to).filter(has_text=subject).first
        if row.count():
            row.get_by_role("link").click()
            return page.locator("#mail-text").inner_text()
        time.sleep(0.2)
    raise AssertionError(f"no mail to {to} about {subject!r}")


def run_in_terminal(page: Page, line: str, expected: str) -> None:
    """Type a line into the terminal and wait for what it prints."""
    page.locator(".xterm-helper-textarea").first.focus()
    page.keyboard.type(line)
    page.keyboard.press("Enter")
    expect(page.locator(".xterm-rows").first).to_contain_text(expected, timeout=15_000)


def test_the_main_job_from_mail_to_article(open_page: OpenPage, log_in: LogIn, screenshots: Path) -> None:
    customer = open_page(width=390, height=844, scripts=False)
    technician = open_page()
    subject = "Print queue stuck after the update"

    # A mail becomes a ticket, confirmed with its number in the contact's language.
    send_mail(customer, "alice@sample.example", subject, "Hello,\n\nsince the update the print queue is stuck, the spooler is stopped.\n\nAlice")
    confirmation = read_mail(customer, "alice@sample.example", subject)
    found = NUMBER.search(confirmation) or NUMBER.search(customer.locator("h1").inner_text())
    assert found, confirmation
    number = found.group()

    # The technician finds it, takes it, and sees customer, presence and the known problem first.
    log_in(technician, "tom")
    technician.goto(f"/tickets/{number}")
    technician.screenshot(path=screenshots / "story-ticket.png", full_page=True)
    expect(technician.locator("h1")).to_contain_text(subject)
    expect(technician.locator("#known a, .card:has-text('Known') a").first).to_contain_text("Print spooler does not start")
    technician.keyboard.press("t")
    expect(technician.locator("main")).to_contain_text("Tom Becker")

    # A public reply arrives threaded; its answer lands in the same ticket. A note stays inside.
    technician.locator("textarea[name=text]").first.fill("Hello Alice,\n\nis it the printer on the first floor?")
    technician.locator("form:has(textarea[name=text]) button.btn-primary").first.click()
    reply = read_mail(customer, "alice@sample.example", number)
    while "first floor" not in reply:
        reply = read_mail(customer, "alice@sample.example", number)
    customer.locator("textarea[name=text]").fill("Yes, exactly that one.")
    customer.locator("main form button").last.click()
    technician.goto(f"/tickets/{number}")
    expect(technician.locator("main")).to_contain_text("Yes, exactly that one.", timeout=15_000)


def ask_and_approve(technician: Page, customer: Page, log_in: LogIn, user: str) -> None:
    """Ask for a terminal on the sample ticket of Muster GmbH and allow it on the phone."""
    log_in(technician, "jana")
    technician.goto("/tickets")
    technician.get_by_role("link", name=re.compile("Druckerwarteschlange")).first.click()
    technician.wait_for_load_state()
    technician.keyboard.press("v")
    expect(technician).to_have_url(re.compile("/connect"))
    technician.locator("textarea[name=purpose]").fill("Druckerwarteschlange prüfen")
    technician.locator("select[name=user]").select_option(user)
    mighty = "(" in technician.locator("select[name=user] option:checked").inner_text()
    for scope in ("terminal", "terminal.admin"):
        technician.locator(f"input[name=scopes][value='{scope}']").set_checked((scope == "terminal.admin") == mighty)
    technician.locator("main form button.btn-primary").last.click()
    expect(technician).to_have_url(re.compile(r"/tickets/[\d-]+$"))
    read_mail(customer, "erika@muster.example", "Zugriff")
    customer.locator("#mail-text a").first.click()
    expect(customer.locator("main")).to_contain_text("Jana Roth")


def test_the_customer_consents_watches_and_stops(open_page: OpenPage, log_in: LogIn, shell_user: str, screenshots: Path) -> None:
    customer = open_page(width=390, height=844, scripts=False, locale="de-DE")
    technician = open_page()
    ask_and_approve(technician, customer, log_in, shell_user)
    customer.screenshot(path=screenshots / "story-consent.png", full_page=True)
    customer.locator("details summary").first.click()
    customer.locator("input[name=minutes]").press("Enter")  # decides nothing: the default is no
    expect(customer.locator("button[value=approve]")).to_be_visible()
    customer.locator("button[value=approve]").click()
    expect(customer.locator("button[value=stop]")).to_be_visible()

    # The technician's page turns live without reload; the terminal opens within half a second of the click.
    open_link = technician.get_by_role("link", name=re.compile("Open the terminal|Terminal öffnen")).first
    expect(open_link).to_be_visible(timeout=10_000)
    open_link.click()
    expect(technician).to_have_url(re.compile(r"/sessions/"))
    technician.wait_for_load_state("load")
    technician.locator("[data-open-terminal]").first.click()
    expect(technician.locator(".xterm-rows").first).to_contain_text(re.compile(r"[#$]"), timeout=10_000)
    run_in_terminal(technician, "echo Grüße-$((40+2))-日本", "Grüße-42-日本")
    run_in_terminal(technician, "cd /var && false; echo after-$?", "after-1")
    expect(technician.locator("#commands")).to_contain_text("echo Grüße", timeout=10_000)
    technician.screenshot(path=screenshots / "story-session.png")

    # The approver watches live with the same browser, scripts on, and stops from the page that decided.
    watching = customer.context.browser.new_context(base_url=technician.url.split("/sessions")[0], viewport={"width": 390, "height": 844}).new_page()  # type: ignore[union-attr]
    watching.context.add_cookies(customer.context.cookies())
    watching.goto(f"{customer.url}/watch")
    expect(watching.locator(".xterm-rows").first).to_contain_text("Grüße-42", timeout=15_000)
    watching.screenshot(path=screenshots / "story-watch.png")
    customer.reload()
    begun = time.monotonic()
    customer.locator("button[value=stop]").click()
    expect(technician.locator("#session-bar")).to_have_attribute("data-session-state", "ended", timeout=3_000)
    assert time.monotonic() - begun < 3
    watching.context.close()

    # The timeline holds everything; the recording replays with the commands beside it.
    technician.reload()
    session_url = technician.url.split("?")[0]
    technician.goto(f"{session_url}/replay")
    expect(technician.locator("#player .xterm-rows")).to_be_visible(timeout=15_000)
    technician.locator("#player input[type=range]").press("End")
    expect(technician.locator("#player .xterm-rows")).to_contain_text("after-1")
    technician.screenshot(path=screenshots / "story-replay.png", full_page=True)
    expect(technician.locator("main")).to_contain_text("echo Grüße")

    # One click drafts an article from the commands; published, it is found.
    technician.goto(f"{session_url}/draft")
    technician.screenshot(path=screenshots / "story-draft.png", full_page=True)
    technician.locator("main form button.btn-primary").last.click()
    expect(technician).to_have_url(re.compile("/knowledge/"))
    publish = technician.get_by_role("button", name=re.compile("Publish|Veröffentlichen"))
    expect(publish.first).to_be_visible()
    publish.first.click()

    # The receipt is there for the customer.
    customer.goto(f"{customer.url.split('?')[0]}/receipt")
    expect(customer.locator("main")).to_contain_text("SHA256:")
    customer.screenshot(path=screenshots / "story-receipt.png", full_page=True)
