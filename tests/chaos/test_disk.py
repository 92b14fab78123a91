"""The disk that a training saves to is full."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from case import Case
from moments import at
from processes import child_group
from twin import Twin

from worker.process import group_members
from worker.store import State


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A disk of 8 MB of its own; None where this user may mount none."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    yield place if mounted else None
    if mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_fails_the_job_and_a_resume_loses_nothing(
    case: Case, config: dict[str, Any], twin: Twin, small_disk: Path | None
) -> None:
    """The checkpoint before stays whole. Where no disk can be mounted, the child's files may not
    grow (RLIMIT_FSIZE) instead."""
    installation = case.install()
    if small_disk is not None:
        installation.settings = installation.settings.model_copy(update={"runs_dir": small_disk})
    worker = installation.start_worker(OKDHP_RUNS_DIR=str(installation.settings.runs_dir))
    job_id = installation.post(config)
    ballast = installation.settings.runs_dir / "ballast"

    def fill() -> None:
        if small_disk is None:
            for pid in group_members(child_group(job_id) or 0):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, 1))
            return
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    with at("mid-epoch", installation, job_id, worker.pid):
        installation.inject("disk full", fill)

    failed = installation.wait_for(job_id, State.FAILED, State.SUCCEEDED)
    assert failed.error is not None and failed.error["reason"] == "disk full"
    ballast.unlink(missing_ok=True)
    installation.resume(job_id)
    installation.wait_for(job_id, State.SUCCEEDED)
    case.conclude("disk full", "mid-epoch", {job_id: State.SUCCEEDED}, twin=twin)
