"""The terminal in the page: full-screen programs, resize, Unicode, a large paste, Ctrl-C under a flood, a second window."""

from __future__ import annotations

import os
import pwd
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_story import ask_and_approve, run_in_terminal

pytestmark = [pytest.mark.needs("chromium", "vim", "htop"), pytest.mark.timeout(240)]

PASTE = """text => {
    const data = new DataTransfer();
    data.setData("text/plain", text);
    const target = document.querySelector(".xterm-helper-textarea");
    target.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
}"""


def open_terminal(technician: Page, customer: Page, log_in: Callable[[Page, str], None], user: str) -> None:
    ask_and_approve(technician, customer, log_in, user)
    customer.locator("button[value=approve]").click()
    expect(customer.locator("button[value=stop]")).to_be_visible()
    technician.get_by_role("link", name=re.compile("Open the terminal|Terminal öffnen")).first.click(timeout=15_000)
    expect(technician).to_have_url(re.compile(r"/sessions/"))
    technician.wait_for_load_state("load")
    technician.locator("[data-open-terminal]").first.click()
    expect(technician.locator(".xterm-rows").first).to_contain_text(re.compile(r"[#$]"), timeout=10_000)


def screen(page: Page) -> str:
    return page.locator(".xterm-rows").first.inner_text()


def wait_for_file(path: Path, size: int, *, seconds: float = 30) -> bytes:
    until = time.monotonic() + seconds
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < until, f"{path} has {path.stat().st_size if path.exists() else 0} of {size} bytes"
        time.sleep(0.05)
    return path.read_bytes()


def test_a_technician_works_in_the_terminal(open_page: OpenPage, log_in: Callable[[Page, str], None], shell_user: str, tmp_path: Path,
                                            screenshots: Path) -> None:
    folder = tmp_path if pwd.getpwnam(shell_user).pw_uid == os.geteuid() else Path(pwd.getpwnam(shell_user).pw_dir)
    technician, customer = open_page(), open_page(width=390, height=844, scripts=False, locale="de-DE")
    open_terminal(technician, customer, log_in, shell_user)
    rows = technician.locator(".xterm-rows").first

    # A full-screen editor, its alternate screen gone afterwards.
    note = folder / "note.txt"
    run_in_terminal(technician, f"vim -u NONE {note}", "~")
    technician.screenshot(path=screenshots / "terminal-vim.png")
    technician.keyboard.type("iGrüße aus vim")
    technician.keyboard.press("Escape")
    technician.keyboard.type(":wq")
    technician.keyboard.press("Enter")
    assert wait_for_file(note, 5).decode() == "Grüße aus vim\n"
    expect(rows).not_to_contain_text("~\n~")
    run_in_terminal(technician, "htop", "Quit")
    technician.screenshot(path=screenshots / "terminal-htop.png")
    technician.keyboard.press("q")

    # The size follows the window.
    run_in_terminal(technician, "clear; stty size | tr ' ' x", "x")
    expect(rows).to_contain_text(re.compile(r"\d+x\d+"))
    before = re.search(r"(\d+)x(\d+)", screen(technician))
    technician.set_viewport_size({"width": 1700, "height": 900})
    technician.wait_for_timeout(600)
    run_in_terminal(technician, "clear; echo now; stty size | tr ' ' x", "now")
    expect(rows).to_contain_text(re.compile(r"now\s*\d+x\d+"))
    after = re.search(r"now\s*(\d+)x(\d+)", screen(technician))
    assert before and after and int(after.group(2)) > int(before.group(2))

    # A megabyte pasted arrives whole, after a question.
    text = "".join(f"line {number:06d} {'x' * 80}\n" for number in range(1_000_000 // 93))
    target = folder / "paste.txt"
    run_in_terminal(technician, f"clear; stty -echo; echo ready-$((1+1)); cat > {target}", "ready-2")
    technician.evaluate(PASTE, text)
    technician.locator("#terminal-question button[value=yes]").click()
    assert wait_for_file(target, len(text), seconds=60).decode() == text
    technician.keyboard.press("Control+d")
    run_in_terminal(technician, "stty echo; clear; echo pasted-$((2+2))", "pasted-4")

    # Ctrl-C under a flood gives a prompt within a second.
    technician.keyboard.type("yes flooding")
    technician.keyboard.press("Enter")
    technician.wait_for_timeout(1500)
    begun = time.monotonic()
    technician.keyboard.press("Control+c")
    technician.keyboard.type("clear; echo calm-$((3+3))")
    technician.keyboard.press("Enter")
    expect(rows).to_contain_text("calm-6", timeout=5_000)
    assert time.monotonic() - begun < 10  # the page had seconds of flood to draw; the bound of one second is held at the agent

    # Another window of the technician sees the same terminal.
    second = technician.context.new_page()
    second.goto(technician.url)
    second.locator("[role=tab][data-channel]").first.click()
    expect(second.locator(".xterm-rows").first).to_contain_text("calm-6", timeout=10_000)
    second.close()

    # The end from the page closes it all, and the command list is complete.
    expect(technician.locator("#commands")).to_contain_text("vim -u NONE")
    technician.locator("[data-dialog=end]").first.click()
    technician.locator("dialog[open] textarea[name=summary]").fill("Looked around.")
    technician.locator("dialog[open] .btn-danger").click()
    expect(technician.locator("#session-bar")).to_have_attribute("data-session-state", "ended", timeout=5_000)
