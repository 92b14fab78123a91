"""A run's story as JSON lines: what a progress bar, a supervisor and a chart read."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

EVENTS: Final = "events.jsonl"
"""Their file in a run folder."""

FINISH: Final = "finish"
"""A file of this name in a run folder asks the training to end with what it has."""

_AT_ONCE: Final = 4 << 20

Listener = Callable[[dict[str, Any]], None]


class EventLog:
    """Appends events, numbered from 1 through all of a run's resumes.

    Every line is flushed when written, so that a reader sees it at once and a kill loses none.
    """

    def __init__(self, path: Path, listen: Listener | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.seq = _last_seq(path)
        self._listen = listen
        self._file = path.open("ab")

    def write(self, kind: str, **values: Any) -> None:
        self.seq += 1
        event = {"seq": self.seq, "time": round(time.time(), 3), "kind": kind, **values}
        # One write of one whole line: a reader never sees half an event followed by another.
        self._file.write(json.dumps(event, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        self._file.flush()
        if self._listen is not None:
            self._listen(event)

    def close(self) -> None:
        self._file.close()


class Silence(EventLog):
    """What every process of a training writes but the first."""

    def __init__(self) -> None:
        self.seq = 0

    def write(self, kind: str, **values: Any) -> None:
        pass

    def close(self) -> None:
        pass


class EventFollower:
    """Reads the whole lines that were added to a run folder's events since the last time."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / EVENTS
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        """New events in order; those of a long file in several calls."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(_AT_ONCE)
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]  # the writer may be in the middle of a line
        self._offset += len(whole)
        return [event for line in whole.splitlines() if (event := _parsed(line)) is not None]


def _last_seq(path: Path) -> int:
    """The number of the last whole line; a line cut off by a kill is removed."""
    if not path.exists():
        return 0
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) != len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    lines = whole.splitlines()
    return int(json.loads(lines[-1])["seq"]) if lines else 0


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        # NaN and infinity are no JSON: neither PostgreSQL nor a browser would take them.
        event = json.loads(line, parse_constant=lambda _: None)
        if isinstance(event["seq"], int) and isinstance(event["kind"], str):
            return dict(event)
    except (ValueError, KeyError, TypeError):
        pass
    log.warning("a line of the run's events is not an event: %.80r", line)
    return None
