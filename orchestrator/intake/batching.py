"""Mails that arrive at the same time share their transactions.

Here: a bounded queue and the threads that empty it. A commit costs the same for one mail as for eight, so a busy door
commits once for all that wait; a mail that arrives alone is not delayed. When a shared transaction fails, each of its
mails is received by itself, so that one bad mail never holds up another. Not here: what receiving means (`receive.py`).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import structlog

from orchestrator.core.db import Database
from orchestrator.core.errors import Unavailable
from orchestrator.core.settings import Settings
from orchestrator.intake.receive import arrive, receive_arrivals, receive_mail
from orchestrator.intake.understand import IntakeResult

log = structlog.get_logger(__name__)

MAX_BATCH = 8
"""Mails in one transaction: the database's writer is held no longer than these take."""

MAX_WAITING = 64
"""Mails that may wait; beyond that their sender is asked to come back."""

WORKERS = 2
"""While one thread waits for the disk or opens a difficult mail, the other works."""


@dataclass(frozen=True, slots=True)
class WaitingMail:
    """Hold one mail that waits, and where its result goes."""

    raw: bytes
    envelope_from: str
    envelope_to: Sequence[str]
    result: Future[IntakeResult] = field(default_factory=lambda: Future[IntakeResult]())


class IntakeQueue:
    """Receive mails in batches. Order of calls: ``start``, any number of ``submit`` from any thread, ``stop``."""

    def __init__(self, database: Database, settings: Settings, *, door: str) -> None:
        self._database = database
        self._settings = settings
        self._door = door
        self._waiting: queue.Queue[WaitingMail | None] = queue.Queue(MAX_WAITING)
        self._threads = [threading.Thread(target=self._work, name=f"mail-intake-{number}", daemon=True) for number in range(WORKERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Receive what waits, then end the threads."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(timeout_seconds)

    def submit(self, raw: bytes, *, envelope_from: str, envelope_to: Sequence[str]) -> Future[IntakeResult]:
        """Give a mail to the threads; the result comes after the commit. Raises ``Unavailable`` when too many wait."""
        mail = WaitingMail(raw, envelope_from, tuple(envelope_to))
        try:
            self._waiting.put_nowait(mail)
        except queue.Full as exc:
            raise Unavailable("Too many mails wait to be stored.") from exc
        return mail.result

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            ended = False
            while len(batch) < MAX_BATCH:
                try:
                    following = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    ended = True
                    break
                batch.append(following)
            self._receive(batch)
            if ended:
                return

    def _receive(self, waiting: Sequence[WaitingMail]) -> None:
        # A sender that has hung up was told nothing and tries again.
        batch = [mail for mail in waiting if mail.result.set_running_or_notify_cancel()]
        if len(batch) > 1:
            try:
                arrivals = [arrive(mail.raw, self._settings, door=self._door, envelope_from=mail.envelope_from, envelope_to=mail.envelope_to)
                            for mail in batch]
                results = receive_arrivals(self._database, arrivals)
            except Exception:  # whichever mail it was: each one is received by itself now
                log.warning("a batch of mails failed and is taken apart", count=len(batch), exc_info=True)
            else:
                for mail, result in zip(batch, results, strict=True):
                    mail.result.set_result(result)
                return
        for mail in batch:
            try:
                result = receive_mail(self._database, self._settings, mail.raw, door=self._door, envelope_from=mail.envelope_from,
                                      envelope_to=mail.envelope_to)
            except Exception as exc:  # noqa: BLE001  # the boundary of the thread: whoever waits for the result hears it
                mail.result.set_exception(exc)
            else:
                mail.result.set_result(result)
