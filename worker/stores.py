"""All that service and worker share: jobs, artifacts, registry and data sets, opened at once."""

from dataclasses import dataclass

from worker.artifacts import ArtifactStore
from worker.datasets import Datasets
from worker.keys import ApiKeys
from worker.registry import Registry
from worker.settings import WorkerSettings
from worker.store import Database, JobStore, open_database


@dataclass(frozen=True)
class Stores:
    """What a server knows. Safe to share between threads."""

    settings: WorkerSettings
    database: Database
    jobs: JobStore
    artifacts: ArtifactStore
    registry: Registry
    datasets: Datasets
    keys: ApiKeys

    def close(self) -> None:
        self.database.close()


def open_stores(settings: WorkerSettings) -> Stores:
    """Open everything; folders are made and tables brought to this version.

    Raises StoreUnusable.
    """
    for folder in (settings.home, settings.runs_dir):
        folder.mkdir(parents=True, exist_ok=True)
    database = open_database(settings.database_url)
    artifacts = ArtifactStore(settings.artifacts_url, settings.home / "cache")
    jobs = JobStore(database, lease_s=settings.lease_s, lost_limit=settings.lost_limit)
    return Stores(
        settings=settings,
        database=database,
        jobs=jobs,
        artifacts=artifacts,
        registry=Registry(database, artifacts),
        datasets=Datasets(database, settings.data_dir),
        keys=ApiKeys(database),
    )
