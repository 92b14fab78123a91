"""Following a run's events while another process writes them."""

import json
import logging
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

EVENTS: Final = "events.jsonl"
_AT_ONCE: Final = 4 << 20


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
