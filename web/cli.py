"""The ``fernwart`` command: puts the sub-commands of ``web/commands`` together."""

from __future__ import annotations

import os
import sys

import typer
from pydantic import ValidationError

from orchestrator.core.errors import AppError, Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from web.commands import accounts, check, demo, endpoints, intake, search, serve
from web.data_folder import keep_files_private

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Remote-support session orchestrator with its own service desk.")
app.command("demo")(demo.run_demo)
app.command("serve")(serve.run_serve)
app.command("check")(check.run_check)
app.command("search")(search.run_search)
app.add_typer(accounts.users, name="user", help="Add, list and disable people who work with the desk.")
app.add_typer(accounts.tokens, name="token", help="Make tokens for the API.")
app.add_typer(accounts.audit, name="audit", help="Verify the audit chain.")
app.add_typer(intake.app, name="intake", help="Hand in or parse one raw message.")
app.add_typer(endpoints.app, name="endpoint", help="Make enrolment tokens.")

EXITS: dict[type[AppError], int] = {
    NotFound: os.EX_NOUSER, Forbidden: os.EX_NOPERM, Conflict: os.EX_TEMPFAIL, InvalidInput: os.EX_DATAERR, Unavailable: os.EX_TEMPFAIL,
}


def run() -> None:
    """Run the command line; expected errors are one line on standard error and an exit code as in sysexits."""
    keep_files_private()
    try:
        app()
    except AppError as exc:
        sys.stderr.write(f"fernwart: {exc}\n")
        sys.exit(next((EXITS[kind] for kind in type(exc).__mro__ if kind in EXITS), os.EX_SOFTWARE))
    except ValidationError as exc:
        for problem in exc.errors():
            sys.stderr.write(f"fernwart: setting FERNWART_{str(problem['loc'][0]).upper()}: {problem['msg']}\n")
        sys.exit(os.EX_CONFIG)
