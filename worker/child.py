"""The process that does a job's work: `python -m worker.child --job ID --kind KIND --run DIR`.

It reads what to do from the run folder and writes events there; it knows no database and no
broker. TERM asks it to save and end.
"""

import argparse
import json
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from model.files import write_json
from model.training.events import EVENTS, EventLog
from worker.failure import DISK_FULL, failure_of
from worker.jobs import KINDS, JobKind, Work
from worker.runlock import take_run

log = logging.getLogger("worker.child")  # it runs as __main__

ORDER: Final = "order.json"
"""What the supervisor leaves in the run folder for the child."""

FINISHED: Final = 0
FAILED: Final = 1
STOPPED: Final = 75
"""Exit status: asked to end, it saved what it had (sysexits.h: EX_TEMPFAIL)."""


def write_order(
    run_dir: Path,
    spec: Mapping[str, Any],
    *,
    device: str,
    cache: Path,
    grace_s: float,
    attempt: int = 1,
) -> None:
    """Make the run folder and say there what the child should do."""
    order = {
        "spec": spec,
        "device": device,
        "cache": str(cache),
        "grace_s": grace_s,
        "attempt": attempt,
    }
    write_json(run_dir / ORDER, order)


def ordered_attempt(run_dir: Path) -> int:
    """The last attempt that worked in the run folder; 0 where none did."""
    try:
        return int(json.loads((run_dir / ORDER).read_text("utf-8"))["attempt"])
    except (OSError, ValueError, KeyError):
        return 0


def main(arguments: Sequence[str] | None = None, kinds: Mapping[str, JobKind] = KINDS) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="worker.child")
    parser.add_argument("--job", required=True)
    parser.add_argument("--kind", required=True, choices=sorted(kinds))
    parser.add_argument("--run", required=True, type=Path)
    given = parser.parse_args(arguments)
    run_dir: Path = given.run
    # Ours from INFO on; of the exporter's hundreds of lines a person needs none.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    for ours in ("worker", "model"):
        logging.getLogger(ours).setLevel(logging.INFO)
    # The manifest notes the command, and a person may download it: no path of the server.
    sys.argv = ["worker.child", given.kind, given.job]

    asked_to_stop = False

    def on_term(number: int, frame: object) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True

    signal.signal(signal.SIGTERM, on_term)
    order = json.loads((run_dir / ORDER).read_text("utf-8"))
    take_run(run_dir, given.job, grace_s=order["grace_s"])
    work = Work(
        spec=order["spec"],
        run_dir=run_dir,
        resume=(run_dir / EVENTS).exists(),
        device=order["device"],
        cache=Path(order["cache"]),
        stop=lambda: asked_to_stop,
    )
    try:
        finished = kinds[given.kind].run(work)
    except Exception as error:
        failure = failure_of(error)
        log.exception("the job failed: %s", failure.reason)
        try:
            with closing(EventLog(run_dir / EVENTS)) as events:
                events.write("failed", reason=failure.reason, message=failure.message)
        except OSError:
            return DISK_FULL if failure.reason == "disk full" else FAILED
        return FAILED
    return FINISHED if finished else STOPPED


if __name__ == "__main__":
    sys.exit(main())
