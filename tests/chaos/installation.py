"""A server as it is installed, each part a process of its own that can be killed and started again:
the API, workers, the broker, the database; and what a person and an operator do with it.
"""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from following import Follower
from processes import free_port, stop_group, wait_until
from redis import Redis
from servers import PostgresServer, ValkeyServer, postgres_programs, s3_server

from worker.announcer import Announcer
from worker.app import create_celery
from worker.broker import EmbeddedBroker
from worker.settings import WorkerSettings
from worker.store import Job, State
from worker.stores import open_stores

HERE: Final = Path(__file__).parent
MARK: Final = "OKDHP_CHAOS"
"""Every process of an installation has its name in this variable, whoever started it."""

HASTY: Final = {
    "OKDHP_LEASE_S": "4",
    "OKDHP_HEARTBEAT_S": "0.5",
    "OKDHP_HOUSEKEEPING_S": "0.5",
    "OKDHP_REANNOUNCE_S": "1.5",
    "OKDHP_CANCEL_GRACE_S": "5",
}
"""So that a case takes seconds; the defaults have cases of their own."""


@dataclass(frozen=True)
class Fault:
    """at: by the database's clock, which is this machine's. worker: the name of the one it hit."""

    what: str
    at: float
    worker: str | None


class Installation:
    """One home and all that runs on it. Closed, it must leave no process and no temporary file."""

    def __init__(self, folder: Path, *, servers: bool, patience: Mapping[str, str] = HASTY) -> None:
        """servers: PostgreSQL, S3 and a Valkey with a password instead of SQLite, a folder and
        the embedded one. patience: settings of leases and the like."""
        self.folder, self.home = folder, folder / "home"
        self.mark = uuid.uuid4().hex
        self.faults: list[Fault] = []
        self._names: dict[int, str] = {}
        self._closing = ExitStack()
        self._workers: list[subprocess.Popen[bytes]] = []
        self._followers: dict[str, Follower] = {}
        self._logs = 0
        self.other_runs: list[Path] = []
        """Run folders of workers on hosts of their own."""
        self.postgres: PostgresServer | None = None
        try:
            self._open(servers, dict(patience))
        except BaseException:
            self.close()
            raise

    def _open(self, servers: bool, environment: dict[str, str]) -> None:
        self.home.mkdir(parents=True)
        if servers:
            programs = postgres_programs()
            assert programs is not None, "conftest skips where PostgreSQL is not installed"
            self.postgres = self._closing.enter_context(PostgresServer(programs))
            environment["OKDHP_DATABASE_URL"] = self.postgres.url
            bucket = self._closing.enter_context(s3_server(f"chaos-{self.mark[:8]}"))
            environment["OKDHP_ARTIFACTS_URL"] = f"{bucket}/artifacts"
            self.broker: ValkeyServer | EmbeddedBroker = ValkeyServer(self.folder / "broker")
        else:
            self.broker = EmbeddedBroker(self.folder / "broker")
        self.broker.start()
        self._closing.callback(lambda: self.broker.stop())
        environment |= {
            "OKDHP_HOME": str(self.home),
            "OKDHP_BROKER_URL": self.broker.url,
            "OKDHP_DEVICES": "cpu",
            "OMP_NUM_THREADS": "1",
            MARK: self.mark,
        }
        self.environment = environment
        names = {key.removeprefix("OKDHP_").lower(): value for key, value in environment.items()}
        self.settings = WorkerSettings(**names)
        self.stores = open_stores(self.settings)
        self._closing.callback(self.stores.close)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start_api()

    # Its processes -----------------------------------------------------------------------------

    def start_api(self) -> None:
        command = ["serve", "--no-worker", "--port", str(self.port)]
        self.api = self._start([sys.executable, "-m", "service.cli", *command], {})
        wait_until(self._api_answers, "the API answers")

    def start_worker(
        self, name: str = "a", *, pretending: bool = False, wait: bool = True, **more: str
    ) -> "subprocess.Popen[bytes]":
        """name: as its jobs show it. pretending: whether it does pretended jobs. more: settings."""
        real = [sys.executable, "-m", "service.cli", "worker"]
        command = [sys.executable, str(HERE / "pretending.py")] if pretending else real
        worker = self._start(command, {"OKDHP_WORKER_NAME": name, **more})
        self._workers.append(worker)
        self._names[worker.pid] = name
        if wait:
            log = self.logs()[-1]
            wait_until(lambda: b"is ready" in log.read_bytes(), f"worker {name} is ready")
        return worker

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        process.kill()
        process.wait()

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        """STOP, outside of a write: who holds SQLite's only lock would stop all others as well."""
        file = self.settings.database_url.removeprefix("sqlite:///")
        while True:
            stop_group(process.pid)
            if self.postgres is not None:
                return
            try:
                with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
                    connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError:
                process.send_signal(signal.SIGCONT)
                time.sleep(0.05)

    def inject(
        self,
        fault: str,
        how: Callable[[], object],
        *,
        of: "subprocess.Popen[bytes] | None" = None,
    ) -> None:
        """Do it and note it. of: the worker that it hits, where it is one."""
        how()
        self.faults.append(Fault(fault, time.time(), self._names[of.pid] if of else None))

    def kill_broker(self) -> None:
        self.kill(self.broker.process)

    def flush_broker(self) -> None:
        with self.redis() as client:
            client.flushall()

    def redis(self) -> "Redis[bytes]":
        url = self.broker.url
        if url.startswith("redis+socket://"):
            return Redis(unix_socket_path=url.removeprefix("redis+socket://"))
        return Redis.from_url(url)

    def logs(self) -> list[Path]:
        """What its processes said, in the order of their start."""
        return [self.folder / f"process{n}.log" for n in range(self._logs)]

    def deliveries(self) -> Counter[str]:
        """How often each message came to a worker, by its own id."""
        said = "".join(log.read_text(errors="replace") for log in self.logs())
        return Counter(re.findall(r"Task \S+\[(\S+)\] received", said))

    def unacknowledged_s(self) -> float:
        """For how long the broker has waited for a worker's acknowledgement; 0 where for none."""
        with self.redis() as client:
            oldest = client.zrange("unacked_index", 0, 0, withscores=True)
        return time.time() - float(oldest[0][1]) if oldest else 0.0

    def _start(self, command: list[str], more: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        log = self.folder / f"process{self._logs}.log"
        self._logs += 1
        with log.open("wb") as output:
            return subprocess.Popen(
                command,
                env={**os.environ, **self.environment, **more},
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _api_answers(self) -> bool:
        assert self.api.poll() is None, self.logs()[-1].read_text()
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    # What a person does with it ----------------------------------------------------------------

    def post(self, config: Mapping[str, Any], kind: str = "distill") -> str:
        """The new job's id; from now on somebody follows it live."""
        answer = httpx.post(
            f"{self.url}/jobs", json={"kind": kind, "config": config}, timeout=30
        ).raise_for_status()
        job_id = str(answer.json()["id"])
        self.follow(job_id)
        return job_id

    def pretend(self, *steps: list[Any], **more: Any) -> str:
        """The id of a new job that does what tests/worker/pretend.py can; it is announced."""
        config = {"do": list(steps), **more}
        job_id = self.stores.jobs.add("pretend", config, config)[0].id
        self.announce(job_id)
        return job_id

    def announce(self, job_id: str) -> None:
        Announcer(create_celery(self.settings), self.stores.jobs).announce_all([job_id])

    def resume(self, job_id: str) -> None:
        self._followers[job_id].join(20)
        httpx.post(f"{self.url}/jobs/{job_id}/resume", json={}, timeout=30).raise_for_status()
        self.follow(job_id)

    def follow(self, job_id: str) -> None:
        before = self._followers.get(job_id)
        self._followers[job_id] = Follower(self.url, job_id, before.seqs if before else [])

    def followed(self, job_id: str) -> list[int] | None:
        """Numbers of the events that the follower got, once its stream has ended."""
        follower = self._followers.get(job_id)
        if follower is None:
            return None
        follower.join(20)
        return follower.seqs

    def job(self, job_id: str) -> Job:
        return self.stores.jobs.get(job_id)

    def wait_for(self, job_id: str, *states: State, within_s: float = 150) -> Job:
        def there() -> bool:
            return self.job(job_id).state in states

        def why() -> str:
            job = self.job(job_id)
            steps = [f"{s.new}: {s.reason}" for s in self.stores.jobs.history(job_id)]
            return f"job {job_id} is {job.state}, not {states}: {job.error} {steps}"

        wait_until(there, why, within_s)
        return self.job(job_id)

    # Its end -----------------------------------------------------------------------------------

    def stop_workers(self) -> None:
        """As an operator would."""
        for worker in self._workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.terminate()
        for worker in self._workers:
            worker.wait(30)

    def close(self) -> None:
        """Everything, whatever state it is in."""
        for follower in self._followers.values():
            follower.stop()
        for worker in self._workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
        if hasattr(self, "api") and self.api.poll() is None:
            self.api.terminate()
            self.api.wait(30)
        self._closing.close()

    def orphans(self) -> list[str]:
        """Processes of this installation, whoever started them."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                marked = f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes()
                state = (folder / "stat").read_text().rpartition(") ")[2][0]
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if marked and state not in "ZX":
                found.append(f"{folder.name} {command}")
        return found

    def temporary_files(self) -> list[str]:
        """What no process needs that has ended, anywhere in its home."""
        return sorted(
            str(path.relative_to(self.home))
            for path in self.home.rglob("*")
            if path.is_file()
            and (path.suffix in (".part", ".tmp") or path.parent.name == "outgoing")
        )
