"""`okdhp serve` as a program: what it says, what it refuses, and that it leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import launcher
from service.home import LaunchRefused, held_home

Serve = Callable[..., Any]


def gone(pids: dict[int, str], timeout_s: float = 15) -> bool:
    """Whether these very processes end in time (their ids may be used again)."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if not any(_runs(pid, command) for pid, command in pids.items()):
            return True
        time.sleep(0.05)
    return False


def _runs(pid: int, command: str) -> bool:
    try:
        now = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return False
    return bool(now) and now == command


def okdhp(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.fixture
def with_worker(serve: Serve, with_student: Any) -> Any:
    """A server with all its parts, the worker ready."""
    server = serve(with_student.home)
    server.wait_for(r"worker \S+ is ready")
    return server


def test_it_says_where_it_listens_and_what_answers(serve: Serve, with_student: Any) -> None:
    """What a person needs for the first request, and where things are kept."""
    server = serve(with_student.home, "--no-worker")

    assert server.wait_for(r"ready: model (\S+)") == "glow:1"
    assert server.wait_for(r"home: (.*)") == str(with_student.home)
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    assert server.url.startswith("http://127.0.0.1:")
    assert server.end() == 0


def test_a_second_server_on_the_same_home_says_so_and_stops(
    serve: Serve, with_student: Any
) -> None:
    """Two would work on the same jobs and promote past each other."""
    server = serve(with_student.home, "--no-worker")

    second = okdhp("serve", "--home", str(with_student.home), "--port", "0")

    assert second.returncode == 1
    assert f"another server (process {server.process.pid}) uses the home" in second.stderr
    assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_a_home_is_free_again_whatever_ended_its_server(tmp_path: Path) -> None:
    """A lock file that outlives a crash would need a person with `rm`."""
    code = f"""
from pathlib import Path
from service import launcher
from service.home import held_home
import os, signal
with held_home(Path({str(tmp_path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)

    held = pytest.raises(LaunchRefused, match=f"process {os.getpid()}")
    with held_home(tmp_path), held, held_home(tmp_path):
        pass


def test_a_port_in_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    """Together with the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = okdhp("serve", "--home", str(tmp_path), "--port", str(port))

    assert refused.returncode == 1
    assert f"port {port} of 127.0.0.1 is in use" in refused.stderr
    assert "--port" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_answers_do_not_wait_for_the_clients_acknowledgement() -> None:
    """asyncio turns Nagle's delay off only for sockets that name TCP: 40 ms a request."""
    with launcher._listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_refused(tmp_path: Path, host: str) -> None:
    """As a line, not as a trace."""
    refused = okdhp("serve", "--home", str(tmp_path), "--host", host, "--port", "0")

    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert host in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it(with_worker: Any, number: int) -> None:
    """Ctrl-C and TERM: exit code 0, no process left, and the home is free."""
    family = with_worker.family()
    assert any("valkey" in command for command in family.values())
    assert any("worker" in command for command in family.values())

    assert with_worker.end(number) == 0
    assert gone(family, timeout_s=1)


def test_signals_to_everybody_at_once_end_it_as_well(with_worker: Any) -> None:
    """systemd, and `kill` of a whole group, do not know who is whose child."""
    family = with_worker.family()

    for pid in [*family, with_worker.process.pid]:
        os.kill(pid, signal.SIGTERM)

    assert with_worker.process.wait(30) == 0
    assert gone(family, timeout_s=1)


def test_without_torch_it_serves_and_says_why_jobs_wait(
    serve: Serve, with_student: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever only predicts need not install gigabytes; whoever posts a job is not left alone."""
    # What `find_spec` finds where it is not installed.
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['torch'] = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    server = serve(with_student.home)

    server.wait_for(r"pip install 'okdhp\[train\]'")
    server.wait_for(r"ready: model")
    assert not any("worker" in command for command in server.family().values())
    body = {"kind": "distill", "config": {"preset": "tiny"}}
    job = httpx.post(f"{server.url}/jobs", json=body).json()
    assert job["state"] == "queued"
    assert "pip install 'okdhp[train]'" in job["notice"]
    httpx.post(f"{server.url}{job['url']}/cancel")
    assert server.end() == 0


def test_a_closed_terminal_ends_it_but_nohup_keeps_it(serve: Serve, with_student: Any) -> None:
    """HUP is what a terminal says when its window is closed."""

    def started_where_hup(handling: Any) -> Any:
        """What is ignored is inherited: by a server of nohup, and of tests that nohup runs."""
        before = signal.signal(signal.SIGHUP, handling)
        try:
            return serve(with_student.home, "--no-worker")
        finally:
            signal.signal(signal.SIGHUP, before)

    assert started_where_hup(signal.SIG_DFL).end(signal.SIGHUP) == 0

    server = started_where_hup(signal.SIG_IGN)
    server.process.send_signal(signal.SIGHUP)
    assert server.wait_for("ready: model")
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert server.end() == 0


def test_serving_never_imports_torch() -> None:
    """It would cost seconds and gigabytes, and may not be installed."""
    code = "import sys, service.launcher, service.cli; assert 'torch' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_worker_alone_needs_a_broker(tmp_path: Path) -> None:
    """The embedded one belongs to `okdhp serve`."""
    refused = okdhp("worker", "--home", str(tmp_path))

    assert refused.returncode == 1
    assert "OKDHP_BROKER_URL" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr


def test_children_die_with_a_server_that_is_killed(with_worker: Any) -> None:
    """No orphan may go on working on jobs of a home that another server takes over."""
    family = with_worker.family()

    with_worker.process.kill()

    assert gone(family)


def test_a_worker_and_a_broker_that_die_are_started_again(with_worker: Any) -> None:
    """And the next job is worked on."""
    before = with_worker.family()
    for pid, command in before.items():
        if "valkey" in command or "worker" in command:
            os.kill(pid, signal.SIGKILL)

    with_worker.wait_for(r"the worker ended \(signal 9\)")
    with_worker.wait_for(r"the broker ended \(signal 9\)")
    line = len(with_worker.lines)
    with_worker.wait_for(r"worker \S+ is ready", after=line)

    assert len(with_worker.family()) == len(before)
    job = httpx.post(
        f"{with_worker.url}/jobs",
        json={"kind": "evaluate", "config": {"data": {"format": "synthetic", "people": 2}}},
    ).json()
    until = time.monotonic() + 60
    while time.monotonic() < until and job["state"] not in ("succeeded", "failed"):
        time.sleep(0.2)
        job = httpx.get(with_worker.url + job["url"]).json()
    assert job["state"] == "succeeded", job
    assert with_worker.end() == 0
