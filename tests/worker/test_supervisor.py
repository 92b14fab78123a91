"""A job from claim to end, with a real child process that does what the test says."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from worker.child import write_order
from worker.process import group_lives
from worker.settings import WorkerSettings
from worker.store import Job, State
from worker.store.events import log_lines
from worker.stores import Stores
from worker.supervisor import Supervisor

sys.path.insert(0, str(Path(__file__).parent))
import pretend

STARTED = ["event", {"kind": "started", "device": "cpu"}]
EPOCH = ["event", {"kind": "epoch", "epoch": 1, "branches": {"a": {"pck@0.2": 5.0}}}]
FINISHED = ["event", {"kind": "finished", "metrics": {"pck@0.2": 5.0}}]


@pytest.fixture
def supervisor(stores: Stores) -> Supervisor:
    return Supervisor(stores, kinds=pretend.KINDS, child=pretend.COMMAND)


def post(stores: Stores, *steps: list, **config: object) -> str:
    """A job that will do these steps."""
    posted = {"do": list(steps), **config}
    return stores.jobs.add("pretend", posted, posted)[0].id


def run(supervisor: Supervisor, *steps: list, **config: object) -> Job:
    """A job after the supervisor did it."""
    job_id = post(supervisor.stores, *steps, **config)
    supervisor.run(job_id)
    return supervisor.stores.jobs.get(job_id)


def states(stores: Stores, job_id: str) -> list[str]:
    return [str(step.new) for step in stores.jobs.history(job_id)]


def eventually(what: Callable[[], object], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def in_thread(supervisor: Supervisor, job_id: str) -> threading.Thread:
    """The supervisor at work on the job, which has started."""
    thread = threading.Thread(target=supervisor.run, args=[job_id])
    thread.start()
    eventually(lambda: supervisor.stores.jobs.get(job_id).state == State.RUNNING)
    return thread


def test_a_job_goes_its_whole_way(supervisor: Supervisor, stores: Stores) -> None:
    """States, metrics, result, artifacts and log of a child that works as it should."""
    job = run(
        supervisor,
        STARTED,
        EPOCH,
        ["event", {"kind": "evaluating"}],
        ["file", "students/a.onnx", "weights"],
        ["event", {"kind": "artifact", "name": "a.onnx", "path": "students/a.onnx"}],
        ["file", "metrics.json", "{}"],
        ["print", "all is well\n"],
        FINISHED,
    )

    assert states(stores, job.id) == ["queued", "starting", "running", "evaluating", "succeeded"]
    assert job.result == {"pck@0.2": 5.0}
    assert len(stores.jobs.metrics(job)["history"]) == 1
    kept = stores.jobs.artifacts(job.id)
    assert [a.name for a in kept] == ["a.onnx", "log.txt", "metrics.json"]
    with stores.artifacts.open(kept[0].key) as file:
        assert file.read() == b"weights"
    with stores.artifacts.open(kept[1].key) as file:
        assert file.read() == b"--- attempt 1\nall is well\n"


def test_a_child_that_says_nothing_still_goes_through_every_state(
    supervisor: Supervisor, stores: Stores
) -> None:
    """The table of states knows no short cut."""
    job = run(supervisor)

    assert states(stores, job.id) == ["queued", "starting", "running", "evaluating", "succeeded"]


@pytest.mark.parametrize(
    ("steps", "reason", "message"),
    [
        ([["raise", "diverged"]], "NaN loss", "the loss is no longer a finite number at step 7"),
        ([["raise", "data"]], "bad data", "joints.mat, row 3: has no joints"),
        ([["raise", "memory"]], "out of memory", "the process could not get more memory"),
        ([["raise", "disk"]], "disk full", "there is no space left on the worker's disk"),
        ([["raise", "module"]], "not installed", "the worker lacks the package torch"),
        ([["raise", "bug"]], "unexpected error", "KeyError: '.'"),
        ([["grow"]], "out of memory", "the process could not get more memory"),
        ([["full"], ["raise", "disk"]], "disk full", "there is no space left on the worker's disk"),
        ([["die", 9]], "killed", "the process was killed (signal 9)"),
        ([["die", 11]], "crashed", "the process was ended by signal 11 SIGSEGV"),
        ([["exit", 3]], "crashed", "the process ended with status 3"),
    ],
)
def test_a_child_that_fails_leaves_a_reason(
    supervisor: Supervisor, stores: Stores, steps: list, reason: str, message: str
) -> None:
    """In a few words that a person can act on, without a path of this server."""
    job = run(supervisor, STARTED, ["print", "last words\n"], *steps)

    assert job.state == State.FAILED
    assert job.error is not None
    assert (job.error["reason"], job.error["message"]) == (reason, message)
    assert job.error["log"][:2] == ["--- attempt 1", "last words"]
    assert str(stores.settings.home) not in json.dumps(job.error)
    assert [a.name for a in stores.jobs.artifacts(job.id)] == ["log.txt"]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [([["grow"]], "out of memory"), ([["raise", "cuda"]], "GPU out of memory")],
)
def test_who_has_too_little_memory_is_told_a_batch_to_try(
    supervisor: Supervisor, steps: list, reason: str
) -> None:
    """Half of what the training had, which may be what the device chose."""
    started = ["event", {"kind": "started", "batch_size": 48}]

    chosen = run(supervisor, started, *steps, training={"batch_size": 0})
    least = run(supervisor, STARTED, *steps, training={"batch_size": 1})

    assert chosen.error is not None and least.error is not None
    assert chosen.error["reason"] == least.error["reason"] == reason
    assert chosen.error["message"].endswith("; try training.batch_size 24 (it was 48)")
    assert "training.batch_size is 1 already" in least.error["message"]


def test_a_child_that_is_killed_near_the_limit_was_killed_for_memory(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no count of the kernel says so, its last known size does."""
    monkeypatch.setattr("worker.memory.memory_limit", lambda: 10 << 20)

    job = run(supervisor, STARTED, ["sleep", 0.5], ["die", 9], training={"batch_size": 8})

    assert job.error is not None
    assert (job.error["reason"], job.error["message"]) == (
        "out of memory",
        "the process was killed (signal 9), for memory; try training.batch_size 4 (it was 8)",
    )


