"""Real stores on SQLite and, where a server can be had, on PostgreSQL."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import psycopg
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import make_url

from worker.settings import WorkerSettings
from worker.store import Database, JobStore, open_database
from worker.stores import Stores, open_stores

LEASE_S = 30.0
LOST_LIMIT = 3


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    """One home folder, and no patience."""
    return WorkerSettings(
        home=tmp_path / "home",
        heartbeat_s=0.1,
        housekeeping_s=0.1,
        reannounce_s=0.5,
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
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """OKDHP_TEST_POSTGRES_URL, or a server of our own where its programs are installed."""
    given = os.environ.get("OKDHP_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL: set OKDHP_TEST_POSTGRES_URL or install its server")
    # The server refuses root; its own user then needs a folder that it can reach.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(f"/tmp/okdhp-postgres-{uuid.uuid4().hex[:8]}")
    folder.mkdir(mode=0o700)
    if user:
        shutil.chown(folder, user)
    try:
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "okdhp", "-N"],
            user=user, cwd="/", check=True, capture_output=True,
        )  # fmt: skip
        server = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", "-k", folder, "-c", "fsync=off",
             "-c", "listen_addresses="],
            user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            url = f"postgresql://okdhp@/postgres?host={folder}"
            _wait_for(url)
            yield url
        finally:
            server.terminate()
            server.wait(20)
    finally:
        shutil.rmtree(folder)


def _postgres_programs() -> Path | None:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [Path(found).resolve().parent] if found else []
    return next((p for p in places if (p / "initdb").exists() and (p / "postgres").exists()), None)


def _wait_for(url: str) -> None:
    for _ in range(100):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            subprocess.run(["sleep", "0.1"], check=True)
    raise TimeoutError("PostgreSQL did not start")


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[str]:
    """The URL of a bucket that a real server on this machine keeps."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            environment.setenv(name, value)
        fsspec.filesystem("s3").mkdir("artifacts")
        yield "s3://artifacts"
    server.stop()
