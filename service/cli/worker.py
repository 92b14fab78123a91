"""`okdhp worker`."""

import sys

from service.cli.options import Home, need_runtime, settings_of


def worker(home: Home = None) -> None:
    """Start a worker alone: does jobs, one at a time on each device, until Ctrl-C.

    `okdhp serve` starts one of its own. Others, on this or another machine, need
    OKDHP_BROKER_URL, and OKDHP_DATABASE_URL and OKDHP_ARTIFACTS_URL that they share.
    """
    need_runtime()
    settings = settings_of(home)
    from service.logs import log_to_stderr
    from worker.main import run_worker

    log_to_stderr(settings.log_format)
    sys.exit(run_worker(settings))
