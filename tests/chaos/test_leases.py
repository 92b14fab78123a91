"""Leases: whose clock counts, who may still write, who takes over and when."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from case import Case
from moments import at
from processes import kill_worker, wait_until
from twin import Twin

from worker.store import State

STARTED: Final = ["event", {"kind": "started"}]
CLOCK: Final = """
import time
_real, _offset = time.time, {offset!r}
def _jumped():
    with open(_offset) as file:
        return _real() + float(file.read() or 0)
time.time = _jumped
time.time_ns = lambda: int(_jumped() * 1e9)
"""
REAPER: Final = """
import sys, time
from worker.settings import WorkerSettings
from worker.stores import open_stores
jobs = open_stores(WorkerSettings()).jobs
print("ready", flush=True)
until = time.monotonic() + 30
while time.monotonic() < until:
    jobs.reap(sys.argv[1])
"""


def test_a_worker_s_clock_may_jump(
    case: Case, config: dict[str, Any], twin: Twin, tmp_path: Path
) -> None:
    """An hour ahead, then an hour behind: leases live on the database's clock."""
    offset = tmp_path / "offset"
    offset.write_text("0")
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(CLOCK.format(offset=str(offset)))
    path = os.pathsep.join([str(tmp_path / "clock"), os.environ.get("PYTHONPATH", "")])
    installation = case.install()
    worker = installation.start_worker(PYTHONPATH=path)
    job_id = installation.post(config)

    for moment, jump in (("mid-epoch", "3600"), ("evaluating", "-3600")):
        with at(moment, installation, job_id, worker.pid):
            installation.inject("clock jump", lambda jump=jump: offset.write_text(jump))

    assert installation.wait_for(job_id, State.SUCCEEDED).attempt == 1
    events = (installation.settings.run_dir(job_id) / "events.jsonl").read_text().splitlines()
    times = [json.loads(line)["time"] for line in events]
    assert max(times) - min(times) > 7000  # the child saw both jumps
    case.conclude(
        "worker's clock jumps by an hour",
        "mid-epoch, evaluating",
        {job_id: State.SUCCEEDED},
        twin=twin,
        steady_clock=False,
    )


def test_a_worker_that_sleeps_past_its_lease_is_refused_when_it_wakes(
    case: Case, config: dict[str, Any], twin: Twin
) -> None:
    """Its child works on, which the next one ends; it itself may write nothing any more."""
    installation = case.install()
    asleep = installation.start_worker("asleep")
    log = installation.logs()[-1]
    job_id = installation.post(config)
    with at("mid-epoch", installation, job_id, asleep.pid):
        installation.inject("worker stopped", lambda: installation.stop(asleep), of=asleep)
    installation.start_worker("next", wait=False)

    job = installation.wait_for(job_id, State.SUCCEEDED)
    asleep.send_signal(signal.SIGCONT)

    wait_until(lambda: "attempt 1" in log.read_text(), "the one that woke is refused", 20)
    assert job.attempt == 2
    assert [s.worker for s in installation.stores.jobs.history(job_id)][-1] == "next"
    expected = {job_id: State.SUCCEEDED}
    case.conclude("worker stopped past its lease", "mid-epoch", expected, twin=twin)


def test_reapers_at_the_same_time_take_a_job_once(case: Case) -> None:
    """Two that do nothing else, beside the API's and a worker's. Pretended jobs."""
    installation = case.install()
    ids = [installation.pretend(STARTED) for _ in range(12)]
    for job_id in ids:
        installation.stores.jobs.claim(job_id, "gone")
    installation.inject("worker lost", lambda: None)
    reapers = [
        subprocess.Popen(
            [sys.executable, "-c", REAPER, name],
            env={**os.environ, **installation.environment},
            stdout=subprocess.PIPE,
        )
        for name in ("reaper 1", "reaper 2")
    ]
    try:
        installation.start_worker(pretending=True)
        for job_id in ids:
            installation.wait_for(job_id, State.SUCCEEDED)
    finally:
        for reaper in reapers:
            reaper.kill()
            reaper.communicate()

    for job_id in ids:
        assert (installation.job(job_id).lost, installation.job(job_id).attempt) == (1, 2)
    case.conclude("two reapers at once", "in work", dict.fromkeys(ids, State.SUCCEEDED))


def test_with_default_settings_a_job_is_taken_over_within_20_s(case: Case) -> None:
    """By a worker that stands by. A pretended job."""
    installation = case.install(patience={})
    first = installation.start_worker("first", pretending=True)
    job_id = installation.pretend(STARTED, ["wait"], resumed=[STARTED])
    installation.wait_for(job_id, State.RUNNING)
    installation.start_worker("second", pretending=True)

    installation.inject("worker killed", lambda: kill_worker(first, job_id), of=first)

    installation.wait_for(job_id, State.SUCCEEDED)
    expected = {job_id: State.SUCCEEDED}
    row = case.conclude("worker killed, default settings", "in work", expected)
    assert row.take_over_s is not None and row.take_over_s < 20


@pytest.mark.timeout(240)
def test_a_host_that_is_gone_with_its_disk_is_shown_and_replaced(
    case: Case, config: dict[str, Any], twin: Twin, tmp_path: Path
) -> None:
    """At default settings its job says so within 60 s, also where no worker is left; one on another
    host then goes on from the checkpoint in the artifact store."""
    installation = case.install(patience={})
    hosts = [tmp_path / "one host", tmp_path / "another host"]
    installation.settings = installation.settings.model_copy(update={"runs_dir": hosts[0]})
    installation.other_runs = [hosts[1]]
    worker = installation.start_worker("one host", OKDHP_RUNS_DIR=str(hosts[0]))
    job_id = installation.post(config)
    wait_until(lambda: installation.job(job_id).checkpoint is not None, "a stored checkpoint")

    def lose_the_host() -> None:
        kill_worker(worker, job_id)
        shutil.rmtree(hosts[0])

    with at("mid-epoch", installation, job_id, worker.pid):
        installation.inject("host lost", lose_the_host, of=worker)
    lost_at = time.monotonic()

    def shown() -> bool:
        job = httpx.get(f"{installation.url}/jobs/{job_id}").json()
        return any(step["reason"].startswith("host lost") for step in job["history"])

    wait_until(shown, "the lost host is shown", 60)
    shown_s = time.monotonic() - lost_at
    installation.start_worker("another host", OKDHP_RUNS_DIR=str(hosts[1]))

    installation.wait_for(job_id, State.SUCCEEDED)
    events = (hosts[1] / job_id / "events.jsonl").read_text().splitlines()
    started = [event for event in map(json.loads, events) if event["kind"] == "started"]
    assert started[0]["epoch"] > 0
    fault = f"host lost with its disk (shown after {shown_s:.0f} s)"
    case.conclude(fault, "mid-epoch", {job_id: State.SUCCEEDED}, twin=twin)