def test_of_a_long_log_the_last_lines_stay_with_the_job(supervisor: Supervisor) -> None:
    """Two hundred: the end is where the fault is."""
    text = "".join(f"line {i}\n" for i in range(1000))

    job = run(supervisor, ["print", text], ["exit", 1])

    assert job.error is not None
    assert job.error["log"] == [f"line {i}" for i in range(800, 1000)]


def test_the_log_is_stored_as_it_grows_through_all_attempts(
    supervisor: Supervisor, stores: Stores
) -> None:
    """Whoever follows sees a line within a second, and no path of this server."""
    job_id = post(
        stores, STARTED, ["print", f"in {stores.settings.home}/a\n"], ["wait"],
        resumed=[["print", "again\n"]],
    )  # fmt: skip
    thread = in_thread(supervisor, job_id)
    eventually(lambda: log_lines(stores.database, job_id, 1, 9) == ["--- attempt 1", "in a"])

    supervisor.drain()
    thread.join()
    Supervisor(stores, kinds=pretend.KINDS, child=pretend.COMMAND).run(job_id)

    assert log_lines(stores.database, job_id, 3, 9) == ["--- attempt 2", "again"]


def test_what_cannot_be_prepared_fails_before_a_child_starts(
    supervisor: Supervisor, stores: Stores
) -> None:
    """As a data set that was removed while the job waited."""
    job = run(supervisor, unprepared=True)

    assert job.error == {"reason": "bad data", "message": "lsp: is gone", "log": []}
    assert states(stores, job.id) == ["queued", "starting", "failed"]


def test_a_second_delivery_does_nothing(supervisor: Supervisor, stores: Stores) -> None:
    """Of a finished, unknown or running job: the message is dropped quietly."""
    job = run(supervisor, STARTED)
    before = stores.jobs.history(job.id)

    supervisor.run(job.id)
    supervisor.run("nobody")

    assert len(stores.jobs.history(job.id)) == len(before)


def test_a_cancelled_job_saves_and_ends(supervisor: Supervisor, stores: Stores) -> None:
    """TERM lets the child write a checkpoint."""
    job_id = post(stores, STARTED, ["wait"])
    thread = in_thread(supervisor, job_id)

    stores.jobs.cancel(job_id)
    thread.join(20)

    assert stores.jobs.get(job_id).state == State.CANCELLED
    assert stores.jobs.history(job_id)[-1].reason == "cancelled by the user"


