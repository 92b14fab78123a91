"""`okdhp jobs` against a real server; the test itself is the worker."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from rich.console import Console

from service.cli.jobs.client import Client, Event
from service.cli.jobs.errors import RequestRefused, ServerAway
from service.cli.jobs.watch import JobDisplay
from service.settings import ServiceSettings
from worker.store import Claim, State
from worker.stores import Stores, open_stores

Jobs = Callable[..., Result]


@pytest.fixture(scope="module")
def stores(settings: ServiceSettings) -> Iterator[Stores]:
    """What a worker beside the server works with."""
    opened = open_stores(settings)
    yield opened
    opened.close()


@pytest.fixture
def jobs(command: Jobs, url: str) -> Jobs:
    """`jobs("ls")`: a command and the server's address."""
    return lambda *arguments: command("jobs", *arguments, "--server", url)


def claimed(stores: Stores) -> Claim:
    job, _ = stores.jobs.add("distill", {}, {})
    return stores.jobs.claim(job.id, "test:1")


def epoch(n: int) -> list[dict[str, Any]]:
    loss = {"total": 1.0 / n, "label": 0.5}
    progress = {
        "epoch": n, "epochs": 9, "step": 10 * n, "steps": 90, "loss": loss,
        "images_per_s": 80.0, "seconds_left": 61.0,
    }  # fmt: skip
    branches = {"small": {"pck@0.2": 10.0 * n}, "large": {"pck@0.2": 11.0 * n}}
    return [
        {"seq": 2 * n - 1, "kind": "progress", "time": 1.0, **progress},
        {"seq": 2 * n, "kind": "epoch", "time": 1.0, "epoch": n, "loss": loss,
         "branches": branches, "ensemble": {"pck@0.2": 12.0 * n}},
    ]  # fmt: skip


def succeed(stores: Stores, claim: Claim) -> None:
    for state in (State.RUNNING, State.EVALUATING):
        stores.jobs.move(claim, state, "test")
    stores.jobs.succeed(claim)


def test_a_job_is_posted_listed_shown_and_cancelled(jobs: Jobs, tmp_path: Path) -> None:
    """All that `curl` would be needed for."""
    file = tmp_path / "job.yaml"
    file.write_text("preset: tiny\n")
    wishes = ("--priority", "8", "--needs", "gpu")
    job_id = jobs("post", "distill", file, "training.epochs=7", *wishes).stdout.strip()

    listed = jobs("ls", "--state", "queued").stdout
    shown = jobs("show", job_id).stdout
    document = json.loads(jobs("show", job_id, "--json").stdout)
    cancelled = jobs("cancel", job_id)

    assert f"{job_id}  distill    queued              -  8  gpu  " in listed
    assert "queued: posted" in shown
    assert "possible: cancel" in shown
    assert document["config"] == {"preset": "tiny", "training": {"epochs": 7}}
    assert "cancelled" in cancelled.stdout
    assert jobs("watch", job_id).exit_code == 2


def test_a_long_list_is_read_page_by_page(url: str, stores: Stores) -> None:
    """The server gives at most 200 at once."""
    known = [stores.jobs.add("evaluate", {}, {})[0].id for _ in range(203)]

    with Client(url, None) as client:
        assert [job["id"] for job in client.jobs(203, kind="evaluate")] == known[::-1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "00000000-0000-0000-0000-000000000000"], RequestRefused, "there is no job"),
        (["ls", "--state", "sleeping"], RequestRefused, "query.state"),
        (["post", "distil"], RequestRefused, "did you mean distill"),
        (["post", "distill", "training.epochs=x"], RequestRefused, "config.training.epochs"),
    ],
)
def test_a_problem_is_one_clear_message(
    jobs: Jobs, arguments: list[str], code: type[Exception], message: str
) -> None:
    """The document's own words, as they are."""
    with pytest.raises(code, match=message):
        jobs(*arguments)


def test_a_server_that_is_not_there_or_is_none(command: Jobs) -> None:
    """A line, not a trace, and the exit code of what failed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServerAway, match="does not answer"):
        command("jobs", "ls", "--server", f"http://127.0.0.1:{port}")
    with pytest.raises(RequestRefused, match="is no address"):
        command("jobs", "ls", "--server", "localhost:8000")


def test_watch_follows_to_the_end(jobs: Jobs, stores: Stores) -> None:
    """Steps, epochs and files as they come; the exit code is the job's."""
    claim = claimed(stores)

    def work() -> None:
        stores.jobs.record(claim, epoch(1))
        stores.jobs.add_artifact(claim, "best.pt", "k", 1234, "x")
        succeed(stores, claim)

    threading.Timer(0.3, work).start()
    watched = jobs("watch", claim.job_id)

    assert watched.exit_code == 0
    assert watched.stdout == "succeeded\n"
    assert "starting: claimed" in watched.stderr
    assert "epoch 1: loss 1 (label 0.5); pck@0.2 small 10.0" in watched.stderr
    assert "stored best.pt (1,234 bytes)" in watched.stderr


