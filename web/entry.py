"""The ``fernwart`` command's first step: say in one sentence when the server's libraries are not installed, and refuse to
run when the import names belong to somebody else (they are generic, and the program has its own environment)."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

ROOMS = ("agents", "orchestrator", "sessions", "web")


def foreign_rooms() -> list[str]:
    """Name the import packages that are not ours: found in another folder than this file's distribution."""
    home = Path(__file__).resolve().parent.parent
    foreign: list[str] = []
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        places = [Path(place).resolve() for place in (spec.submodule_search_locations or [])] if spec else []
        if places != [home / room]:
            foreign.append(room)
    return foreign


def main() -> None:
    """Run the command line."""
    foreign = foreign_rooms()
    if foreign:
        sys.stderr.write(f"fernwart: the packages {', '.join(foreign)} are not Fernwart's own; install it in an environment of its own.\n")
        sys.exit(os.EX_CONFIG)
    if importlib.util.find_spec("fastapi") is None or importlib.util.find_spec("typer") is None:
        sys.stderr.write("fernwart: the server's libraries are missing; install them with: pip install 'fernwart[server]'\n")
        sys.exit(os.EX_CONFIG)
    from web.cli import run

    run()
