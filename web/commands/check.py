"""``fernwart check``: configuration, database, triggers, record, keys, mail, disk; one line each, non-zero if one is wrong."""

from __future__ import annotations

import os
import shutil
import smtplib
import socket
import ssl
from collections.abc import Callable

import typer

from orchestrator.accounts.settings_store import get_setting
from orchestrator.core.db import Database
from orchestrator.core.errors import AppError
from orchestrator.core.settings import Settings
from sessions.keys import OPERATIONAL_FINGERPRINT, open_keys
from web.commands.opening import open_databases
from web.schema import list_missing_triggers


def run_check() -> None:
    """Check everything the server needs; exit 78 when something is wrong."""
    settings = Settings()
    failed = 0

    def report(name: str, check: Callable[[], str]) -> None:
        nonlocal failed
        try:
            said = check()
        except (AppError, OSError, smtplib.SMTPException) as exc:
            failed += 1
            typer.echo(f"wrong  {name:14} {exc}")
        else:
            typer.echo(f"ok     {name:14} {said}")

    report("configuration", lambda: _check_configuration(settings))
    with open_databases(settings) as (database, record_database):
        report("database", lambda: _check_database(database))
        report("record", lambda: _check_database(record_database))
        report("triggers", lambda: _check_triggers(database, record_database))
        report("keys", lambda: _check_keys(database, settings))
        report("mail", lambda: _check_mail(settings))
    report("disk", lambda: _check_disk(settings))
    if failed:
        raise typer.Exit(os.EX_CONFIG)


def _check_configuration(settings: Settings) -> str:
    loopback = any(f"//{host}" in settings.public_url for host in ("127.0.0.1", "localhost", "[::1]"))
    if settings.public_url.startswith("http://") and not loopback and not settings.allow_plain_http:
        raise OSError("FERNWART_PUBLIC_URL is plain http beyond this machine; use https, or set FERNWART_ALLOW_PLAIN_HTTP=yes")
    return settings.public_url


def _check_database(database: Database) -> str:
    database.ping()
    return database.url.render_as_string(hide_password=True)


def _check_triggers(database: Database, record_database: Database) -> str:
    missing = list_missing_triggers(database, record_database)
    if missing:
        raise OSError(f"missing: {', '.join(missing)}; restore the database from a backup or run the newest migration again")
    return "all there"


def _check_keys(database: Database, settings: Settings) -> str:
    with database.write() as unit:
        if get_setting(unit, OPERATIONAL_FINGERPRINT) == "":
            return "made at the first start"
        return f"operational key {open_keys(unit, settings.data_dir).keys.fingerprint}"


def _check_mail(settings: Settings) -> str:
    if not settings.smtp_host:
        return "no FERNWART_SMTP_HOST: mails wait in the outbox"
    context = ssl.create_default_context(cafile=str(settings.smtp_ca) if settings.smtp_ca else None)
    if settings.smtp_tls == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(settings.smtp_host, settings.smtp_port, timeout=10, context=context)
    else:
        server = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=10)
    with server:
        if settings.smtp_tls == "starttls":
            server.starttls(context=context)
        if settings.smtp_user:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        server.noop()
    return f"{settings.smtp_host}:{settings.smtp_port} answers as {socket.getfqdn(settings.smtp_host)}"


def _check_disk(settings: Settings) -> str:
    free = shutil.disk_usage(settings.data_dir).free
    if free < settings.recording_reserve_bytes:
        raise OSError(f"{free // 2**20} MiB free, {settings.recording_reserve_bytes // 2**20} MiB are kept for desk and intake")
    return f"{free // 2**30} GiB free"
