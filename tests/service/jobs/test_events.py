"""GET /jobs/{id}/events over a socket: every event once, in order, whatever breaks in between."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from service.jobs import hub
from worker.store import Claim, Database, Job, State
from worker.stores import Stores

Event = tuple[int | None, str, Any]


def parsed(stream: bytes) -> list[Event]:
    """The whole events of what was received: number, kind and data."""
    found: list[Event] = []
    for block in stream.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line[0] != ":")
        if fields:
            number = int(fields["id"]) if "id" in fields else None
            found.append((number, fields["event"], json.loads(fields["data"])))
    return found


def kept(events: list[Event]) -> list[Event]:
    return [event for event in events if event[0] is not None]


def claimed(stores: Stores) -> Claim:
    job, _ = stores.jobs.add("distill", {}, {})
    return stores.jobs.claim(job.id, "test:1")


def epoch(n: int) -> list[dict[str, Any]]:
    return [
        {"seq": 2 * n - 1, "kind": "progress", "time": 1.0, "epoch": n, "step": 32 * n},
        {"seq": 2 * n, "kind": "epoch", "time": 1.0, "epoch": n, "loss": {"total": 1.0}},
    ]


def finish(stores: Stores, claim: Claim) -> None:
    for state in (State.RUNNING, State.EVALUATING):
        stores.jobs.move(claim, state, "test")
    stores.jobs.succeed(claim)


def whole(url: str, job_id: str, **given: Any) -> bytes:
    """Everything until the server ends the stream."""
    return httpx.get(f"{url}/jobs/{job_id}/events", timeout=20, **given).content


def test_a_job_is_followed_while_it_happens(url: str, stores: Stores) -> None:
    """The listener comes first; what happens reaches it, and the stream ends with the job."""
    claim = claimed(stores)
    received = b""
    with httpx.stream("GET", f"{url}/jobs/{claim.job_id}/events", timeout=20) as response:
        assert response.status_code == 200
        pieces = response.iter_raw()
        received += next(pieces)
        stores.jobs.record(claim, epoch(1))
        stores.jobs.add_lines(claim, 1, ["größer", "zwei"])
        while b"event: log" not in received:
            received += next(pieces)
        finish(stores, claim)
        for piece in pieces:
            received += piece
    events = parsed(received)

    assert [number for number, _, _ in kept(events)] == list(range(1, 8))
    kinds = [kind for _, kind, _ in kept(events)]
    assert kinds == ["state", "state", "metrics", "log", "state", "state", "state"]
    log = kept(events)[3][2]
    assert (log["line"], log["lines"]) == (1, ["größer", "zwei"])
    assert (None, "progress", {"epoch": 1, "step": 32}) in events
    assert events[-1] == (None, "end", {"state": "succeeded"})


def test_proxies_are_told_to_keep_nothing_back(url: str, stores: Stores) -> None:
    """One that buffers would make an event wait for the next kilobytes."""
    claim = claimed(stores)

    with httpx.stream("GET", f"{url}/jobs/{claim.job_id}/events") as response:
        headers = response.headers

    assert headers["content-type"].startswith("text/event-stream")
    assert headers["x-accel-buffering"] == "no"
    assert headers["cache-control"] == "no-store"


@pytest.fixture(scope="module")
def told(url: str, stores: Stores) -> tuple[str, bytes]:
    """A job that has ended after more events than are read at once, and its whole stream."""
    claim = claimed(stores)
    for n in range(1, 30):
        stores.jobs.record(claim, epoch(n))
        stores.jobs.add_lines(claim, 2 * n - 1, [f"epoch {n}", "…"])
    finish(stores, claim)
    return claim.job_id, whole(url, claim.job_id)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.floats(0, 1), min_size=1, max_size=3))
def test_wherever_a_stream_is_cut_the_next_goes_on(
    url: str, told: tuple[str, bytes], cuts: list[float]
) -> None:
    """A connection breaks at any byte; the last whole event's number is all that a client knows."""
    job_id, stream = told
    expected = kept(parsed(stream))
    seen: list[Event] = []

    for cut in cuts:
        headers = {"Last-Event-ID": str(seen[-1][0])} if seen else {}
        piece = whole(url, job_id, headers=headers)
        seen += kept(parsed(piece[: int(cut * len(piece))]))
    seen += kept(parsed(whole(url, job_id, params={"after": seen[-1][0] if seen else 0})))

    assert [number for number, _, _ in expected] == list(range(1, len(expected) + 1))
    assert seen == expected


