"""``fernwart intake``: hand in one raw message, or parse messages without a database."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import orchestrator.notifications.signalling
import orchestrator.search.index
import sessions.listeners
from orchestrator.accounts.desk import publish_desk_facts
from orchestrator.core.db import Database
from orchestrator.core.errors import Unavailable
from orchestrator.core.events import Events
from orchestrator.core.logging import configure_logging
from orchestrator.core.settings import Settings
from orchestrator.core.signals import MemorySignals
from orchestrator.intake.mail.parse import parse_message
from orchestrator.intake.mail.parsed import ParsedMail
from orchestrator.intake.pipe import hand_over, result_as_data
from orchestrator.intake.receive import receive_mail
from orchestrator.intake.understand import IntakeResult
from web.commands.opening import open_databases

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command("mail")
def take_mail(
    to: Annotated[list[str] | None, typer.Option("--to", help="the address it was delivered to; may be repeated")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="the envelope sender; empty for the null return path")] = None,
) -> None:
    """Take one raw message from standard input and print one JSON line; exit 0 only after the commit, 75 otherwise."""
    settings = Settings()
    configure_logging(settings.log_format, level=logging.WARNING)
    raw = sys.stdin.buffer.read(settings.smtp_max_bytes + 1)
    try:
        if len(raw) > settings.smtp_max_bytes:
            raise Unavailable("The mail is larger than {size} bytes.", size=settings.smtp_max_bytes)
        result = hand_over(settings, raw, envelope_from=sender, envelope_to=to or ())
        if result is None:
            result = _take_without_server(settings, raw, sender, to or [])
    except Exception as exc:  # the boundary of the process: whatever failed, the mail server keeps the mail and tries again
        sys.stderr.write(f"fernwart: the mail was not taken, try again: {' '.join(str(exc).split())[:500] or type(exc).__name__}\n")
        raise typer.Exit(os.EX_TEMPFAIL) from exc
    typer.echo(json.dumps(result_as_data(result), ensure_ascii=False))


def _take_without_server(settings: Settings, raw: bytes, sender: str | None, to: list[str]) -> IntakeResult:
    """Open the database as a server would, with the listeners that write in the transaction of the mail."""
    with open_databases(settings) as (database, _records):
        events, signals = Events(), MemorySignals()
        orchestrator.search.index.register(events, signals)
        orchestrator.notifications.signalling.register(events, signals)
        sessions.listeners.register_inside(events)
        listening = Database(settings.sqlalchemy_url, events=events, pool_size=2)
        try:
            database.dispose()
            with listening.write() as unit:
                publish_desk_facts(unit, settings)
            return receive_mail(listening, settings, raw, door="pipe", envelope_from=sender, envelope_to=to)
        finally:
            listening.dispose()


@app.command("parse")
def parse_files(files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE …]")] = None) -> None:
    """Parse messages and print one JSON line for each; mail however odd exits 0."""
    configure_logging("console", level=logging.WARNING)
    if not files:
        typer.echo(_line("-", parse_message(sys.stdin.buffer.read())))
        return
    failed = False
    for path in files:
        try:
            raw = path.read_bytes()
        except OSError as exc:
            sys.stderr.write(f"fernwart: {path} cannot be read: {exc.strerror or exc}\n")
            failed = True
            continue
        typer.echo(_line(str(path), parse_message(raw)))
    if failed:
        raise typer.Exit(os.EX_NOINPUT)


def _line(name: str, mail: ParsedMail) -> str:
    shown: dict[str, Any] = {
        "file": name,
        "from": str(mail.from_address) if mail.from_address else None,
        "reply_to": [str(address) for address in mail.reply_to],
        "to": [str(address) for address in mail.to],
        "cc": [str(address) for address in mail.cc],
        "subject": mail.subject,
        "date": mail.sent_at.isoformat() if mail.sent_at else None,
        "message_id": mail.message_id,
        "in_reply_to": list(mail.in_reply_to),
        "references": list(mail.references),
        "text": mail.text,
        "html": mail.html,
        "attachments": [{"name": file.name, "type": file.content_type, "size": file.size, "sha256": file.sha256} for file in mail.attachments],
        "flags": sorted(mail.flags),
    }
    return json.dumps(shown, ensure_ascii=False)
