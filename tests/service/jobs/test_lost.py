"""A job of a lost worker where no other worker is left: the API says what happened."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from fastapi.testclient import TestClient

from service.settings import ServiceSettings
from worker.stores import open_stores


def test_a_server_without_workers_says_that_a_job_s_host_was_lost(
    started: Callable[[ServiceSettings], AbstractContextManager[TestClient]], tmp_path: Path
) -> None:
    """It would say "running" for ever otherwise."""
    settings = ServiceSettings(
        home=tmp_path,
        broker_url=f"redis+socket://{tmp_path}/nobody.sock",
        lease_s=0.1,
        housekeeping_s=0.05,
    )
    with started(settings) as client:
        job = client.post("/jobs", json={"kind": "distill", "config": {"preset": "tiny"}}).json()
        stores = open_stores(settings)
        stores.jobs.claim(job["id"], "gone:1")
        stores.close()

        until = time.monotonic() + 10
        while (found := client.get(job["url"]).json())["state"] != "queued":
            assert time.monotonic() < until
            time.sleep(0.02)

    assert found["history"][-1]["reason"].startswith("host lost: worker gone:1")
