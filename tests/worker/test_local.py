"""Jobs' children without a server: several at once, each told of, all ended when told to."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from worker.failure import Failure
from worker.local import LocalJob, LocalJobs

sys.path.insert(0, str(Path(__file__).parent))
import pretend

STARTED = ["event", {"kind": "started"}]


class Told:
    """What a display is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, event: dict[str, Any]) -> None:
        self.events.append((name, event))

    def kinds(self, name: str) -> list[str]:
        return [event["kind"] for told, event in self.events if told == name]

    def order(self, kind: str) -> list[str]:
        return [name for name, event in self.events if event["kind"] == kind]


@pytest.fixture
def told() -> Iterator[Told]:
    yield Told()


def job(name: str, *steps: list[Any], **more: Any) -> LocalJob:
    return LocalJob(name, "pretend", {"do": list(steps), **more})


def run(folder: Path, told: Told, *jobs: LocalJob, at_once: int = 1, **how: Any) -> Any:
    local = LocalJobs(folder, at_once=at_once, child=pretend.COMMAND, grace_s=how.pop("grace_s", 5))
    return local.run(jobs, stop=how.pop("stop", lambda: False), listen=told)


def test_jobs_run_one_after_another_and_tell_all(tmp_path: Path, told: Told) -> None:
    """In their order, each in a folder of its own."""
    epoch = ["event", {"kind": "epoch", "epoch": 1}]

    failures = run(tmp_path, told, job("a", STARTED, epoch), job("b", STARTED))

    assert failures == {}
    assert told.kinds("a") == ["started", "epoch", "ended"]
    assert told.order("ended") == ["a", "b"]
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_job_that_fails_is_told_and_the_others_go_on(tmp_path: Path, told: Told) -> None:
    """By what it said, or by how it ended."""
    failures = run(
        tmp_path,
        told,
        job("nan", STARTED, ["raise", "diverged"]),
        job("killed", STARTED, ["die", 9]),
        job("well", STARTED),
    )

    assert failures["nan"] == Failure("NaN loss", "the loss is no longer a finite number at step 7")
    assert failures["killed"].reason == "killed"
    assert set(failures) == {"nan", "killed"}
    ended = {name: event["failure"] for name, event in told.events if event["kind"] == "ended"}
    assert ended["well"] is None
    assert ended["nan"] == failures["nan"]


def test_several_run_at_once_once_the_first_has_begun(tmp_path: Path, told: Told) -> None:
    """It cuts out the people, which the others then find in the cache."""
    run(
        tmp_path,
        told,
        job("a", ["print", "cutting\n"], STARTED, ["wait"]),
        job("b", STARTED, ["wait"]),
        job("c", STARTED),
        at_once=2,
        stop=lambda: "started" in told.kinds("b"),
    )

    assert told.order("started") == ["a", "b"]  # and a waits until it is told to end
    began = (tmp_path / "a" / "events.jsonl").stat().st_mtime
    assert (tmp_path / "b" / "order.json").stat().st_mtime > began
    assert not (tmp_path / "c").exists()


def test_told_to_stop_they_save_and_no_other_begins(tmp_path: Path, told: Told) -> None:
    """A second Ctrl-C is not needed: TERM is enough for a child that listens."""

    def stop() -> bool:
        return "started" in told.kinds("a")

    failures = run(tmp_path, told, job("a", STARTED, ["wait"]), job("b", STARTED), stop=stop)

    assert {name: failure.reason for name, failure in failures.items()} == {
        "a": "stopped",
        "b": "stopped",
    }
    assert told.kinds("b") == []
    assert not (tmp_path / "b").exists()


def test_a_deaf_child_is_killed_after_the_grace(tmp_path: Path, told: Told) -> None:
    """Nobody stays behind in a terminal that is closed."""
    spec = job("deaf", ["deaf"], STARTED, ["spawn"], ["event", {"kind": "log"}], ["sleep", 600])

    def stop() -> bool:
        return "log" in told.kinds("deaf")

    run(tmp_path, told, spec, stop=stop, grace_s=0.3)

    pid = int((tmp_path / "deaf" / "spawned").read_text())
    assert not pretend.lives(pid)


def test_an_error_in_the_display_leaves_no_child_behind(tmp_path: Path) -> None:
    """Nor does the second Ctrl-C, which comes as an exception."""

    def interrupt(name: str, event: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    local = LocalJobs(tmp_path, child=pretend.COMMAND, grace_s=5)
    with pytest.raises(KeyboardInterrupt):
        local.run([job("a", STARTED, ["wait"])], stop=lambda: False, listen=interrupt)

    assert not _holders(tmp_path / "a")


def test_a_job_that_goes_on_tells_only_what_is_new(tmp_path: Path, told: Told) -> None:
    """Its first attempt's events would look like progress."""
    first = job("a", STARTED, ["event", {"kind": "epoch", "epoch": 1}], ["raise", "diverged"])
    run(tmp_path, Told(), first)

    failures = run(
        tmp_path, told, job("a", resumed=[STARTED, ["event", {"kind": "epoch", "epoch": 2}]])
    )

    assert failures == {}
    assert [event["epoch"] for _, event in told.events if event["kind"] == "epoch"] == [2]


def test_they_share_cores_and_cache(tmp_path: Path, told: Told) -> None:
    """Two processes with a thread a core each crawl."""
    run(tmp_path, told, job("a", STARTED), at_once=2)

    order = json.loads((tmp_path / "a" / "order.json").read_text())
    assert order["cache"] == str(tmp_path / "cache")


def _holders(folder: Path) -> list[int]:
    """Running processes that were started for a run folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder).encode() in command:
            found.append(int(path.parent.name))
    return found
