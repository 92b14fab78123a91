"""Many jobs while workers come and go."""

import random
import signal
import time
from functools import partial
from subprocess import Popen
from typing import Any, Final

import pytest
from case import Case
from installation import HASTY

from worker.store import State
from worker.store.census import census
from worker.store.tables import FINAL

JOBS: Final = 200
WORKERS: Final = 3
EVERY: Final = 8
SLEEP_S: Final = 6.0
"""Longer than a lease."""
LIMIT_S: Final = 420.0


@pytest.mark.timeout(LIMIT_S + 120)
def test_two_hundred_jobs_each_run_once_while_workers_come_and_go(case: Case) -> None:
    """Whenever eight have ended a worker is killed, told to end, or stopped past its lease, and
    another begins. Pretended jobs; one may lose its worker more often than by default."""
    installation = case.install(patience={**HASTY, "OKDHP_LOST_LIMIT": "50"})
    steps: list[list[Any]] = [
        ["event", {"kind": "started"}],
        *(["event", {"kind": "epoch", "epoch": n}] for n in (1, 2, 3)),
        ["event", {"kind": "finished", "metrics": {}}],
    ]
    again = [steps[0], steps[-1]]  # they begin anew after nothing that could be lost
    ids = [installation.pretend(*steps, resumed=again) for _ in range(JOBS)]
    chance = random.Random(11)
    alive = [installation.start_worker(f"worker {n}", pretending=True) for n in range(WORKERS)]
    asleep: list[tuple[float, Any]] = []
    started, until = WORKERS, time.monotonic() + LIMIT_S

    def ended() -> int:
        counts = census(installation.stores.database).counts
        return sum(count for (state, _), count in counts.items() if state in FINAL)

    done_at_last = 0
    while (done := ended()) < JOBS and time.monotonic() < until:
        for wakes, sleeper in list(asleep):
            if time.monotonic() > wakes:
                sleeper.send_signal(signal.SIGCONT)
                asleep.remove((wakes, sleeper))
                sleeper.terminate()
        if done < done_at_last + EVERY:
            time.sleep(0.1)
            continue
        done_at_last = done
        worker = alive.pop(chance.randrange(len(alive)))
        fault = chance.choice(["killed", "told to end", "stopped"])
        how = {
            "killed": installation.kill,
            "told to end": Popen.terminate,
            "stopped": installation.stop,
        }
        installation.inject(f"worker {fault}", partial(how[fault], worker), of=worker)
        if fault == "stopped":
            asleep.append((time.monotonic() + SLEEP_S, worker))
        alive.append(installation.start_worker(f"worker {started}", pretending=True, wait=False))
        started += 1
    expected = dict.fromkeys(ids, State.SUCCEEDED)
    case.conclude(f"{started} workers come and go", "all", expected)
