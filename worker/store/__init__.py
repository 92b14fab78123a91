"""The job store: the database is the truth about jobs, the broker only a bell."""

from worker.store.census import Census, census
from worker.store.database import Database, open_database
from worker.store.jobs import Claim, JobPage, JobStore, Wishes
from worker.store.parts import NewPart, Waiting
from worker.store.tables import (
    ACTIONS,
    ACTIVE,
    FINAL,
    FOLLOWS,
    PRIORITY,
    ApiKey,
    Artifact,
    Dataset,
    Job,
    Model,
    Need,
    Promotion,
    State,
    Transition,
    Version,
)

__all__ = [
    "ACTIONS",
    "ACTIVE",
    "FINAL",
    "FOLLOWS",
    "PRIORITY",
    "ApiKey",
    "Artifact",
    "Census",
    "Claim",
    "Database",
    "Dataset",
    "Job",
    "JobPage",
    "JobStore",
    "Model",
    "Need",
    "NewPart",
    "Promotion",
    "State",
    "Transition",
    "Version",
    "Waiting",
    "Wishes",
    "census",
    "open_database",
]
