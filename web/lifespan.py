"""Starts and stops the parts of the program in the right order. Assembly, nothing else.

Start: databases migrated, keys read, listeners registered, recorder and hub, workers, doors for mail. Stop: doors first
(nothing new comes in), then sessions and recorder (everything shown is written), then workers and databases.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import orchestrator.notifications.signalling
import orchestrator.search.index
import orchestrator.tickets.signalling
import sessions.listeners
from orchestrator.accounts.desk import publish_desk_facts
from orchestrator.accounts.secret_box import prepare_secret_box
from orchestrator.core.db import Database
from orchestrator.core.events import Events
from orchestrator.core.jobs import JobRunner
from orchestrator.core.ports import SearchSource
from orchestrator.core.settings import Settings
from orchestrator.core.signals import MemorySignals
from orchestrator.customers.search_source import ContactDocuments, OrganisationDocuments
from orchestrator.intake.mail.smtp import SMTPDoor
from orchestrator.intake.pipe import IntakeSocket
from orchestrator.knowledge.queries import ArticleDocuments
from orchestrator.notifications.sealing import prepare_sealing
from orchestrator.notifications.sender import MailDelivery
from orchestrator.search.index import SearchIndexing
from orchestrator.tickets.numbers import check_format
from orchestrator.tickets.search_source import EntryDocuments, TicketDocuments
from orchestrator.tickets.waking import TicketWaking
from sessions.endpoints.search_source import EndpointDocuments
from sessions.keys import open_keys
from sessions.lifecycle.clock import SessionClock
from sessions.live.runtime import LiveRuntime
from sessions.recording.search_source import CommandDocuments
from web.data_folder import prepare_data_folder
from web.links import RouteLinks
from web.schema import migrate
from web.services import Services


def search_sources(record_database: Database) -> Sequence[SearchSource]:
    """Every room that offers documents to the search index."""
    return (TicketDocuments(), EntryDocuments(), ArticleDocuments(), ContactDocuments(), OrganisationDocuments(), EndpointDocuments(),
            CommandDocuments(record_database))


def build_services(settings: Settings, *, links: RouteLinks, demo: bool) -> Services:
    """Open and migrate the databases, read the keys, and connect the rooms with each other."""
    check_format(settings.ticket_number_format)
    prepare_data_folder(settings.data_dir)
    events, signals = Events(), MemorySignals()
    database = Database(settings.sqlalchemy_url, events=events, pool_size=24)
    record_database = Database(settings.recordings_url, pool_size=8)
    migrate(database, record_database)
    prepare_secret_box(database, settings.data_dir)
    with database.write() as unit:
        publish_desk_facts(unit, settings)
        prepare_sealing(unit, settings.data_dir)
        keys = open_keys(unit, settings.data_dir).keys
    blocking = ThreadPoolExecutor(16, thread_name_prefix="blocking")
    services = Services(
        settings=settings, database=database, record_database=record_database, events=events, signals=signals, blocking=blocking,
        hashing=ThreadPoolExecutor(2, thread_name_prefix="hashing"), keys=keys, links=links,
        live=LiveRuntime(settings=settings, database=database, record_database=record_database, signals=signals, events=events, keys=keys,
                         executor=blocking),
        indexing=SearchIndexing(database, search_sources(record_database), signals, blocking), demo=demo)
    orchestrator.search.index.register(events, signals)
    orchestrator.tickets.signalling.register(events, signals)
    orchestrator.notifications.signalling.register(events, signals)
    sessions.listeners.register(events, signals, services)
    return services


@asynccontextmanager
async def run_services(services: Services) -> AsyncIterator[None]:
    """Run the program's own tasks while the block lasts."""
    runner = JobRunner(services.database, services.signals, [
        MailDelivery(services.database, services.settings),
        TicketWaking(services.database),
        SessionClock(services.database, services),
    ], services.blocking)
    door = SMTPDoor(services.settings, services.database, services.blocking) if services.settings.smtp_listen else None
    pipe = IntakeSocket(services.settings, services.database, services.blocking)
    await services.live.start()
    services.jobs, services.smtp_door = runner, door
    services.workers.start("jobs", runner.run())
    services.workers.start("search", services.indexing.run())
    try:
        await pipe.start()
        if door is not None:
            await door.start()
        gc.collect()
        gc.freeze()  # no full collection over the objects of the start: it was worth 18 ms on a keystroke
        yield
    finally:
        if door is not None:
            await door.stop()
        await pipe.stop()
        await services.live.stop()
        await services.workers.stop()
        services.blocking.shutdown(wait=True, cancel_futures=True)
        services.hashing.shutdown(wait=True)
        services.database.dispose()
        services.record_database.dispose()
