"""``fernwart search QUERY``: what the search box finds, on the command line; ``--rebuild`` renews the whole index."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from orchestrator.core.settings import Settings
from orchestrator.core.signals import MemorySignals
from orchestrator.search.index import SearchIndexing
from orchestrator.search.service import search
from web.commands.opening import command_line_actor, open_databases
from web.lifespan import search_sources


def run_search(
    query: Annotated[str, typer.Argument(help="words, \"phrases\", -not, OR, prefix*, status:, org:, after:, before:, kind:")] = "",
    rebuild: Annotated[bool, typer.Option("--rebuild", help="renew the whole index first")] = False,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:
    """Search tickets, entries, articles, customers, endpoints and commands."""
    settings = Settings()
    with open_databases(settings) as (database, record_database):
        if rebuild:
            with ThreadPoolExecutor(1) as executor:
                count = SearchIndexing(database, search_sources(record_database), MemorySignals(), executor).rebuild()
            typer.echo(f"{count} documents indexed", err=True)
        if not query:
            return
        with database.read() as unit:
            page = search(unit, command_line_actor(), query, limit=limit)
        for hit in page.hits:
            snippet = "".join(part.text for part in hit.snippet)
            if as_json:
                typer.echo(json.dumps({"kind": hit.kind, "id": hit.ref_id, "ticket": hit.ticket_number, "title": hit.title, "snippet": snippet,
                                       "at": hit.happened_at.isoformat()}, ensure_ascii=False))
            else:
                typer.echo(f"{hit.kind:12} {hit.ticket_number or '':16} {hit.title}\n    {snippet}")
