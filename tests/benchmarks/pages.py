"""Thirty named addresses of pages and API at 100,000 tickets, four clients, on both databases; the p95 of each."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert, select

from orchestrator.accounts.logins import begin_login, prove_login
from orchestrator.accounts.models import User
from orchestrator.core.db import Database
from orchestrator.core.ids import new_id
from orchestrator.core.ports import SearchDocument
from orchestrator.core.settings import Settings
from orchestrator.customers.models import Contact, Organisation
from orchestrator.knowledge.models import Article
from orchestrator.search.index import row_values
from orchestrator.search.models import SearchRow
from orchestrator.tickets.models import Entry, Ticket
from orchestrator.tickets.numbers import format_number
from tests.benchmarks.figures import Figure, percentile
from tests.desk import Desk, make_desk
from tests.postgres import start_postgres
from web.security import LOGIN_COOKIE

CLIENTS = 4
REQUESTS = 24
BATCH = 2000
WORDS = ("Drucker Server Netzwerk Passwort Monitor Outlook VPN Postfach Update Fehler langsam defekt Zugriff Datei Ordner Sicherung Kalender Anmeldung "
         "printer queue backup mailbox certificate browser error update slow network login screen").split()
STATUSES = ("new", "open", "waiting_customer", "resolved", "closed", "closed", "closed", "closed")


def _rows(count: int, unit_now: Any, desk: Desk, organisations: list[str], contacts: list[str], seed: int) -> Iterable[list[dict[str, Any]]]:
    chance = random.Random(seed)
    for start in range(0, count, BATCH):
        tickets = []
        for number in range(start, min(start + BATCH, count)):
            status = STATUSES[number % len(STATUSES)] if number < count - 400 else "new"
            which = number % len(organisations)
            at = unit_now - timedelta(minutes=count - number)
            tickets.append({
                "id": new_id(), "number": format_number("{year}-{counter:06d}-{check}", year=2025, counter=number + 1),
                "subject": " ".join(chance.choices(WORDS, k=5)), "kind": "incident", "status": status, "impact": "medium", "urgency": "medium",
                "priority": 1 + number % 5, "priority_reason": "", "language": "de" if number % 2 else "en", "organisation_id": organisations[which],
                "contact_id": contacts[which], "queue_id": desk.queue_id, "assignee_id": desk.technician_id if number % 50 == 0 else None, "tags": [],
                "version": 1, "created_at": at, "changed_at": at})
        yield tickets


def fill(desk: Desk, settings: Settings, count: int) -> None:
    """Write ``count`` tickets with entry and search rows, 500 organisations with a contact each, 500 articles."""
    database = Database(settings.sqlalchemy_url)
    chance = random.Random(7)
    try:
        with database.write() as unit:
            now = unit.now
            organisations = [new_id() for _ in range(500)]
            contacts = [new_id() for _ in range(500)]
            unit.db.execute(insert(Organisation), [{"id": key, "number": f"B-{index}", "name": f"Firma {index:04d} GmbH", "language": "de", "internal": False,
                                                    "note": "", "version": 1, "created_at": now} for index, key in enumerate(organisations)])
            unit.db.execute(insert(Contact), [{"id": key, "organisation_id": organisations[index], "name": f"Person {index:04d}",
                                               "email": f"p{index}@firma{index}.example", "shared_mailbox": False, "version": 1, "created_at": now}
                                              for index, key in enumerate(contacts)])
            articles = [{"id": new_id(), "group_id": new_id(), "language": "de", "title": " ".join(chance.choices(WORDS, k=4)), "problem": "",
                         "body": " ".join(chance.choices(WORDS, k=60)), "internal": False, "state": "published", "version": 1, "created_at": now,
                         "changed_at": now, "published_at": now} for _ in range(500)]
            unit.db.execute(insert(Article), articles)
            unit.db.execute(insert(SearchRow), [row_values(SearchDocument("article", str(item["id"]), str(item["title"]), str(item["body"]), "de", None, None,
                                                                          None, False, now)) for item in articles])
        for tickets in _rows(count, now, desk, organisations, contacts, 3):
            texts = {ticket["id"]: " ".join(chance.choices(WORDS, k=30)) for ticket in tickets}
            with database.write() as unit:
                unit.db.execute(insert(Ticket), tickets)
                unit.db.execute(insert(Entry), [{
                    "id": new_id(), "ticket_id": ticket["id"], "seq": 1, "kind": "message", "visibility": "customer", "medium": "mail", "author_kind": "contact",
                    "author_id": ticket["contact_id"], "author_name": "Person", "subject": ticket["subject"], "text": texts[ticket["id"]], "folded": "",
                    "html": "", "data": {}, "happened_at": ticket["created_at"]} for ticket in tickets])
                unit.db.execute(insert(SearchRow), [row_values(SearchDocument(
                    "ticket", ticket["id"], ticket["subject"], texts[ticket["id"]], ticket["language"], ticket["id"], ticket["organisation_id"],
                    desk.queue_id, False, ticket["created_at"])) for ticket in tickets])
        if not database.is_sqlite:
            with database.write_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("vacuum analyze")
        else:
            with database.write() as unit:
                unit.db.connection().exec_driver_sql("analyze")
    finally:
        database.dispose()


def addresses(settings: Settings, desk: Desk) -> dict[str, str]:
    """Thirty addresses by name: fifteen pages, fifteen of the API."""
    database = Database(settings.sqlalchemy_url)
    with database.read() as unit:
        number = unit.db.scalar(select(Ticket.number).order_by(Ticket.created_at.desc()).limit(1))
        old = unit.db.scalar(select(Ticket.number).order_by(Ticket.created_at).limit(1))
        article = unit.db.scalar(select(Article.id).limit(1))
        organisation = unit.db.scalar(select(Organisation.id).where(Organisation.number == "B-7"))
        contact = unit.db.scalar(select(Contact.id).where(Contact.name == "Person 0007"))
    database.dispose()
    return {
        "board": "/", "tickets": "/tickets", "tickets open": "/tickets?status=open", "tickets closed": "/tickets?status=closed",
        "new ticket": "/tickets/new", "newest ticket": f"/tickets/{number}", "oldest ticket": f"/tickets/{old}", "knowledge": "/knowledge",
        "article": f"/knowledge/{article}", "customers": "/customers", "organisation": f"/customers/{organisation}", "contact": f"/contacts/{contact}",
        "endpoints": "/endpoints", "search common word": "/search?q=Drucker", "search rare": "/search?q=%22Sicherung+Kalender+Anmeldung%22+VPN",
        "api tickets": "/api/v1/tickets", "api tickets new": "/api/v1/tickets?status=new", "api tickets of organisation": f"/api/v1/tickets?organisation_id={organisation}",
        "api ticket": f"/api/v1/tickets/{number}", "api entries": f"/api/v1/tickets/{number}/entries", "api sessions of ticket": f"/api/v1/tickets/{number}/sessions",
        "api organisations": "/api/v1/organisations", "api organisations query": "/api/v1/organisations?query=0042", "api contacts": "/api/v1/contacts",
        "api contacts query": "/api/v1/contacts?query=Person+0042", "api endpoints": "/api/v1/endpoints", "api articles": "/api/v1/articles",
        "api article": f"/api/v1/articles/{article}", "api search": "/api/v1/search?q=printer", "api sessions": "/api/v1/sessions",
    }


def measure_pages(folder: Path, *, tickets: int, samples: dict[str, list[float]]) -> list[Figure]:
    figures: list[Figure] = []
    figures.append(_measure_one("SQLite", folder / "pages-sqlite", "", tickets, samples))
    with tempfile.TemporaryDirectory(prefix="fernwart-pg-") as pg_folder:
        server = start_postgres(Path(pg_folder))
        try:
            figures.append(_measure_one("PostgreSQL", folder / "pages-postgresql", server.create_database("bench"), tickets, samples))
        finally:
            server.stop()
    return figures


def _measure_one(engine: str, folder: Path, database_url: str, tickets: int, samples: dict[str, list[float]]) -> Figure:
    desk = make_desk(folder, tls=False, database_url=database_url)
    settings = Settings(**{name.removeprefix("FERNWART_").lower(): value for name, value in desk.settings.items()})  # type: ignore[arg-type]
    try:
        fill(desk, settings, tickets)
        cookie = _login(settings)
        desk.start()
        named = addresses(settings, desk)
        p95: dict[str, float] = {}
        with ThreadPoolExecutor(CLIENTS) as pool:
            for name, address in named.items():
                parts = pool.map(lambda _client, address=address: _ask(desk, cookie, address), range(CLIENTS))
                times = [took for part in parts for took in part]
                samples[f"{engine} {name} ms"] = times
                p95[name] = percentile(times, 0.95)
    finally:
        desk.stop()
    worst = sorted(p95.items(), key=lambda item: -item[1])
    return Figure(f"{len(named)} addresses at {tickets} tickets, {CLIENTS} clients, worst p95, {engine}", worst[0][1], 50, "ms", "none publishes",
                  runs=tuple(value for _name, value in worst[:5]), beside={f"{name} p95 ms": value for name, value in worst[:8]})


def _login(settings: Settings) -> str:
    database = Database(settings.sqlalchemy_url)
    try:
        with database.write() as unit:
            user = unit.db.execute(select(User).where(User.email == "jana@desk.example")).scalar_one()
            login, _secret = begin_login(unit, user, address="127.0.0.1", agent_name="bench")
            return prove_login(unit, login, hours=12)
    finally:
        database.dispose()


def _ask(desk: Desk, cookie: str, address: str) -> list[float]:
    times: list[float] = []
    api = address.startswith("/api/")
    headers = {"Authorization": f"Bearer {desk.tokens['technician']}"} if api else {"Cookie": f"{LOGIN_COOKIE}={cookie}"}
    with httpx.Client(base_url=desk.url, headers=headers, timeout=60) as client:
        client.get(address)
        for _request in range(REQUESTS):
            begun = time.perf_counter()
            answer = client.get(address)
            times.append((time.perf_counter() - begun) * 1000)
            assert answer.status_code == 200, f"{address}: {answer.status_code} {answer.text[:300]}"
    return times