def test_a_listener_that_is_cut_off_again_and_again_misses_nothing(
    url: str, stores: Stores
) -> None:
    """While the job goes on: events come between two connections as well."""
    claim = claimed(stores)

    def work() -> None:
        for n in range(1, 41):
            stores.jobs.record(claim, epoch(n))
            time.sleep(0.01)
        finish(stores, claim)

    worker = threading.Thread(target=work)
    worker.start()
    seen: list[Event] = []
    cuts, until = 0, time.monotonic() + 60
    while not seen or seen[-1][2].get("new") != "succeeded":
        assert time.monotonic() < until
        last = str(seen[-1][0]) if seen else "0"
        received = b""
        address = f"{url}/jobs/{claim.job_id}/events"
        with httpx.stream("GET", address, headers={"Last-Event-ID": last}, timeout=20) as response:
            for piece in response.iter_raw(97):
                received += piece
                if len(received) > 400:
                    break
        seen += kept(parsed(received))
        cuts += 1
    worker.join()

    assert cuts > 5
    assert [number for number, _, _ in seen] == list(range(1, 46))


def test_a_job_that_has_ended_has_nothing_new(
    url: str, stores: Stores, told: tuple[str, bytes]
) -> None:
    """An EventSource would ask for ever; 204 stops it."""
    job_id, stream = told
    last = kept(parsed(stream))[-1][0]

    response = httpx.get(f"{url}/jobs/{job_id}/events", headers={"Last-Event-ID": str(last)})

    assert (response.status_code, response.content) == (204, b"")


def test_a_number_that_is_not_there_yet_is_refused(url: str, stores: Stores) -> None:
    """It is another job's: to wait for it would hide all that comes before."""
    claim = claimed(stores)

    response = httpx.get(f"{url}/jobs/{claim.job_id}/events", params={"after": 99})

    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == "query.after"
    for odd in ("-1", "x", "9" * 30):
        refused = httpx.get(f"{url}/jobs/{claim.job_id}/events", headers={"Last-Event-ID": odd})
        assert refused.status_code == 422


def test_an_unknown_job_is_404(url: str) -> None:
    """Before a stream begins."""
    response = httpx.get(f"{url}/jobs/00000000-0000-0000-0000-000000000000/events")

    assert response.status_code == 404
    assert response.json()["type"] == "urn:okdhp:problem:job-unknown"


def test_whoever_follows_a_job_that_is_deleted_is_told(url: str, stores: Stores) -> None:
    """The stream cannot go on, and the next one is 404."""
    claim = claimed(stores)
    received = b""
    with httpx.stream("GET", f"{url}/jobs/{claim.job_id}/events", timeout=20) as response:
        for piece in response.iter_raw():
            if not received:
                with stores.database.writing() as session:
                    session.execute(delete(Job).where(Job.id == claim.job_id))
            received += piece

    assert parsed(received)[-1] == (
        None, "end", {"state": None, "reason": "the job was deleted"},
    )  # fmt: skip


def test_listeners_share_one_look_at_the_database(
    url: str, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred of them must not slow the server."""
    claim = claimed(stores)
    looks = 0
    look = hub._look

    def counted(database: Database, job_id: str, read: int) -> Any:
        nonlocal looks
        looks += job_id == claim.job_id
        return look(database, job_id, read)

    monkeypatch.setattr(hub, "_look", counted)
    many = [threading.Thread(target=whole, args=[url, claim.job_id]) for _ in range(20)]
    began = time.monotonic()
    for one in many:
        one.start()
    time.sleep(0.3)
    finish(stores, claim)
    for one in many:
        one.join()
    before = looks
    time.sleep(4 * hub.POLL_S)

    assert looks <= (time.monotonic() - began) / hub.POLL_S
    assert looks == before, "a job that nobody follows is looked at"


def test_a_listener_that_does_not_read_holds_nobody_up(url: str, stores: Stores) -> None:
    """It is sent what it takes, and gets the rest from the store when it wakes."""
    claim = claimed(stores)
    with httpx.stream("GET", f"{url}/jobs/{claim.job_id}/events", timeout=20) as slow:
        for n in range(100):  # more than the buffers between us take
            stores.jobs.add_lines(claim, 100 * n + 1, ["x" * 400] * 100)
        finish(stores, claim)

        quick = kept(parsed(whole(url, claim.job_id)))
        late = kept(parsed(b"".join(slow.iter_raw())))

    assert [number for number, _, _ in quick] == list(range(1, 106))
    assert late == quick


def test_a_server_that_ends_takes_its_listeners_along(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    """It would wait for streams that have no end, and cut off the answers that have one."""
    server = serve(tmp_path, "--no-worker")
    server.wait_for("home:")
    job = httpx.post(f"{server.url}/jobs", json={"kind": "distill", "config": {"preset": "tiny"}})
    with httpx.stream("GET", f"{server.url}{job.json()['url']}/events", timeout=20) as response:
        received = response.iter_raw()
        assert b"posted" in next(received)
        server.process.terminate()
        rest = b"".join(received)  # raises if the connection breaks in the middle

    assert rest == b""
    assert server.process.wait(20) == 0
    assert not [line for line in server.lines if "graceful" in line]
