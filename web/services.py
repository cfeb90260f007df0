"""The parts of the running program, put together once and reachable from every request as ``app.state.services``."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from orchestrator.accounts.attempts import LoginAttempts
from orchestrator.core.db import Database
from orchestrator.core.events import Events
from orchestrator.core.settings import Settings
from orchestrator.core.signals import MemorySignals
from orchestrator.core.workers import Workers

if TYPE_CHECKING:
    from orchestrator.core.jobs import JobRunner
    from orchestrator.intake.mail.smtp import SMTPDoor
    from orchestrator.search.index import SearchIndexing
    from sessions.keys import ServerKeys
    from sessions.live.runtime import LiveRuntime
    from web.links import RouteLinks


@dataclass(slots=True)
class Services:
    """``blocking`` runs mail, jobs and other slow work, apart from the pool that serves the pages. ``write_slots`` bounds
    how many requests may wait for the writer at once, so that its holder always finds a thread to finish in; ``read_slots``
    how many read units are open, so that their holders never starve each other of connections."""

    settings: Settings
    database: Database
    record_database: Database
    events: Events
    signals: MemorySignals
    blocking: ThreadPoolExecutor
    hashing: ThreadPoolExecutor
    keys: ServerKeys
    links: RouteLinks
    live: LiveRuntime
    indexing: SearchIndexing
    demo: bool = False
    workers: Workers = field(default_factory=Workers)
    jobs: JobRunner | None = None
    smtp_door: SMTPDoor | None = None
    attempts: LoginAttempts = field(default_factory=LoginAttempts)
    write_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(12))
    read_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(16))


def services_of(connection: HTTPConnection) -> Services:
    """Find the services of the program that serves this request or socket."""
    return connection.app.state.services
