"""What it costs to follow jobs: `okdhp serve` on SQLite, with many of them.

    python benchmarks/jobs.py [--jobs 10000] [--epochs 100] [--listeners 100] [--parts get,…]

get, list: over a store of --jobs jobs with --epochs epochs each. latency: from an event's commit to
a listener that has it. listeners: the API's answers with and without them, each of them following
one job with ten events a second. training: CPU time that the server and the worker take beside a
real training with one listener, beyond what they take in any case: so much of the machine's time
the training cannot have.
The client runs beside the server on the same cores.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from load import Connection, request
from serving import free_port, say, server
from sqlalchemy import insert

from model.config import load_config
from model.cores import cores
from worker.settings import WorkerSettings
from worker.store import Claim, Job, State
from worker.store.events import JobEvent
from worker.store.identity import new_id
from worker.store.tables import Epoch, Transition
from worker.stores import Stores, open_stores

ASKED = 1_000
AT_ONCE = 500  # jobs of one transaction
PACE_S = 0.1
IDLE_S = 20
CHILD = "worker.child"
PARTS = ("get", "list", "latency", "listeners", "training")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--listeners", type=int, default=100)
    parser.add_argument("--parts", default=",".join(PARTS))
    given = parser.parse_args()
    parts = given.parts.split(",")
    with tempfile.TemporaryDirectory() as home:
        if {"get", "list", "latency", "listeners"} & set(parts):
            with_store(Path(home) / "many", given, parts)
        if "training" in parts:
            training(Path(home) / "training")


def with_store(home: Path, given: argparse.Namespace, parts: list[str]) -> None:
    """The parts that need no worker."""
    stores = open_stores(WorkerSettings(home=home, lease_s=3600))
    ids = filled(stores, given.jobs, given.epochs)
    url = f"http://127.0.0.1:{free_port()}"
    with server(serve(home, url, "--no-worker"), url, {}) as pid:
        if "get" in parts:
            paths = [
                f"/jobs/{ids[i]}" for i in np.random.default_rng(0).integers(len(ids), size=ASKED)
            ]
            before = cpu_s(pid)["serve"]
            told("GET /jobs/{id}", asked(url, paths))
            own_ms = 1e3 * (cpu_s(pid)["serve"] - before) / len(paths)
            say(f"  of it the server's CPU time, whatever else runs here: {own_ms:.1f} ms")
            long = filled(stores, 1, 5_000)[0]
            told("the same of a job of 5,000 epochs", asked(url, [f"/jobs/{long}"] * 50))
        if "list" in parts:
            told("GET /jobs, the first page", asked(url, ["/jobs"] * 100))
            told("the last page", asked(url, [f"/jobs?cursor={ids[50]}"] * 100))
            told("failed ones, of which there are none", asked(url, ["/jobs?state=failed"] * 100))
        if "latency" in parts:
            latency(stores, url)
        if "listeners" in parts:
            for number in (0, 1, given.listeners):
                listeners(stores, url, number, ids)
    stores.close()


def serve(home: Path, url: str, *options: str) -> list[str]:
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "service.cli", "serve", "--home", str(home)]
    return [*command, "--port", port, *options]


def filled(stores: Stores, jobs: int, epochs: int) -> list[str]:
    """Ids of jobs that have succeeded, with their epochs and their events."""
    resolved = load_config({"preset": "tiny"}).model_dump(mode="json")
    metrics = {f"pck@{t}": 51.25 for t in (0.05, 0.1, 0.2, 0.5)}
    entry = {
        "loss": {"total": 1.234567, "label": 0.987654, "ensemble": 0.123456, "distill": 0.12},
        "branches": dict.fromkeys(("branch0", "branch1", "branch2"), metrics),
        "ensemble": metrics, "lr": 2.5e-4, "images_per_s": 81.2, "seconds": 12.5,
    }  # fmt: skip
    steps = [State.QUEUED, State.STARTING, State.RUNNING, State.EVALUATING, State.SUCCEEDED]
    ids = [new_id() for _ in range(jobs)]
    began = time.monotonic()
    for first in range(0, jobs, AT_ONCE):
        some = ids[first : first + AT_ONCE]
        told_of = [
            ("state", {"old": None, "new": s, "attempt": 1, "worker": "w", "reason": "r"})
            for s in steps
        ]
        told_of += [("metrics", {"epoch": n, **entry}) for n in range(1, epochs + 1)]
        with stores.database.writing() as session:
            session.execute(
                insert(Job),
                [
                    {
                        "id": id_, "kind": "distill", "state": State.SUCCEEDED, "attempt": 1,
                        "config": {"preset": "tiny"}, "resolved": resolved, "created_at": 1.0,
                        "body_sha256": "x", "stream_seq": len(told_of),
                    }
                    for id_ in some
                ],
            )  # fmt: skip
            session.execute(
                insert(Transition),
                [
                    {"job_id": id_, "at": 1.0, "new": step, "attempt": 1, "reason": "r"}
                    for id_ in some
                    for step in steps
                ],
            )
            session.execute(
                insert(Epoch),
                [
                    {"job_id": id_, "epoch": n, "entry": {"epoch": n, **entry}}
                    for id_ in some
                    for n in range(1, epochs + 1)
                ],
            )
            session.execute(
                insert(JobEvent),
                [
                    {"job_id": id_, "seq": seq, "at": 1.0, "kind": kind, "data": data}
                    for id_ in some
                    for seq, (kind, data) in enumerate(told_of, 1)
                ],
            )
    if jobs > 1:
        size = (stores.settings.home / "okdhp.db").stat().st_size / 1e9
        seconds = time.monotonic() - began
        say(f"{jobs:,} jobs, {jobs * epochs:,} epochs: {size:.1f} GB, written in {seconds:.0f} s")
    return ids


def asked(url: str, paths: list[str]) -> list[float]:
    """Milliseconds of each answer, one after another."""

    async def ask() -> list[float]:
        connection, found = Connection(url), []
        for path in paths:
            message = request(url, path)
            began = time.perf_counter()
            status, _ = await connection.ask(message)
            found.append((time.perf_counter() - began) * 1e3)
            assert status == 200, (path, status)
        return found

    return asyncio.run(ask())


def told(what: str, ms: list[float]) -> None:
    p50, p99 = np.percentile(ms, (50, 99))
    say(f"{what}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def running(stores: Stores) -> Claim:
    job, _ = stores.jobs.add("distill", {}, {})
    return stores.jobs.claim(job.id, "benchmark")


def events(url: str, job_id: str) -> Iterator[tuple[float, str, dict[str, Any]]]:
    """When each event came, its kind and its data; to the job's end."""
    kind = ""
    with urllib.request.urlopen(f"{url}/jobs/{job_id}/events", timeout=60) as stream:
        for line in stream:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield time.time(), kind, json.loads(value)


