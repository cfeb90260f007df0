"""The database: declarative base, the two kinds of unit of work, and the only place that commits.

``ReadUnit`` and ``WriteUnit`` are one transaction each. A read handler cannot call a function that writes, since such
functions ask for a ``WriteUnit``. On SQLite a write unit begins with BEGIN IMMEDIATE (a transaction that reads and then
writes would fail at once when another wrote in between) and a read unit is read-only; on PostgreSQL likewise.
Events emitted in a unit are handed to ``after_commit`` listeners once the commit has succeeded, never before.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import structlog
from sqlalchemy import DateTime, Dialect, Engine, MetaData, String, TypeDecorator, create_engine, event, text
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import DatabaseError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column
from sqlalchemy.pool import QueuePool

from orchestrator.core.clock import Clock, SystemClock
from orchestrator.core.errors import Unavailable
from orchestrator.core.events import Event, Events
from orchestrator.core.ids import new_id

log = structlog.get_logger(__name__)

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, in both databases. A naive one is a programming error."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a zone was given to the database")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


IdKey = Annotated[str, mapped_column(String(36), primary_key=True, default=new_id)]
Ref = Annotated[str, mapped_column(String(36))]
Short = Annotated[str, mapped_column(String(200))]
Moment = Annotated[datetime, mapped_column(UTCDateTime())]


class Base(DeclarativeBase):
    """All tables of the main database."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UTCDateTime()}


class RecordBase(DeclarativeBase):
    """Tables of recordings: a file of their own on SQLite, the same database on PostgreSQL."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UTCDateTime()}


class ReadUnit:
    """One read-only transaction. ``now`` is fixed at its start."""

    __slots__ = ("db", "now")

    def __init__(self, db: Session, now: datetime) -> None:
        self.db = db
        self.now = now


class WriteUnit(ReadUnit):
    """One writing transaction; committed when its ``with`` block ends without an error, and only then."""

    __slots__ = ("_events", "emitted")

    def __init__(self, db: Session, now: datetime, events: Events) -> None:
        super().__init__(db, now)
        self._events = events
        self.emitted: list[Event] = []

    def emit(self, happened: Event) -> None:
        """Tell the rooms: listeners inside the transaction run now, the others after the commit."""
        self.emitted.append(happened)
        self._events.run_inside(self, happened)


class Database:
    """An engine and its units of work. ``after_commit`` of ``events`` runs in the committing thread."""

    def __init__(self, url: str, *, events: Events | None = None, clock: Clock | None = None, pool_size: int = 20) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.events = events or Events()
        self.clock = clock or SystemClock()
        self.unit_info: dict[Any, Any] = {}
        """What every unit finds in ``unit.db.info``: things of this process that are in no row, such as keys."""
        if self.is_sqlite:
            if self.url.database:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            self.write_engine = _sqlite_engine(self.url.render_as_string(hide_password=False), writes=True, pool_size=1)
            self.read_engine = _sqlite_engine(self.url.render_as_string(hide_password=False), writes=False, pool_size=pool_size)
        else:
            self.write_engine = create_engine(
                self.url, pool_size=pool_size, max_overflow=10, pool_timeout=10, pool_pre_ping=True, hide_parameters=True,
                connect_args={"connect_timeout": 10, "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60000"},
            )
            event.listen(self.write_engine, "handle_error", _forget_row)
            self.read_engine = self.write_engine.execution_options(postgresql_readonly=True)

    @contextmanager
    def read(self) -> Generator[ReadUnit, None, None]:
        """Open a read-only unit; nothing it did can last."""
        with _translated(), Session(self.read_engine, autoflush=False, expire_on_commit=False, info=self.unit_info) as session:
            try:
                yield ReadUnit(session, self.clock.now())
            finally:
                session.expunge_all()  # what was read stays readable; a rollback would expire it
                session.rollback()

    @contextmanager
    def write(self) -> Generator[WriteUnit, None, None]:
        """Open a writing unit, commit it at the end, then tell the listeners.

        Raises:
            Unavailable: the database is locked, full, or away.
        """
        with _translated(), Session(self.write_engine, expire_on_commit=False, info=self.unit_info) as session:
            unit = WriteUnit(session, self.clock.now(), self.events)
            session.connection()  # BEGIN (IMMEDIATE on SQLite) before the first statement
            unit.now = self.clock.now()
            yield unit
            session.commit()
        for happened in unit.emitted:
            self.events.run_after_commit(happened)

    def dispose(self) -> None:
        self.write_engine.dispose()
        if self.is_sqlite:
            self.read_engine.dispose()

    def ping(self) -> None:
        """Raise ``Unavailable`` unless a statement can be answered."""
        with self.read() as unit:
            unit.db.execute(text("select 1"))


@contextmanager
def _translated() -> Generator[None, None, None]:
    try:
        yield
    except (DatabaseError, InterfaceError, PoolTimeout) as exc:
        if not _is_away(exc):
            raise
        log.error("database refused", reason=str(exc).splitlines()[0])
        raise Unavailable("The database cannot be used right now. Try again in a moment.") from exc


_SQLITE_GENERIC_ERROR = 1
_SQLITE_DAMAGED = frozenset({11, 26})  # SQLITE_CORRUPT, SQLITE_NOTADB
_POSTGRES_ENDED_US = frozenset({"25P03", "25P04"})  # idle in transaction too long, transaction too long: class InternalError


def _is_away(exc: DatabaseError | InterfaceError | PoolTimeout) -> bool:
    """Tell a database that is locked, full, damaged or gone from a statement of ours that is wrong."""
    if isinstance(exc, PoolTimeout) or exc.connection_invalidated:
        return True
    code = getattr(exc.orig, "sqlite_errorcode", None)
    if code is not None:
        primary = code & 0xFF
        return primary in _SQLITE_DAMAGED or (isinstance(exc, OperationalError) and primary != _SQLITE_GENERIC_ERROR)
    state = getattr(exc.orig, "sqlstate", None) or ""
    return isinstance(exc, OperationalError) or state in _POSTGRES_ENDED_US or state.startswith("XX")


def _forget_row(context: ExceptionContext) -> None:
    """Drop the detail that PostgreSQL adds to a violated constraint: it holds the values of the row, secrets among them."""
    said = str(context.original_exception)
    kept = said.partition("\nDETAIL:")[0]
    if kept == said:
        return
    for exc in (context.original_exception, context.sqlalchemy_exception):
        if exc is not None:
            exc.args = tuple(part.replace(said, kept) if isinstance(part, str) else part for part in exc.args)


def _sqlite_engine(url: str, *, writes: bool, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0 if writes else 10,
        pool_timeout=10,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": 5.0},
    )

    def on_connect(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions by itself: the "begin" hook below does.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.execute("PRAGMA busy_timeout=5000")
        cursor.execute("PRAGMA mmap_size=268435456")
        cursor.execute("PRAGMA cache_size=-16000")
        cursor.execute("PRAGMA temp_store=MEMORY")
        if not writes:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine
