"""How long the files of ended jobs stay."""

import shutil

from worker.stores import Stores


def remove_files(stores: Stores, job_id: str) -> None:
    """Remove all that a job left, here and in the artifact store; nobody may work on it."""
    for folder in ("jobs", "checkpoints"):
        stores.artifacts.remove(f"{folder}/{job_id}")
    shutil.rmtree(stores.settings.run_dir(job_id), ignore_errors=True)