def test_a_cancelled_job_ends_with_all_that_it_started(
    settings: WorkerSettings, stores: Stores
) -> None:
    """`cancelled` comes only when the whole process group is gone, KILL where TERM is ignored."""
    hasty = settings.model_copy(update={"cancel_grace_s": 0.3})
    object.__setattr__(stores, "settings", hasty)
    supervisor = Supervisor(stores, kinds=pretend.KINDS, child=pretend.COMMAND)
    job_id = post(stores, ["deaf"], ["spawn"], STARTED, ["sleep", 600])
    thread = in_thread(supervisor, job_id)
    spawned = int((settings.run_dir(job_id) / "spawned").read_text())
    assert pretend.lives(spawned)

    stores.jobs.cancel(job_id)
    thread.join(20)

    assert stores.jobs.get(job_id).state == State.CANCELLED
    assert not pretend.lives(spawned)


def test_what_a_child_leaves_behind_ends_with_it(
    supervisor: Supervisor, settings: WorkerSettings
) -> None:
    """A job that has succeeded holds no memory and no device."""
    job = run(supervisor, ["spawn"])

    assert job.state == State.SUCCEEDED
    assert not pretend.lives(int((settings.run_dir(job.id) / "spawned").read_text()))


def test_a_worker_that_must_end_gives_its_job_back(supervisor: Supervisor, stores: Stores) -> None:
    """The child saves; another worker goes on at once."""
    job_id = post(stores, STARTED, ["wait"])
    thread = in_thread(supervisor, job_id)

    supervisor.drain()
    thread.join(20)

    job = stores.jobs.get(job_id)
    assert job.state == State.QUEUED
    assert stores.jobs.history(job_id)[-1].reason == "its worker was asked to end"
    assert stores.jobs.unannounced() == [job_id]
    supervisor.run(job_id)
    assert stores.jobs.get(job_id).state == State.QUEUED, "a draining worker takes no job"


def test_the_next_attempt_resumes_in_the_same_folder(
    supervisor: Supervisor, stores: Stores
) -> None:
    """Events go on being counted, and what was stored is not stored twice."""
    second = ["event", {"kind": "epoch", "epoch": 2, "branches": {"a": {"pck@0.2": 6.0}}}]
    job_id = post(stores, STARTED, EPOCH, ["wait"], resumed=[STARTED, second, FINISHED])
    thread = in_thread(supervisor, job_id)
    supervisor.drain()
    thread.join(20)

    supervisor.draining.clear()
    supervisor.run(job_id)

    job = stores.jobs.get(job_id)
    assert (job.state, job.attempt) == (State.SUCCEEDED, 2)
    assert [e["epoch"] for e in stores.jobs.metrics(job)["history"]] == [1, 2]
    assert states(stores, job_id)[3:6] == ["queued", "starting", "running"]


def test_on_another_host_the_run_begins_anew(
    supervisor: Supervisor, stores: Stores, settings: WorkerSettings
) -> None:
    """The run folder is not there: events count from 1 again and must not be taken for old."""
    job_id = post(stores, STARTED, EPOCH, ["wait"])
    thread = in_thread(supervisor, job_id)
    supervisor.drain()
    thread.join(20)
    settings.run_dir(job_id).rename(settings.home / "elsewhere")
    with stores.database.writing() as session:
        again = {"do": [STARTED, FINISHED]}
        session.execute(update(Job).where(Job.id == job_id).values(resolved=again))

    supervisor.draining.clear()
    supervisor.run(job_id)

    assert stores.jobs.get(job_id).result == {"pck@0.2": 5.0}


def test_a_worker_that_lost_its_job_ends_the_child(supervisor: Supervisor, stores: Stores) -> None:
    """It woke late; the job is another's, whose row it must not touch."""
    job_id = post(stores, STARTED, ["spawn"], ["wait"])
    thread = in_thread(supervisor, job_id)
    eventually((stores.settings.run_dir(job_id) / "spawned").exists)
    spawned = int((stores.settings.run_dir(job_id) / "spawned").read_text())
    with stores.database.writing() as session:
        session.execute(update(Job).values(worker="another", attempt=2))

    thread.join(30)

    assert not pretend.lives(spawned)
    job = stores.jobs.get(job_id)
    assert (job.state, job.worker, job.attempt) == (State.RUNNING, "another", 2)


