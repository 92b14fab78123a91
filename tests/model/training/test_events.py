"""A run's story: whole lines, numbered through every resume."""

import json
from pathlib import Path

import pytest

from model.training.events import EventLog


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_events_are_numbered_from_one_and_seen_at_once(tmp_path: Path):
    """A supervisor reads the file while it grows."""
    path = tmp_path / "run" / "events.jsonl"
    log = EventLog(path)

    log.write("started", epochs=3)
    log.write("log", message="größer")

    events = lines(path)
    log.close()
    assert [(e["seq"], e["kind"]) for e in events] == [(1, "started"), (2, "log")]
    assert events[1]["message"] == "größer"
    assert all(isinstance(e["time"], float) for e in events)


def test_a_listener_hears_what_is_written(tmp_path: Path):
    """The progress bar needs no file."""
    heard: list[dict[str, object]] = []
    log = EventLog(tmp_path / "events.jsonl", heard.append)

    log.write("progress", step=1)
    log.close()

    assert heard == lines(tmp_path / "events.jsonl")


def test_numbers_go_on_after_a_resume(tmp_path: Path):
    """A supervisor stores them by number: no gap, no repeat."""
    path = tmp_path / "events.jsonl"
    for _ in range(3):
        log = EventLog(path)
        log.write("started")
        log.write("checkpoint")
        log.close()

    assert [e["seq"] for e in lines(path)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("torn", [b'{"seq": 3, "ki', b"{", '{"message": "grö'.encode()[:-1]])
def test_a_line_torn_by_a_kill_is_removed(tmp_path: Path, torn: bytes):
    """Its number is given again; a reader never meets half an event."""
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.write("a")
    log.write("b")
    log.close()
    with path.open("ab") as file:
        file.write(torn)

    log = EventLog(path)
    log.write("c")
    log.close()

    assert [(e["seq"], e["kind"]) for e in lines(path)] == [(1, "a"), (2, "b"), (3, "c")]


def test_a_file_of_one_torn_line_starts_anew(tmp_path: Path):
    """Killed within the first event."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"seq": 1')

    assert EventLog(path).seq == 0
    assert path.read_bytes() == b""


def test_what_is_no_number_is_no_event(tmp_path: Path):
    """NaN is not JSON: it would break every reader of the line."""
    log = EventLog(tmp_path / "events.jsonl")

    with pytest.raises(ValueError, match="not JSON compliant"):
        log.write("epoch", loss=float("nan"))
    log.close()
