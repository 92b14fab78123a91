"""Callbacks to a real receiver: at least once, only where the operator allows, never in a hurry."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import func, select, update

from model.errors import ConfigError
from worker.callbacks import Courier, check_callback, signature
from worker.settings import WorkerSettings
from worker.store import Database, JobStore, State
from worker.store.callbacks import PAUSES_S, Callback, take_due
from worker.store.database import now


class Receiver:
    """An HTTP server that notes what it is told, and answers with `statuses` in their order."""

    def __init__(self) -> None:
        self.told: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.told.append((dict(self.headers), body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.send_header("Location", receiver.url)
                self.end_headers()

            def do_GET(self) -> None:  # what a redirect that is followed becomes
                self.do_POST()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/hook?token=1"
        threading.Thread(target=self._server.serve_forever, args=[0.02]).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.close()


def courier(database: Database, *hosts: str, secret: str | None = None) -> Courier:
    settings = WorkerSettings(callback_hosts=hosts, callback_secret=secret)
    return Courier(database, settings)


def ended(jobs: JobStore, url: str) -> str:
    """A job that failed, and whose end somebody wants to know."""
    job, _ = jobs.add("distill", {}, {}, callback_url=url)
    jobs.fail(jobs.claim(job.id, "a"), "disk full", "there is no space left")
    return job.id


def waiting(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(Callback)) or 0


def hurry(database: Database) -> None:
    """The pause before the next try has passed."""
    with database.writing() as session:
        session.execute(update(Callback).values(due_at=now() - 1))


def test_a_job_s_end_is_told_once(jobs: JobStore, database: Database, receiver: Receiver) -> None:
    """With what a program needs to know, and a signature that only we can make."""
    job_id = ended(jobs, receiver.url)
    of_us = courier(database, receiver.host, secret="s3cret")

    of_us.deliver_due()
    of_us.deliver_due()

    [(headers, body)] = receiver.told
    told = json.loads(body)
    assert told.pop("at")
    assert told == {
        "event": headers["X-OKDHP-Event"], "job": job_id, "kind": "distill", "state": "failed",
        "reason": "disk full", "attempt": 1, "url": f"/jobs/{job_id}",
    }  # fmt: skip
    assert headers["X-OKDHP-Signature"] == f"sha256={signature(body, 's3cret')}"
    assert waiting(database) == 0


def test_every_way_to_end_is_told(jobs: JobStore, database: Database, receiver: Receiver) -> None:
    """A cancelled job that waited, one that was resumed and ended again; none that goes on."""
    job, _ = jobs.add("distill", {}, {}, callback_url=receiver.url)
    jobs.cancel(job.id)
    of_us = courier(database, receiver.host)
    of_us.deliver_due()
    jobs.resume(job.id, {}, "again")
    claim = jobs.claim(job.id, "a")
    for state in (State.RUNNING, State.EVALUATING):
        jobs.move(claim, state, "test")
    of_us.deliver_due()
    jobs.succeed(claim)
    of_us.deliver_due()

    told = [json.loads(body) for _, body in receiver.told]
    assert [one["state"] for one in told] == ["cancelled", "succeeded"]
    assert told[0]["event"] != told[1]["event"]


@pytest.mark.parametrize("status", [500, 404, 302])
def test_a_receiver_that_does_not_take_it_is_told_again_later(
    jobs: JobStore, database: Database, receiver: Receiver, status: int
) -> None:
    """By the same event, after a pause; a redirect is not followed."""
    ended(jobs, receiver.url)
    receiver.statuses = [status]
    of_us = courier(database, receiver.host)

    of_us.deliver_due()
    of_us.deliver_due()
    assert len(receiver.told) == 1
    hurry(database)
    of_us.deliver_due()

    first, second = receiver.told
    assert first[1] == second[1]
    assert waiting(database) == 0


def test_a_receiver_that_never_takes_it_is_given_up(
    jobs: JobStore, database: Database, receiver: Receiver
) -> None:
    """Rows of dead receivers would stay for ever."""
    ended(jobs, receiver.url)
    receiver.statuses = [503] * 20

    for _ in range(10):
        hurry(database)
        courier(database, receiver.host).deliver_due()

    assert len(receiver.told) == len(PAUSES_S) + 1
    assert waiting(database) == 0


def test_a_courier_that_is_killed_while_it_sends_loses_nothing(
    jobs: JobStore, database: Database, receiver: Receiver
) -> None:
    """The next try was written before the first was made; two never make the same."""
    ended(jobs, receiver.url)
    assert take_due(database) is not None  # and then it was killed

    assert take_due(database) is None
    hurry(database)
    courier(database, receiver.host).deliver_due()

    assert len(receiver.told) == 1


def test_a_host_that_is_no_longer_allowed_is_not_asked(
    jobs: JobStore, database: Database, receiver: Receiver
) -> None:
    """The operator may change their mind after the job was posted."""
    ended(jobs, receiver.url)

    courier(database, "other.example").deliver_due()

    assert receiver.told == []
    assert waiting(database) == 1


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://hooks.example/x", True),
        ("http://HOOKS.example", True),
        ("https://hooks.example:443/x", True),
        ("http://lab.example:9000/x", True),
        ("http://[::1]:9000/", True),
        ("https://hooks.example:8443/x", False),
        ("http://lab.example/x", False),
        ("http://127.0.0.1/", False),
        ("http://hooks.example.evil.example/", False),
        ("http://evil.example/?hooks.example", False),
        ("http://hooks.example@evil.example/", False),
        ("http://user:word@hooks.example/", False),
        ("http://evil.example\\@hooks.example/", False),
        ("ftp://hooks.example/", False),
        ("file:///etc/passwd", False),
        ("//hooks.example", False),
        ("hooks.example", False),
        ("http://", False),
        ("http://hooks.example:x/", False),
        ("", False),
        ("http://hooks.example/\x00\r\nX: y", False),
    ],
)
def test_only_named_hosts_are_accepted(url: str, accepted: bool) -> None:
    """A server that asks any address for a stranger opens the network behind it."""
    hosts = WorkerSettings(
        callback_hosts="hooks.example, lab.example:9000,[::1]:9000"
    ).callback_hosts
    if accepted:
        check_callback(url, hosts)
    else:
        with pytest.raises(ConfigError, match="callback_url"):
            check_callback(url, hosts)


def test_by_default_nobody_is_told_and_the_way_out_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The operator decides; the setting has the form of a list with commas."""
    with pytest.raises(ConfigError, match="OKDHP_CALLBACK_HOSTS"):
        check_callback("https://hooks.example", WorkerSettings().callback_hosts)

    monkeypatch.setenv("OKDHP_CALLBACK_HOSTS", "hooks.example,lab.example:9000")
    assert WorkerSettings().callback_hosts == ("hooks.example", "lab.example:9000")
