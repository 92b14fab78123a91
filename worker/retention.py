"""How long the files of ended jobs stay: by age and size, and never those that are needed.

A job's files are given up in its row first, under its lock: nobody resumes it from then on. Then
they are removed, here and by every other host, however often one of them is cut off.
"""

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from uuid import UUID

from worker.checkpoints import folder_of
from worker.store.retention import (
    at_rest,
    ended_first,
    give_up,
    given_up,
    gone,
    held,
    removed,
)
from worker.stores import Stores

log = logging.getLogger(__name__)

_DAY_S: Final = 24 * 3600.0
_GB: Final = 10**9
_AT_ONCE: Final = 500
_LEAVING: Final = ".leaving-"
"""Before the name of a run folder that is being removed."""


def sweep(stores: Stores) -> None:
    """One round: what is too old or too much is given up, and removed from store and host."""
    for job_id in _too_much(stores):
        if give_up(stores.database, job_id):
            log.info("job %s: its files are pruned", job_id)
    for job_id, kept in given_up(stores.database):
        _remove_stored(stores, job_id, artifacts=not kept)
        removed(stores.database, job_id, artifacts=not kept)
    _sweep_runs(stores)


def remove_files(stores: Stores, job_id: str) -> None:
    """Remove all that a job left, here and in the artifact store; its files were given up."""
    _remove_stored(stores, job_id, artifacts=True)
    _remove_run(stores, stores.settings.run_dir(job_id))


def _too_much(stores: Stores) -> Iterable[str]:
    """The jobs that are older than is kept, and the oldest of those that take too much room."""
    settings = stores.settings
    if not settings.keep_days and not settings.keep_gb:
        return
    total = 0
    for job in held(stores.database):
        total += job.bytes
        too_old = bool(settings.keep_days) and job.age_s > settings.keep_days * _DAY_S
        if too_old or (bool(settings.keep_gb) and total > settings.keep_gb * _GB):
            yield job.job_id


def _remove_stored(stores: Stores, job_id: str, *, artifacts: bool) -> None:
    stores.artifacts.remove(folder_of(job_id))
    if artifacts:
        stores.artifacts.remove(f"jobs/{job_id}")


def _sweep_runs(stores: Stores) -> None:
    """Remove this host's run folders of jobs that are gone, and the oldest that are too much.

    The run folder of an ended job is a copy: what it takes to resume it is in the store as well.
    """
    runs = stores.settings.runs_dir
    for left in runs.glob(f"{_LEAVING}*"):
        shutil.rmtree(left, ignore_errors=True)  # somebody was cut off
    names = [folder.name for folder in runs.iterdir() if _is_job(folder)]
    for start in range(0, len(names), _AT_ONCE):
        for name in gone(stores.database, names[start : start + _AT_ONCE]):
            _remove_run(stores, runs / name)
    if stores.settings.keep_gb:
        sizes = {name: _size(runs / name) for name in names}
        total = sum(sizes.values())
        for start in range(0, len(names), _AT_ONCE):
            for name in ended_first(stores.database, names[start : start + _AT_ONCE]):
                if total > stores.settings.keep_gb * _GB:
                    _remove_run(stores, runs / name)
                    total -= sizes[name]


def _remove_run(stores: Stores, run_dir: Path) -> None:
    """Remove a run folder, unless its job was resumed."""
    leaving = run_dir.with_name(f"{_LEAVING}{run_dir.name}")
    with at_rest(stores.database, run_dir.name) as may_go:
        if not may_go or not run_dir.is_dir():
            return
        run_dir.replace(leaving)  # at once: a worker that resumes the job later makes a new one
    shutil.rmtree(leaving, ignore_errors=True)


def _is_job(folder: Path) -> bool:
    """Whether it is a job's run folder; a person may have others there."""
    try:
        return str(UUID(folder.name)) == folder.name and folder.is_dir()
    except ValueError:
        return False


def _size(folder: Path) -> int:
    """Bytes on the disk, a file of two names counted once."""
    seen: dict[int, int] = {}
    for path in folder.rglob("*"):
        try:
            stat = path.lstat()
        except FileNotFoundError:
            continue
        seen[stat.st_ino] = stat.st_blocks * 512
    return sum(seen.values())