def latency(stores: Stores, url: str) -> None:
    """From before an event's transaction to its arrival; 60 events at odd moments."""
    claim, sent, late = running(stores), {}, []
    pauses = np.random.default_rng(0).uniform(0.05, 0.45, size=60)

    def write() -> None:
        time.sleep(1)
        for n, pause in enumerate(pauses, 1):
            time.sleep(pause)
            sent[n] = time.time()
            stores.jobs.add_lines(claim, n, [f"line {n}"])
        stores.jobs.fail(claim, "test", "over")

    writer = threading.Thread(target=write)
    writer.start()
    for at, kind, data in events(url, claim.job_id):
        if kind == "log":
            late.append((at - sent[data["line"]]) * 1e3)
    writer.join()
    say(f"an event at its listener: p50 {np.median(late):.0f} ms, most {max(late):.0f} ms")


def listeners(stores: Stores, url: str, number: int, ids: list[str]) -> None:
    """Answers of the API while so many follow one job."""
    claim, ended = running(stores), threading.Event()

    def write() -> None:
        n = 0
        while not ended.wait(PACE_S):
            n += 1
            stores.jobs.add_lines(claim, n, ["x" * 100])
        stores.jobs.fail(claim, "test", "over")

    writer = threading.Thread(target=write)
    follow = [sys.executable, __file__.replace("jobs.py", "listeners.py"), url, claim.job_id]
    followers = subprocess.Popen([*follow, str(number)], stdout=subprocess.PIPE, text=True)
    assert followers.stdout is not None
    followers.stdout.readline()  # all are connected
    writer.start()
    time.sleep(1)
    ms = asked(url, ["/healthz"] * 1_000)
    told(f"GET /healthz beside {number} listeners", ms)
    told(
        f"GET /jobs/{{id}} beside {number} listeners",
        asked(url, [f"/jobs/{i}" for i in ids[:ASKED]]),
    )
    ended.set()
    writer.join()
    say(f"  they heard {followers.communicate()[0].strip()}")


def training(home: Path) -> None:
    """A real training, followed; CPU seconds of its own process and of those around it."""
    url = f"http://127.0.0.1:{free_port()}"
    with server(serve(home, url), url, {}) as pid:
        time.sleep(5)  # until all has started
        before = cpu_s(pid)
        time.sleep(IDLE_S)
        idle = {name: (s - before[name]) / IDLE_S for name, s in cpu_s(pid).items()}
        body = json.dumps({"kind": "distill", "config": {"preset": "tiny"}}).encode()
        post = urllib.request.Request(f"{url}/jobs", body, {"Content-Type": "application/json"})
        job = json.load(urllib.request.urlopen(post))
        for _, kind, data in events(url, job["id"]):
            if kind == "state" and data["new"] == "running":
                began, before = time.monotonic(), cpu_s(pid)
            if kind == "state" and data["new"] == "evaluating":
                wall = time.monotonic() - began
                used = {name: seconds - before[name] for name, seconds in cpu_s(pid).items()}
    own = used.pop(CHILD)
    say(f"a training of {wall:.0f} s used {own:.1f} s of CPU; those around it beyond their idling:")
    for name, seconds in used.items():
        more = seconds - idle[name] * wall
        share = more / (wall * cores())
        say(f"  {name}: {more:.2f} s, {share:.2%} of the machine's time (idling {idle[name]:.2%})")


def cpu_s(server_pid: int) -> dict[str, float]:
    """CPU seconds so far of the server and of each process below it, by what they run."""
    tick = os.sysconf("SC_CLK_TCK")
    stats: dict[int, list[str]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            stats[int(file.parent.name)] = file.read_text().rpartition(") ")[2].split()
    found: dict[str, float] = {}
    for pid, stat in stats.items():
        above = pid
        while above > 1 and above != server_pid:
            above = int(stats[above][1]) if above in stats else 0
        if above == server_pid:
            name = runs(pid)
            found[name] = found.get(name, 0.0) + (int(stat[11]) + int(stat[12])) / tick
    return found


def runs(pid: int) -> str:
    """What a process of `okdhp serve` does."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return next((name for name in (CHILD, "worker", "serve") if name in command), "broker")


if __name__ == "__main__":
    main()
