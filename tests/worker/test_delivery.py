"""Jobs through a real broker to a real worker process, and what happens when one of them dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from worker.announcer import TASK, Announcer
from worker.app import QUEUES, create_celery
from worker.broker import EmbeddedBroker
from worker.settings import WorkerSettings
from worker.store import Job, Need, NewPart, State
from worker.stores import Stores, open_stores

HERE = Path(__file__).parent
WORKER = """
import logging, sys
sys.path.insert(0, sys.argv[1])
import pretend
from worker.main import run_worker
from worker.settings import WorkerSettings
logging.basicConfig(level=logging.INFO)
sys.exit(run_worker(WorkerSettings(), kinds=pretend.KINDS, child=pretend.COMMAND))
"""
STARTED = ["event", {"kind": "started"}]


@pytest.fixture
def broker(settings: WorkerSettings) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(settings.home / "broker") as started:
        yield started


@pytest.fixture
def stores(settings: WorkerSettings, broker: EmbeddedBroker) -> Iterator[Stores]:
    opened = open_stores(settings.model_copy(update={"broker_url": broker.url}))
    yield opened
    opened.close()


@pytest.fixture
def announcer(stores: Stores) -> Announcer:
    return Announcer(create_celery(stores.settings), stores.jobs)


@pytest.fixture
def start_worker(stores: Stores, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts worker processes; they end with the test."""
    workers = []
    settings = stores.settings
    environment = os.environ | {
        "OKDHP_HOME": str(settings.home),
        "OKDHP_BROKER_URL": str(settings.broker_url),
        "OKDHP_LEASE_S": "2",
        "OKDHP_HEARTBEAT_S": "0.2",
        "OKDHP_HOUSEKEEPING_S": "0.2",
    }

    def start(**given: str) -> subprocess.Popen:
        """given: more of its environment."""
        with (tmp_path / f"worker{len(workers)}.log").open("wb") as log:
            command = [sys.executable, "-W", "ignore", "-c", WORKER, str(HERE)]
            worker = subprocess.Popen(command, env=environment | given, stdout=log, stderr=log)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()
    for log in sorted(tmp_path.glob("worker*.log")):
        sys.stderr.write(log.read_text())  # pytest shows it where the test failed


def post(
    stores: Stores, *steps: list, priority: int = 5, needs: Need = Need.ANY, **config: object
) -> str:
    posted = {"do": list(steps), **config}
    return stores.jobs.add("pretend", posted, posted, priority=priority, needs=needs)[0].id


def wait_for(stores: Stores, job_id: str, state: State, within_s: float = 30) -> Job:
    deadline = time.monotonic() + within_s
    while (job := stores.jobs.get(job_id)).state != state:
        assert time.monotonic() < deadline, f"the job is {job.state}: {job.error}"
        time.sleep(0.05)
    return job


def test_a_second_delivery_of_a_job_s_message_does_nothing(
    stores: Stores, announcer: Announcer, start_worker: Callable
) -> None:
    """Brokers deliver at least once: of five messages the job runs once."""
    job_id = post(stores, STARTED, ["sleep", 0.5])
    for _ in range(3):
        announcer.announce(job_id)
    start_worker()
    job = wait_for(stores, job_id, State.SUCCEEDED)
    announcer.announce(job_id)
    announcer.announce("nobody")
    last = post(stores)
    announcer.announce(last)
    wait_for(stores, last, State.SUCCEEDED)  # the messages before it have been taken

    assert stores.jobs.get(job_id).attempt == job.attempt == 1
    assert [str(s.new) for s in stores.jobs.history(job_id)] == [
        "queued", "starting", "running", "evaluating", "succeeded",
    ]  # fmt: skip


def test_the_message_carries_the_id_and_nothing_else(
    stores: Stores, announcer: Announcer, broker: EmbeddedBroker
) -> None:
    """Whoever reads the broker learns no configuration, and whoever writes to it can set none."""
    job_id = post(stores, ["print", "a secret"])

    announcer.announce(job_id)

    with Redis(unix_socket_path=broker.url.removeprefix("redis+socket://")) as client:
        (message,) = client.lrange(QUEUES[Need.ANY], 0, -1)
    assert job_id.encode() in message and b"application/json" in message
    assert b"secret" not in message


def test_a_job_posted_while_the_broker_is_away_runs_once_it_is_back(
    stores: Stores, announcer: Announcer, broker: EmbeddedBroker, start_worker: Callable
) -> None:
    """The post does not wait for the broker either."""
    broker.stop()
    job_id = post(stores)
    began = time.monotonic()
    assert announcer.announce(job_id) is False
    assert time.monotonic() - began < 3
    assert stores.jobs.unannounced() == [job_id]

    broker.start()
    start_worker()

    wait_for(stores, job_id, State.SUCCEEDED)


