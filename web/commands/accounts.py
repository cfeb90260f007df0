"""``fernwart user add|list|disable``, ``fernwart token create``, ``fernwart audit verify``.

Whoever may run these may read the database file; the audit names the account of the machine that did. A secret is the last
word of the output, so that scripts find it.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from orchestrator.accounts.actor import Role
from orchestrator.accounts.models import User
from orchestrator.accounts.queries import find_user_by_email, list_users
from orchestrator.accounts.service import add_user, disable_user
from orchestrator.accounts.tokens import create_token
from orchestrator.audit.queries import verify_audit
from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import NotFound
from orchestrator.core.i18n import _
from orchestrator.core.settings import Settings
from sessions.listeners import register_inside
from web.commands.opening import command_line_actor, open_databases

users = typer.Typer(no_args_is_help=True)
tokens = typer.Typer(no_args_is_help=True)
audit = typer.Typer(no_args_is_help=True)

JSON = Annotated[bool, typer.Option("--json", help="print JSON")]


@users.command("add")
def run_user_add(
    mail: Annotated[str, typer.Argument(help="mail address; also the login")],
    name: Annotated[str, typer.Option(help="name, as customers read it")],
    role: Annotated[list[Role], typer.Option(help="may be given more than once")],
) -> None:
    """Add a person and print a one-time link (24 hours) where password and second factor are set."""
    settings = Settings()
    with open_databases(settings) as (database, _records), database.write() as unit:
        user, token = add_user(unit, command_line_actor(), email=mail, name=name, roles=[str(each) for each in role],
                               language=settings.default_language, time_zone=settings.time_zone)
    typer.echo(f"{user.name} sets password and second factor here (one use, 24 hours): {settings.public_url}/set-up/{token}")


@users.command("list")
def run_user_list(as_json: JSON = False) -> None:
    """List the people who work with the desk."""
    with open_databases(Settings()) as (database, _records), database.read() as unit:
        found = list_users(unit, command_line_actor())
    rows = [{"id": user.id, "email": user.email, "name": user.name, "roles": user.roles, "state": _state(user)} for user in found]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for user in found:
        typer.echo(f"{user.email}  {user.name}  {','.join(user.roles)}  {_state(user)}")


@users.command("disable")
def run_user_disable(mail: Annotated[str, typer.Argument(help="mail address")]) -> None:
    """Disable a person: logins, tokens and live sessions end."""
    with open_databases(Settings()) as (database, _records):
        register_inside(database.events)  # open sessions of this person end in the same transaction
        with database.write() as unit:
            user = _get_user(unit, mail)
            disable_user(unit, command_line_actor(), user)
    typer.echo(f"{user.name} is disabled.")


@tokens.command("create")
def run_token_create(
    user: Annotated[str, typer.Option(help="mail address of the owner")],
    rights: Annotated[str, typer.Option(help="all, or names with commas between; sessions:request and channels:open must be named")],
    address: Annotated[str | None, typer.Option(help="address or network it may be used from")] = None,
    hours: Annotated[int | None, typer.Option(help="how long it works; 90 days, or 24 hours with a right that reaches machines")] = None,
    name: Annotated[str, typer.Option(help="what it is for")] = "",
) -> None:
    """Make an API token with rights of its owner, and print it, once."""
    words = [word.strip() for word in rights.split(",") if word.strip()]
    with open_databases(Settings()) as (database, _records), database.write() as unit:
        owner = _get_user(unit, user)
        token = create_token(unit, command_line_actor(), user=owner, rights=words, address=address, hours=hours, name=name)
    typer.echo(f"Token of {owner.name}, shown this once: {token}")


@audit.command("verify")
def run_audit_verify(as_json: JSON = False) -> None:
    """Verify the audit chain; exit 1 and name the first entry that was touched, if one was."""
    with open_databases(Settings()) as (database, _records), database.read() as unit:
        report = verify_audit(unit)
    if as_json:
        typer.echo(json.dumps({
            "whole": report.is_whole, "first_bad": report.first_bad_seq, "problem": report.problem, "entries": report.count,
            "erased": report.erased, "head": report.head.hex(),
        }))
    elif report.is_whole:
        typer.echo(f"The audit is whole: {report.count} entries, head {report.head.hex()}")
    else:
        sys.stderr.write(f"fernwart: audit entry {report.first_bad_seq} is the first that was touched: {report.problem}.\n")
    if not report.is_whole:
        raise typer.Exit(1)


def _get_user(unit: ReadUnit, mail: str) -> User:
    user = find_user_by_email(unit, mail)
    if user is None:
        raise NotFound(_("There is no account with the mail address {email}."), email=mail)
    return user


def _state(user: User) -> str:
    if user.disabled_at is not None:
        return "disabled"
    return "active" if user.password_hash else "not set up"
