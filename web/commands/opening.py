"""What every sub-command starts with: the settings, the databases, an actor for the command line."""

from __future__ import annotations

import getpass
from collections.abc import Generator
from contextlib import contextmanager

from orchestrator.accounts.actor import Actor, ActorKind, Right
from orchestrator.accounts.desk import publish_desk_facts
from orchestrator.accounts.secret_box import prepare_secret_box
from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from orchestrator.notifications.sealing import prepare_sealing
from web.data_folder import prepare_data_folder
from web.schema import migrate


def command_line_actor() -> Actor:
    """Whoever may run the command may read the database file, so every right; the audit names the account."""
    return Actor(kind=ActorKind.SYSTEM, id=None, name=f"command line ({getpass.getuser()})", rights=frozenset(Right))


@contextmanager
def open_databases(settings: Settings) -> Generator[tuple[Database, Database], None, None]:
    """Open and migrate the main database and the recordings; close them at the end."""
    prepare_data_folder(settings.data_dir)
    database = Database(settings.sqlalchemy_url)
    record_database = Database(settings.recordings_url)
    try:
        migrate(database, record_database)
        prepare_secret_box(database, settings.data_dir)
        with database.write() as unit:
            publish_desk_facts(unit, settings)
            prepare_sealing(unit, settings.data_dir)
        yield database, record_database
    finally:
        database.dispose()
        record_database.dispose()