def test_a_broker_that_was_emptied_loses_no_job(
    stores: Stores, announcer: Announcer, broker: EmbeddedBroker, start_worker: Callable
) -> None:
    """An idle worker asks again for what waits."""
    ids = [post(stores) for _ in range(3)]
    for job_id in ids:
        announcer.announce(job_id)
    with Redis(unix_socket_path=broker.url.removeprefix("redis+socket://")) as client:
        client.flushall()

    start_worker()

    for job_id in ids:
        wait_for(stores, job_id, State.SUCCEEDED)


def test_a_worker_outlives_its_broker(
    stores: Stores, announcer: Announcer, broker: EmbeddedBroker, start_worker: Callable
) -> None:
    """It connects again by itself."""
    start_worker()
    first = post(stores)
    announcer.announce(first)
    wait_for(stores, first, State.SUCCEEDED)

    broker.stop()
    broker.start()
    second = post(stores)

    wait_for(stores, second, State.SUCCEEDED, within_s=60)


def test_a_killed_worker_takes_its_child_along_and_another_goes_on(
    stores: Stores, announcer: Announcer, start_worker: Callable
) -> None:
    """KILL gives it no chance to tidy up: the kernel ends the child, the reaper frees the job."""
    job_id = post(stores, STARTED, ["wait"], resumed=[STARTED])
    announcer.announce(job_id)
    worker = start_worker()
    wait_for(stores, job_id, State.RUNNING)
    child = int((stores.settings.run_dir(job_id) / "run.lock").read_text())

    worker.kill()
    worker.wait()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    start_worker()

    assert wait_for(stores, job_id, State.SUCCEEDED).attempt == 2
    reasons = [s.reason for s in stores.jobs.history(job_id)]
    assert any(reason.startswith("host lost") for reason in reasons)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_end_gives_its_job_back(
    stores: Stores, announcer: Announcer, start_worker: Callable, number: signal.Signals
) -> None:
    """Within ten seconds, which is what containers are given."""
    job_id = post(stores, STARTED, ["wait"])
    announcer.announce(job_id)
    worker = start_worker()
    wait_for(stores, job_id, State.RUNNING)

    worker.send_signal(number)
    status = worker.wait(10)

    assert status == 0
    assert stores.jobs.get(job_id).state == State.QUEUED
    assert stores.jobs.history(job_id)[-1].reason == "its worker was asked to end"


def test_a_worker_answers_while_a_job_runs(
    stores: Stores, announcer: Announcer, start_worker: Callable
) -> None:
    """A health check must not take a busy worker for a dead one."""
    job_id = post(stores, STARTED, ["wait"])
    announcer.announce(job_id)
    start_worker()
    wait_for(stores, job_id, State.RUNNING)

    answers = create_celery(stores.settings).control.ping(timeout=5, limit=1)

    assert [list(answer.values()) for answer in answers] == [[{"ok": "pong"}]]


