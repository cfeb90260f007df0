"""``fernwart endpoint token``: an enrolment token, printed as the last word of the output."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer
from sqlalchemy import select

from orchestrator.core.db import ReadUnit
from orchestrator.core.errors import InvalidInput, NotFound
from orchestrator.core.settings import Settings
from orchestrator.customers.models import Organisation
from sessions.endpoints.enrolment import create_enrolment_token
from sessions.keys import open_keys
from web.commands.opening import command_line_actor, open_databases

app = typer.Typer(no_args_is_help=True)

_LIFE = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@app.callback()
def endpoints() -> None:
    """Make enrolment tokens."""


@app.command("token")
def run_token(
    organisation: Annotated[str, typer.Option(help="name, number or id of the organisation the machines belong to")],
    uses: Annotated[int, typer.Option(help="how many machines may enrol with it")] = 1,
    expires: Annotated[str, typer.Option(help="how long it works: 30m, 1h, 2d")] = "1h",
    auto_accept: Annotated[bool, typer.Option("--auto-accept", help="accept the machine by itself (one use)")] = False,
    endpoint_class: Annotated[str | None, typer.Option("--class", help="server or client, with --auto-accept")] = None,
    responsible: Annotated[str | None, typer.Option(help="mail address of the responsible person, with --auto-accept")] = None,
) -> None:
    """Make a token with which an agent may enrol, and print it, once."""
    settings = Settings()
    with open_databases(settings) as (database, _records), database.write() as unit:
        opened = open_keys(unit, settings.data_dir)
        found = _get_organisation(unit, organisation)
        token = create_enrolment_token(
            unit, command_line_actor(), organisation_id=found.id, server_fingerprint=opened.keys.fingerprint, uses=uses,
            expires=_read_life(expires), auto_accept=auto_accept, endpoint_class=endpoint_class, responsible=responsible)
    if opened.recovery_secret is not None:
        typer.echo(f"Recovery key, shown this once; keep it offline, away from this server:\n  {opened.recovery_secret}", err=True)
    typer.echo(f"fernwart-agent enroll {settings.public_url} {token}")


def _get_organisation(unit: ReadUnit, text: str) -> Organisation:
    rows = unit.db.scalars(select(Organisation).where((Organisation.name == text) | (Organisation.number == text))).all()
    if len(rows) > 1:
        raise InvalidInput("Several organisations are called {name}; give the customer number.", field="organisation", name=text)
    if rows:
        return rows[0]
    by_id = unit.db.get(Organisation, text) if re.fullmatch(r"[0-9a-f-]{36}", text) else None
    if by_id is None:
        raise NotFound("There is no organisation called {name}.", name=text)
    return by_id


def _read_life(text: str) -> timedelta:
    found = _LIFE.fullmatch(text.strip())
    if found is None:
        raise InvalidInput("Say how long the token works as 30m, 1h or 2d.", field="expires")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
