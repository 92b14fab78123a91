"""The database: SQLite or PostgreSQL behind the same sessions, and its clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Double, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.functions import FunctionElement

from worker.errors import StoreUnusable

BUSY_TIMEOUT_S: Final = 30
CONNECT_TIMEOUT_S: Final = 5
_MIGRATION_LOCK: Final = 0x0DB9  # any number that only we use on a server


class now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it is
    """Seconds since 1970 by the database's clock: leases must not depend on any worker's."""

    type = Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: Any, **options: Any) -> str:
    # Not now(): that is when the transaction began, before it waited for a lock.
    return "extract(epoch from clock_timestamp())::double precision"


class Database:
    """Sessions on one database; safe to share between threads."""

    def __init__(self, url: str) -> None:
        """Raises StoreUnusable when the URL is of no known database."""
        self.engine = _engine(url)
        self._writing = self.engine.execution_options(okdhp_writes=True)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session on one consistent state, never waiting for a writer."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that commits at its end and rolls back on an error."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    def upgrade(self) -> None:
        """Bring the tables to this version; processes that start at once wait for each other.

        Raises StoreUnusable when a newer version wrote the database.
        """
        config = _migrations()
        with self._writing.begin() as connection:  # SQLite: BEGIN IMMEDIATE is the lock
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise StoreUnusable(
                    f"the database is of another version than this program: {error}"
                ) from None

    def revision(self) -> str | None:
        """Of its tables; None where there are none yet."""
        with self.engine.connect() as connection:
            found: str | None = MigrationContext.configure(connection).get_current_revision()
        return found

    def close(self) -> None:
        self.engine.dispose()


def newest_revision() -> str | None:
    """Of this program's tables."""
    return ScriptDirectory.from_config(_migrations()).get_current_head()


def _migrations() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config


def open_database(url: str) -> Database:
    """The database at `url` with its tables at this version."""
    database = Database(url)
    database.upgrade()
    return database


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreUnusable("the database URL cannot be read") from None
    match parsed.get_backend_name():
        case "sqlite":
            if parsed.database in (None, "", ":memory:"):
                raise StoreUnusable("an SQLite database needs a file: its processes share it")
            Path(parsed.database or "").parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_S})
            event.listen(engine, "connect", _on_sqlite_connect)
            event.listen(engine, "begin", _on_sqlite_begin)
            return engine
        case "postgresql":
            # `postgresql://` alone would ask for psycopg 2.
            return create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_pre_ping=True,  # a server that came back is no error
                connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
            )
        case other:
            raise StoreUnusable(f"database {other!r} is not known; accepted: sqlite, postgresql")


def _on_sqlite_connect(connection: Any, _: ConnectionPoolEntry) -> None:
    # Python's driver would begin transactions by itself, and deferred; `_on_sqlite_begin` does it.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _on_sqlite_begin(connection: Connection) -> None:
    # A deferred transaction that reads and then writes fails when another wrote in between, and no
    # busy timeout helps: writers take their turn at the start.
    writes = connection.get_execution_options().get("okdhp_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