def take_away(stores: Stores) -> Callable[[], None]:
    """Make the database unreachable; what is returned brings it back."""
    database = stores.settings.home / "okdhp.db"
    away = database.with_suffix(".away")
    stores.database.close()
    database.rename(away)
    database.mkdir()  # nothing can be opened there

    def bring_back() -> None:
        database.rmdir()
        away.rename(database)

    return bring_back


def test_the_database_may_be_away_for_a_while(supervisor: Supervisor, stores: Stores) -> None:
    """The child works on; what it did is stored once the database is back."""
    job_id = post(stores, STARTED, ["sleep", 1.5], EPOCH, FINISHED)
    thread = in_thread(supervisor, job_id)

    bring_back = take_away(stores)
    time.sleep(1)
    bring_back()
    thread.join(30)

    job = stores.jobs.get(job_id)
    assert job.state == State.SUCCEEDED
    assert len(stores.jobs.metrics(job)["history"]) == 1


def test_a_worker_can_end_while_the_database_is_away(
    supervisor: Supervisor, stores: Stores
) -> None:
    """It ends its child; the reaper frees the job later."""
    job_id = post(stores, STARTED, ["wait"])
    thread = in_thread(supervisor, job_id)
    child = int((stores.settings.run_dir(job_id) / "run.lock").read_text())

    bring_back = take_away(stores)
    supervisor.drain()
    thread.join(10)
    bring_back()

    assert not thread.is_alive()
    assert not group_lives(child)
    assert stores.jobs.get(job_id).state == State.RUNNING


def test_a_kind_that_this_worker_does_not_know_fails_with_those_it_does(
    supervisor: Supervisor, stores: Stores
) -> None:
    """While a server is upgraded, its workers may be older than its API."""
    job_id = stores.jobs.add("audit", {}, {})[0].id

    supervisor.run(job_id)

    error = stores.jobs.get(job_id).error
    assert error is not None
    assert error["message"] == "unknown job kind 'audit'; accepted: pretend"


def test_an_artifact_outside_the_run_folder_is_not_stored(
    supervisor: Supervisor, stores: Stores
) -> None:
    """The child reads strangers' data; what it names is not trusted."""
    job = run(supervisor, ["event", {"kind": "artifact", "name": "x", "path": "../../okdhp.db"}])

    assert job.error is not None
    assert job.error["message"] == "'../../okdhp.db' is not a relative file name without '..'"
    assert [a.name for a in stores.jobs.artifacts(job.id)] == ["log.txt"]


def test_two_attempts_never_work_in_one_folder(
    supervisor: Supervisor, stores: Stores, settings: WorkerSettings
) -> None:
    """A stopped worker's child works on after its lease is lost: the next one ends it first."""
    job_id = post(stores, ["deaf"], STARTED, ["sleep", 600], resumed=[FINISHED])
    first = in_thread(supervisor, job_id)
    holder = int((settings.run_dir(job_id) / "run.lock").read_text())
    order = json.loads((settings.run_dir(job_id) / "order.json").read_text())
    hasty = {"device": "cpu", "cache": settings.home, "grace_s": 0.2}
    write_order(settings.run_dir(job_id), order["spec"], **hasty)

    command = [*pretend.COMMAND, "--job", job_id, "--kind", "pretend"]
    status = os.spawnv(
        os.P_WAIT, sys.executable, [*command, "--run", str(settings.run_dir(job_id))]
    )

    assert status == 0
    assert not group_lives(holder)
    first.join(20)


def test_the_child_is_told_who_follows_runs_and_none_of_the_server_s_passwords(
    supervisor: Supervisor, stores: Stores, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It reads strangers' data sets and needs neither database nor broker; MLflow it does."""
    monkeypatch.setenv("OKDHP_DATABASE_URL", "postgresql://x:secret@host/x")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking")
    script = tmp_path / "show.py"
    script.write_text(
        "import os; print(*(k for k in os.environ if k.startswith(('OKDHP_', 'MLFLOW_'))))"
    )
    supervisor = Supervisor(stores, kinds=pretend.KINDS, child=(sys.executable, str(script)))

    job = run(supervisor)

    with stores.artifacts.open(stores.jobs.artifact(job.id, "log.txt").key) as file:
        assert file.read() == b"--- attempt 1\nMLFLOW_TRACKING_URI\n"