class Evil:
    """Makes a folder in whoever unpickles it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_message_cannot_run_code(
    stores: Stores, announcer: Announcer, start_worker: Callable, tmp_path: Path
) -> None:
    """Whoever can write to the broker must not get the worker that way: JSON only."""
    celery = create_celery(stores.settings)
    celery.send_task(TASK, args=[Evil(tmp_path / "pickle was read")], serializer="pickle")
    start_worker()
    job_id = post(stores)
    announcer.announce(job_id)

    wait_for(stores, job_id, State.SUCCEEDED)

    assert not (tmp_path / "pickle was read").exists()


def test_workers_share_the_parts_of_a_job_and_the_last_one_rings_for_it(
    stores: Stores, announcer: Announcer, start_worker: Callable
) -> None:
    """Also when one of them dies in the middle of a part, and a part fails."""
    steps = {
        "slow": {"do": [STARTED, ["wait"]], "resumed": []},
        "quick": {"do": [STARTED]},
        "bad": {"do": [STARTED, ["raise", "diverged"]]},
    }
    parts = [NewPart(name, "pretend", config, config) for name, config in steps.items()]
    job, _ = stores.jobs.add("pretend", {}, {}, parts=parts)
    slow = stores.jobs.parts(job.id)[0]
    first, second = start_worker(), start_worker()
    announcer.announce(slow.id)
    wait_for(stores, slow.id, State.RUNNING)
    holder = stores.jobs.get(slow.id).worker or ""
    doomed = next(w for w in (first, second) if holder.endswith(f":{w.pid}"))
    doomed.kill()

    done = wait_for(stores, job.id, State.SUCCEEDED)

    assert done.result == {"slow": "succeeded", "quick": "succeeded", "bad": "failed"}
    assert done.attempt == 1
    assert stores.jobs.get(slow.id).attempt == 2


def test_of_jobs_that_wait_the_highest_priority_goes_first(
    stores: Stores, announcer: Announcer, start_worker: Callable
) -> None:
    """Then the oldest, in whatever order the bells were rung; and each runs once."""
    priorities = [3, 9, 5, 0, 5, 9]
    ids = [post(stores, priority=priority) for priority in priorities]
    for job_id in reversed(ids):
        announcer.announce(job_id)

    start_worker()

    jobs = [wait_for(stores, job_id, State.SUCCEEDED) for job_id in ids]
    began = sorted(range(len(ids)), key=lambda i: jobs[i].started_at or 0.0)
    assert [priorities[i] for i in began] == sorted(priorities, reverse=True)
    assert began == sorted(range(len(ids)), key=lambda i: (-priorities[i], i))
    assert {job.attempt for job in jobs} == {1}


@pytest.fixture
def gpus(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Says how many MiB of each GPU are free; the environment where the driver is asked for it."""
    folder = tmp_path / "driver"
    folder.mkdir()
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\ncat {folder / 'gpus'}\n")
    (folder / "nvidia-smi").chmod(0o755)

    def say(*free_mib: int) -> dict[str, str]:
        lines = [f"{i}, 81559, {free}" for i, free in enumerate(free_mib)]
        replaced = folder / "gpus.new"
        replaced.write_text("\n".join(lines) + "\n")
        replaced.rename(folder / "gpus")
        return {"PATH": f"{folder}:{os.environ['PATH']}"}

    return say


def device_of(stores: Stores, job_id: str) -> str:
    """The device for which a worker claimed it last."""
    reasons = [s.reason for s in stores.jobs.history(job_id)]
    return [r for r in reasons if r.startswith("claimed for ")][-1].removeprefix("claimed for ")


def test_each_gpu_has_one_job_and_none_while_its_memory_is_in_use(
    stores: Stores, start_worker: Callable, gpus: Callable
) -> None:
    """A third job waits for one that is free, and says for what; the CPU's job waits for none."""
    steps = (["show"], STARTED, ["await", "go"])
    first, second, third = (post(stores, *steps, needs=need) for need in ("gpu", "any", "gpu"))
    of_cpu = post(stores, *steps, needs=Need.CPU)
    start_worker(**gpus(81000, 80000))
    for job_id in (first, second, of_cpu):
        wait_for(stores, job_id, State.RUNNING)

    on = {device_of(stores, one): one for one in (first, second, of_cpu)}
    assert (on.keys(), on["cpu"]) == ({"cuda:0", "cuda:1", "cpu"}, of_cpu)
    logs = [(stores.settings.run_dir(on[f"cuda:{n}"]) / "log.txt").read_text() for n in (0, 1)]
    assert ["on cuda '0', 1 thr" in logs[0], "on cuda '1', 1 thr" in logs[1]] == [True, True]
    gpus(30000, 30000)  # the first one's job ends, and another program has its memory
    (stores.settings.run_dir(on["cuda:0"]) / "go").touch()
    wait_for(stores, on["cuda:0"], State.SUCCEEDED)
    deadline = time.monotonic() + 20
    while (held_up := stores.jobs.get(third).held_up) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert held_up == "waits for cuda:0: of its memory 29.3 of 79.6 GiB are free"
    assert stores.jobs.get(third).state == State.QUEUED

    gpus(81000, 30000)

    wait_for(stores, third, State.RUNNING)
    assert device_of(stores, third) == "cuda:0"


def test_workers_take_what_their_devices_can_do(
    stores: Stores, start_worker: Callable, gpus: Callable
) -> None:
    """A job at the head that waits for a GPU keeps no CPU idle."""
    gpu = [post(stores, STARTED, ["await", "go"], needs=Need.GPU, priority=9) for _ in range(2)]
    start_worker(OKDHP_DEVICES="cuda:0", **gpus(81000))
    wait_for(stores, gpu[0], State.RUNNING)
    rest = [post(stores, needs=need) for need in (Need.CPU, Need.ANY)]
    start_worker(OKDHP_DEVICES="cpu")

    for job_id in rest:
        wait_for(stores, job_id, State.SUCCEEDED)
        assert device_of(stores, job_id) == "cpu"
    assert stores.jobs.get(gpu[1]).state == State.QUEUED
    (stores.settings.run_dir(gpu[0]) / "go").touch()
    wait_for(stores, gpu[1], State.RUNNING)
    assert device_of(stores, gpu[1]) == "cuda:0"
