"""Mails by SMTP: ten connections, a mixed corpus, each acknowledged after its commit; the confirmations are in the outbox."""

from __future__ import annotations

import base64
import os
import smtplib
import time
from concurrent.futures import ThreadPoolExecutor
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from sqlalchemy import func, select

from orchestrator.core.clock import SystemClock
from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from orchestrator.intake.models import RawInput
from orchestrator.notifications.models import OutgoingMail
from orchestrator.notifications.texts import Purpose
from orchestrator.tickets.models import Ticket
from tests.benchmarks.figures import Figure, median
from tests.desk import Desk

CONNECTIONS = 10
MAILS = 600


def make_mail(number: int) -> tuple[str, bytes]:
    """A mail of the mixed corpus: short text, HTML with quotes, a signature, an attachment of 60 KB; German and English."""
    sender = f"person{number % 200}@muster.example"
    message = EmailMessage()
    message["From"] = f"Person {number % 200} <{sender}>"
    message["To"] = "support@desk.example"
    message["Subject"] = ("Drucker druckt nicht" if number % 2 else "The printer does not print") + f" ({number})"
    message["Date"] = format_datetime(SystemClock().now())
    message["Message-ID"] = make_msgid(domain="muster.example")
    text = "Guten Tag,\n\nseit heute Morgen druckt nichts mehr.\n\nMit freundlichen Grüßen\nPerson\n" if number % 2 else (
        "Hello,\n\nnothing prints since this morning.\n\n-- \nPerson\n")
    message.set_content(text * (1 + number % 5))
    if number % 3 == 0:
        message.add_alternative(f"<html><body><p>{text}</p><blockquote>older</blockquote><img src='https://x.example/p.png'></body></html>", subtype="html")
    if number % 10 == 0:
        message.add_attachment(base64.b64encode(os.urandom(45_000)), maintype="application", subtype="pdf", filename="Störung.pdf")
    return sender, message.as_bytes(policy=policy.SMTP)


def measure_mails(desk: Desk, settings: Settings, *, door: tuple[str, int], runs: int, samples: dict[str, list[float]]) -> list[Figure]:
    rates: list[float] = []
    sent = 0
    for run in range(runs):
        mails = [make_mail(run * MAILS + number) for number in range(MAILS)]

        def deliver(part: list[tuple[str, bytes]]) -> None:
            with smtplib.SMTP(*door, timeout=60) as server:
                for sender, raw in part:
                    server.sendmail(sender, ["support@desk.example"], raw)

        begun = time.perf_counter()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for done in [pool.submit(deliver, mails[start::CONNECTIONS]) for start in range(CONNECTIONS)]:
                done.result()
        rates.append(MAILS / (time.perf_counter() - begun))
        sent += MAILS
    samples["mails a second"] = rates
    database = Database(settings.sqlalchemy_url)
    try:
        with database.read() as unit:
            tickets = unit.db.scalar(select(func.count()).select_from(Ticket))
            inputs = unit.db.scalar(select(func.count()).select_from(RawInput))
            confirmations = unit.db.scalar(select(func.count()).select_from(OutgoingMail).where(OutgoingMail.purpose == Purpose.TICKET_CONFIRMATION))
    finally:
        database.dispose()
    assert inputs == sent, f"{inputs} raw mails of {sent}"
    return [Figure("mails by SMTP, 10 connections, mixed, durable, confirmed", median(rates), 50, "1/s", "none publishes", upper=False,
                   runs=tuple(rates), beside={"mails": sent, "tickets": tickets or 0, "confirmations in the outbox": confirmations or 0})]
