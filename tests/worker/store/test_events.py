"""The stream of a job: numbered without a gap, in the order in which things were committed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, func, select

from worker.store import Claim, Database, Job, JobStore, State
from worker.store.events import JobEvent, append, events_after, log_lines, standing

EPOCHS = [
    {"seq": n, "kind": "epoch", "time": 1.0, "epoch": n, "loss": {"total": 1 / n}}
    for n in range(1, 5)
]


def claimed(jobs: JobStore) -> Claim:
    return jobs.claim(jobs.add("distill", {}, {})[0].id, "a")


def told(database: Database, job_id: str, after: int = 0) -> list[tuple[int, str]]:
    return [(event.seq, event.kind) for event in events_after(database, job_id, after, 10_000)]


def test_every_change_of_a_job_is_an_event(jobs: JobStore, database: Database) -> None:
    """States, metrics, lines of the log and files, numbered from one."""
    claim = claimed(jobs)
    jobs.record(claim, EPOCHS[:1])
    jobs.add_lines(claim, 1, ["--- attempt 1", "hello"])
    jobs.add_artifact(claim, "a.onnx", "jobs/a.onnx", 7, "x")
    jobs.fail(claim, "disk full", "no space")

    events = events_after(database, claim.job_id, 0, 100)

    assert [e.seq for e in events] == [1, 2, 3, 4, 5, 6]
    kinds = ["state", "state", "metrics", "log", "artifact", "state"]
    assert [e.kind for e in events] == kinds
    assert events[1].data == {
        "old": "queued", "new": "starting", "attempt": 1, "worker": "a", "reason": "claimed",
    }  # fmt: skip
    assert events[2].data == {"epoch": 1, "loss": {"total": 1.0}}
    assert (events[3].line, events[3].data) == (1, {"lines": ["--- attempt 1", "hello"]})
    assert events[4].data == {"name": "a.onnx", "bytes": 7}
    assert [e.at for e in events] == sorted(e.at for e in events)


def test_progress_is_a_snapshot_and_no_event(jobs: JobStore, database: Database) -> None:
    """Hours of it would be most of the database, and nobody wants an old one."""
    claim = claimed(jobs)

    jobs.record(claim, [{"seq": 1, "kind": "progress", "time": 1.0, "step": 3}])

    now = standing(database, claim.job_id)
    assert now is not None
    assert (now.state, now.seq, now.progress) == (State.STARTING, 2, {"step": 3})


def test_an_epoch_that_ran_again_is_told_once(jobs: JobStore, database: Database) -> None:
    """A run that goes on from its checkpoint repeats what came after it, under new numbers."""
    claim = claimed(jobs)
    jobs.record(claim, EPOCHS[:3])
    after = EPOCHS[2]["seq"]
    again = [{**e, "seq": after + n, "loss": {"total": 9.0}} for n, e in enumerate(EPOCHS[1:], 1)]
    jobs.record(claim, again)

    events = events_after(database, claim.job_id, 0, 100)

    assert [e.data["epoch"] for e in events if e.kind == "metrics"] == [1, 2, 3, 4]


def test_what_is_written_twice_is_told_once(jobs: JobStore, database: Database) -> None:
    """A worker writes again when the connection broke before it knew that the first was stored."""
    claim = claimed(jobs)
    for _ in range(2):
        jobs.record(claim, EPOCHS)
        jobs.add_lines(claim, 1, ["one", "two"])
        jobs.add_artifact(claim, "a.onnx", "jobs/a.onnx", 7, "x")
    jobs.add_lines(claim, 2, ["two", "three"])
    jobs.add_artifact(claim, "a.onnx", "jobs/a.onnx", 7, "another")

    kinds = [kind for _, kind in told(database, claim.job_id)]
    assert kinds.count("metrics") == 4
    assert kinds.count("artifact") == 2
    assert log_lines(database, claim.job_id, 1, 10) == ["one", "two", "three"]


def test_a_change_that_was_rolled_back_leaves_no_number(jobs: JobStore, database: Database) -> None:
    """A gap would look like an event that was lost."""
    claim = claimed(jobs)
    with pytest.raises(ZeroDivisionError), database.writing() as session:
        job = session.get_one(Job, claim.job_id, with_for_update=True)
        append(session, job, 1.0, "metrics", {})
        session.flush()
        raise ZeroDivisionError

    jobs.record(claim, EPOCHS[:1])

    assert told(database, claim.job_id) == [(1, "state"), (2, "state"), (3, "metrics")]


def test_a_reader_who_asks_for_what_is_new_never_misses_an_event(
    jobs: JobStore, database: Database
) -> None:
    """Writers in parallel: a number that is seen must mean that no lower one comes later."""
    claim = claimed(jobs)
    each, writers = 10, 2
    done = threading.Event()
    seen: list[int] = []

    def write(writer: int) -> None:
        for n in range(each):
            jobs.add_artifact(claim, f"{writer}-{n}", "k", 1, "x")

    def read() -> None:
        while True:
            last = done.is_set()
            seen.extend(
                e.seq for e in events_after(database, claim.job_id, max(seen, default=0), 7)
            )
            if last and len(seen) >= each * writers + 2:
                return
            time.sleep(0.001)

    with ThreadPoolExecutor(writers + 1) as threads:
        reader = threads.submit(read)
        list(threads.map(write, range(writers)))
        done.set()
        reader.result(timeout=20)

    assert seen == list(range(1, each * writers + 3))


def test_any_part_of_a_log_can_be_read(jobs: JobStore, database: Database) -> None:
    """However the lines came in batches."""
    claim = claimed(jobs)
    lines = [f"line {n}" for n in range(1, 31)]
    for first, last in ((0, 1), (1, 9), (9, 10), (10, 30)):
        jobs.add_lines(claim, first + 1, lines[first:last])

    for first in range(1, 33):
        for count in (1, 2, 9, 40):
            expected = lines[first - 1 : first - 1 + count]
            assert log_lines(database, claim.job_id, first, count) == expected


def test_a_job_that_goes_takes_its_events_along(jobs: JobStore, database: Database) -> None:
    """A deleted job leaves nothing."""
    claim = claimed(jobs)
    jobs.add_lines(claim, 1, ["secret"])

    with database.writing() as session:
        session.execute(delete(Job).where(Job.id == claim.job_id))

    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(JobEvent)) == 0
    assert standing(database, claim.job_id) is None
