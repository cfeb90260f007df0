"""Many requests at once: connections and threads are bounded so that whoever holds one always gets the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import httpx

from orchestrator.accounts.actor import Role
from tests.orchestrator.accounts.builders import Person
from tests.web.desk import Browser


def test_eighty_requests_at_once_are_all_answered(enter: Callable[..., tuple[Browser, Person]]) -> None:
    browser, _ = enter(Role.AUDITOR)
    headers = {"cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    statuses: list[int] = []

    def ask() -> None:
        with httpx.Client(base_url=browser.address, headers=headers, timeout=60) as client:
            statuses.append(client.get("/audit").status_code)

    threads = [threading.Thread(target=ask) for _ in range(80)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [200] * 80, f"{statuses.count(503)} were told to come back, in {time.monotonic() - started:.1f} s"
