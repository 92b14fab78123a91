"""The broker is a bell: away, emptied, or ringing twice, it costs no job and doubles none."""

import time
from typing import Any, Final

import pytest
from case import Case
from installation import HASTY
from moments import at
from processes import wait_until
from twin import Twin

from worker.store import State

STARTED: Final = ["event", {"kind": "started"}]
AWAY_S: Final = 60.0
VISIBILITY_S: Final = 5


@pytest.mark.timeout(240)
def test_a_broker_that_is_away_for_a_minute_costs_nothing(
    case: Case, config: dict[str, Any], twin: Twin
) -> None:
    """The training goes on to its end without it, and what is posted meanwhile waits for it."""
    installation = case.install()
    worker = installation.start_worker()
    first = installation.post(config)
    with at("mid-epoch", installation, first, worker.pid):
        installation.inject("broker away", installation.kill_broker)
    gone = time.monotonic()
    second = installation.post(config)

    installation.wait_for(first, State.SUCCEEDED)
    time.sleep(max(0.0, gone + AWAY_S - time.monotonic()))
    installation.broker.start()

    installation.wait_for(second, State.SUCCEEDED)
    expected = dict.fromkeys([first, second], State.SUCCEEDED)
    case.conclude("broker away for 60 s", "mid-epoch, queued", expected, twin=twin)


def test_an_emptied_broker_loses_no_job(case: Case) -> None:
    """While one is in work and others wait: the database knows them all. Pretended jobs."""
    installation = case.install()
    installation.start_worker(pretending=True)
    first = installation.pretend(STARTED, ["await", "go"])
    installation.wait_for(first, State.RUNNING)
    ids = [first, *(installation.pretend(STARTED) for _ in range(4))]

    installation.inject("broker emptied", installation.flush_broker)
    (installation.settings.run_dir(first) / "go").touch()

    for job_id in ids:
        installation.wait_for(job_id, State.SUCCEEDED)
    case.conclude("broker emptied", "queued, in work", dict.fromkeys(ids, State.SUCCEEDED))


def test_a_message_that_is_delivered_again_and_again_does_nothing(case: Case) -> None:
    """Twice at once, and again after a visibility timeout of 5 s, which a longer job outlives: what
    Celery's default does to every job of more than an hour. A pretended job."""
    installation = case.install(patience={**HASTY, "OKDHP_VISIBILITY_TIMEOUT_S": str(VISIBILITY_S)})
    for name in ("first", "second"):
        installation.start_worker(name, pretending=True)
    job_id = installation.pretend(STARTED, ["await", "go"])
    installation.inject("second message", lambda: installation.announce(job_id))
    installation.wait_for(job_id, State.RUNNING)

    # Celery's workers look for such messages when they begin, then every hundred seconds.
    wait_until(lambda: installation.unacknowledged_s() > VISIBILITY_S, "a timeout")
    installation.inject("redelivery", lambda: installation.start_worker("third", pretending=True))
    wait_until(lambda: max(installation.deliveries().values()) == 2, "a message comes again", 30)
    (installation.settings.run_dir(job_id) / "go").touch()

    assert installation.wait_for(job_id, State.SUCCEEDED).attempt == 1
    fault = "message twice, and after 5 s again"
    case.conclude(fault, "in work", {job_id: State.SUCCEEDED})
