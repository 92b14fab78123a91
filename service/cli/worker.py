"""`okdhp worker`."""

import sys

from service.cli.options import Home, log_to_stderr, need_runtime, settings_of


def worker(home: Home = None) -> None:
    """Start a worker alone: takes jobs, one at a time, until Ctrl-C.

    `okdhp serve` starts one of its own. Others, on this or another machine, need
    OKDHP_BROKER_URL, and OKDHP_DATABASE_URL and OKDHP_ARTIFACTS_URL that they share.
    """
    need_runtime()
    log_to_stderr()
    settings = settings_of(home)
    from worker.main import run_worker

    sys.exit(run_worker(settings))
