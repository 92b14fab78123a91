"""One code for two databases, and tables that are brought up to date."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from worker.errors import StoreUnusable
from worker.store import Database, JobStore, open_database
from worker.store import database as database_file
from worker.store.database import now
from worker.store.tables import Artifact, Dataset, Model, Promotion, Table, Version

MIGRATIONS = Path(database_file.__file__).with_name("migrations")
JOB_OF_0001 = (
    "INSERT INTO jobs (id, kind, state, config, resolved, attempt, lost, created_at, "
    "cancel_requested, event_seq, body_sha256) "
    "VALUES ('j', 'distill', 'queued', '{}', '{}', 0, 0, 1.0, false, 0, 'x')"
)
STEP_OF_0001 = (
    "INSERT INTO job_transitions (id, job_id, at, new, attempt, reason) "
    "VALUES (1, 'j', 1.0, 'queued', 0, 'posted')"
)
MODEL_OF_0003 = "INSERT INTO models (name, created_at) VALUES ('gym', 1.0)"
VERSION_OF_0003 = (
    "INSERT INTO versions (model, version, key, bytes, sha256, card, metrics, created_at) "
    "VALUES ('gym', 1, 'k', 7, 'x', '{\"branch\": \"nano\"}', '{}', 1.0)"
)
PROMOTION_OF_0003 = (
    "INSERT INTO promotions (id, model, version, at, who, why) "
    "VALUES (1, 'gym', 1, 1.0, 'ada', 'better')"
)
DATASET_OF_0006 = (
    "INSERT INTO datasets (name, format, path, splits, problems, fingerprint, created_at) "
    "VALUES ('lsp', 'lsp', 'sets/lsp', '{\"train\": {}}', '[]', 'f', 1.0)"
)
OPEN = "import sys; from worker.store import open_database; open_database(sys.argv[1]).close()"


def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    """Else a fresh server and an upgraded one would differ."""
    with database.engine.connect() as connection:
        # Alembic cannot compare a descending column on SQLite; test_queue.py sees the index work.
        known = {"include_object": lambda thing, name, *_: name != "jobs_by_turn"}
        opts = {"compare_type": True, **(known if "sqlite" in str(database.engine.url) else {})}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, Table.metadata) == []


def test_processes_that_start_at_once_upgrade_once(database_url: str) -> None:
    """API and worker start together on an empty database."""
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, database_url], stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]

    ends = [(process.communicate()[1], process.returncode) for process in starting]

    assert [code for _, code in ends] == [0] * 4, ends


def test_opening_again_changes_nothing(database: Database, database_url: str) -> None:
    """A restart keeps everything."""
    with database.writing() as session:
        session.add(Model(name="kept", created_at=1.0))

    again = open_database(database_url)

    with again.reading() as session:
        assert session.get(Model, "kept") is not None
    again.close()


def test_an_upgrade_keeps_what_an_older_program_wrote(database_url: str) -> None:
    """SQLite's way to change a table could take along the rows that refer to it."""
    older = Database(database_url)
    with older.engine.begin() as connection:
        config = AlembicConfig()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text(JOB_OF_0001))
        connection.execute(text(STEP_OF_0001))
    older.upgrade()

    jobs = JobStore(older)

    assert jobs.get("j").parent_id is None
    assert [step.reason for step in jobs.history("j")] == ["posted"]
    older.close()


def test_a_version_that_is_in_production_stays_through_an_upgrade(database_url: str) -> None:
    """SQLite makes the table again that the log of promotions refers to."""
    older = Database(database_url)
    with older.engine.begin() as connection:
        config = AlembicConfig()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for row in (MODEL_OF_0003, VERSION_OF_0003, PROMOTION_OF_0003):
            connection.exec_driver_sql(row)
    older.upgrade()

    with older.reading() as session:
        line = session.get_one(Promotion, 1)
        version = session.get_one(Version, (line.model, line.version))
    assert (line.action, line.gate) == ("promote", None)
    assert (version.branch, version.variant) == ("nano", "fp32")
    with pytest.raises(IntegrityError), older.writing() as session:
        session.execute(text("UPDATE promotions SET version = 2"))
    older.close()


def test_a_registered_set_becomes_its_name_s_first_version(database_url: str) -> None:
    """Configurations of last year name it still."""
    older = Database(database_url)
    with older.engine.begin() as connection:
        config = AlembicConfig()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        connection.exec_driver_sql(DATASET_OF_0006)
    older.upgrade()

    with older.reading() as session:
        kept = session.get_one(Dataset, ("lsp", 1))
    assert (kept.path, kept.splits, kept.content, kept.deleted_at) == (
        "sets/lsp", {"train": {}}, None, None,
    )  # fmt: skip
    older.close()


def test_a_database_of_a_newer_program_is_refused(database: Database) -> None:
    """An old program would write nonsense into it."""
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreUnusable, match="of another version than this program"):
        database.upgrade()


def test_the_clock_is_the_database_s_in_seconds(database: Database) -> None:
    """Both dialects give the same unit, to better than a second."""
    with database.reading() as session:
        there = session.execute(select(now())).scalar_one()

    assert abs(there - time.time()) < 2
    assert there != int(there)


def test_rows_of_unknown_jobs_are_refused(database: Database) -> None:
    """SQLite checks foreign keys only when told to."""
    with pytest.raises(IntegrityError), database.writing() as session:
        session.execute(
            insert(Artifact).values(
                job_id="nobody", name="a", key="a", bytes=1, sha256="", created_at=0
            )
        )


def test_a_state_that_does_not_exist_is_refused(database: Database) -> None:
    """By the table itself, whoever writes."""
    columns = "id, kind, state, config, resolved, attempt, lost, created_at, cancel_requested"
    with pytest.raises(IntegrityError), database.writing() as session:
        session.execute(
            text(
                f"INSERT INTO jobs ({columns}, event_seq, body_sha256) "
                "VALUES ('x', 'distill', 'asleep', '{}', '{}', 0, 0, 0, false, 0, '')"
            )
        )


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("mysql://localhost/x", "database 'mysql' is not known; accepted: sqlite, postgresql"),
        ("not a url", "cannot be read"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, fault: str) -> None:
    """At start, with what is accepted."""
    with pytest.raises(StoreUnusable, match=fault):
        Database(url)


def test_sqlite_reads_while_another_writes(tmp_path: Path) -> None:
    """WAL: a page of jobs must not wait for a worker's transaction."""
    database = open_database(f"sqlite:///{tmp_path / 'jobs.db'}")
    with database.writing() as writer:
        writer.add(Model(name="unseen", created_at=1.0))
        writer.flush()
        with database.reading() as reader:
            assert reader.get(Model, "unseen") is None
    database.close()