def test_watch_says_why_a_job_failed(jobs: Jobs, stores: Stores) -> None:
    """Also of one that ended before anybody looked."""
    claim = claimed(stores)
    stores.jobs.fail(claim, "disk full", "there is no space left")

    watched = jobs("watch", claim.job_id)

    assert watched.exit_code == 1
    assert "disk full: there is no space left" in watched.stderr


class Cutting:
    """A proxy that breaks every connection after so many bytes of the answer."""

    def __init__(self, url: str, limit: int) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._target, self._limit = (host, int(port)), limit
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._pass_on, args=[client], daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            server.sendall(client.recv(65536))
            left = self._limit
            while left > 0 and (piece := server.recv(min(left, 4096))):
                client.sendall(piece)
                left -= len(piece)

    def close(self) -> None:
        self._listener.close()


def test_a_watch_outlives_broken_connections(
    url: str, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every event once, though no connection lasts for the whole of it."""
    monkeypatch.setattr("service.cli.jobs.client._PAUSES_S", (0.01,))
    claim = claimed(stores)
    for n in range(1, 40):
        stores.jobs.record(claim, epoch(n))
    succeed(stores, claim)
    proxy = Cutting(url, 2500)
    notices: list[str] = []

    with Client(proxy.url, None) as client:
        events = list(client.events(claim.job_id, notices.append))
    proxy.close()

    assert proxy.connections > 2
    assert notices
    assert [e.seq for e in events if e.seq is not None] == list(range(1, 45))
    assert events[-1] == Event(None, "end", {"state": "succeeded"})


def test_ctrl_c_leaves_the_job_alone_and_says_so(url: str, stores: Stores) -> None:
    """Whoever stops watching does not want to lose hours of training."""
    claim = claimed(stores)
    watching = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "jobs", "watch", claim.job_id],
        env={**os.environ, "OKDHP_SERVER": url},
        stderr=subprocess.PIPE,
        text=True,
        # A shell's `&` has it ignored, for whatever the tests start too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert watching.stderr is not None
    while "claimed" not in watching.stderr.readline():
        pass
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=20)

    assert watching.returncode == 130
    assert f"job {claim.job_id} goes on" in said
    assert stores.jobs.get(claim.job_id).state == State.STARTING


def test_a_terminal_sees_a_bar_and_a_table() -> None:
    """How far it is, and how each branch does."""
    screen = io.StringIO()
    display = JobDisplay(Console(file=screen, force_terminal=True, width=120, color_system=None))
    told = [Event(1, "state", {"at": "2026-01-01T00:00:00", "new": "running", "reason": "go"})]
    for n in range(1, 20):
        progress, metrics = epoch(n)
        told += [Event(None, "progress", progress), Event(n + 1, "metrics", metrics)]

    assert display.follow([*told, Event(None, "end", {"state": "failed"})]) == {"state": "failed"}

    shown = screen.getvalue().split("\x1b[1A")[-1]
    for text in ("small pck@0.2", "large pck@0.2", "ensemble pck@0.2", "190.0", "epoch 19/9"):
        assert text in screen.getvalue()
    assert "1:01 left" in shown


def test_logs_are_printed_whole_in_part_and_as_they_come(jobs: Jobs, stores: Stores) -> None:
    """As `tail` and `tail -f` do."""
    claim = claimed(stores)
    stores.jobs.add_lines(claim, 1, [f"line {n}" for n in range(1, 301)])

    whole = jobs("logs", claim.job_id)
    tail = jobs("logs", claim.job_id, "--tail", "2")

    def work() -> None:
        stores.jobs.add_lines(claim, 301, ["after"])
        stores.jobs.fail(claim, "test", "over")

    threading.Timer(0.3, work).start()
    followed = jobs("logs", claim.job_id, "--tail", "1", "-f")

    assert whole.stdout.splitlines() == [f"line {n}" for n in range(1, 301)]
    assert tail.stdout == "line 299\nline 300\n"
    assert followed.stdout == "line 300\nafter\n"


def test_a_key_is_sent_and_its_absence_explained(
    command: Jobs, started: Any, settings: ServiceSettings, stores: Stores, url: str
) -> None:
    """Last: once a key was made the server wants one for ever."""
    key = stores.keys.create("ada", "jobs")
    time.sleep(0.3)  # the server looks for new keys every 50 ms

    with pytest.raises(RequestRefused, match="OKDHP_KEY"):
        command("jobs", "ls", "--server", url)
    assert command("jobs", "ls", "--server", url, "--key", key).exit_code == 0
