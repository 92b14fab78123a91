"""Real stores on SQLite and, where a server can be had, on PostgreSQL."""

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from worker.settings import WorkerSettings
from worker.store import Database, JobStore, open_database
from worker.stores import Stores, open_stores

sys.path.insert(0, str(Path(__file__).parent))
from servers import PostgresServer, postgres_programs, s3_server

LEASE_S = 30.0
LOST_LIMIT = 3


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    """One home folder, and no patience."""
    return WorkerSettings(
        home=tmp_path / "home",
        heartbeat_s=0.1,
        housekeeping_s=0.1,
        cancel_grace_s=2,
        worker_name="tester",
    )


@pytest.fixture
def stores(settings: WorkerSettings) -> Iterator[Stores]:
    opened = open_stores(settings)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each sort."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'jobs.db'}"
        return
    server: str = request.getfixturevalue("postgres_url")
    schema = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        url = make_url(server).update_query_dict({"options": f"-csearch_path={schema}"})
        yield url.render_as_string(hide_password=False)
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def jobs(database: Database) -> JobStore:
    return JobStore(database, lease_s=LEASE_S, lost_limit=LOST_LIMIT)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """OKDHP_TEST_POSTGRES_URL, or a server of our own where its programs are installed."""
    given = os.environ.get("OKDHP_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL: set OKDHP_TEST_POSTGRES_URL or install its server")
    with PostgresServer(programs) as server:
        yield server.url


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[str]:
    """The URL of a bucket that a real server on this machine keeps."""
    with s3_server() as url:
        yield url
