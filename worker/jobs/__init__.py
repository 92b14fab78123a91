"""The job kinds: a small file each, and a line in this table."""

from collections.abc import Mapping
from typing import Final

from worker.jobs.audit import Audit
from worker.jobs.compare import Compare
from worker.jobs.distill import Distill
from worker.jobs.evaluate import Evaluate
from worker.jobs.export import Export
from worker.jobs.kind import JobKind, Work
from worker.jobs.predict import Predict
from worker.jobs.validate import Validate

__all__ = ["KINDS", "JobKind", "Work"]

KINDS: Final[Mapping[str, JobKind]] = {
    "audit": Audit(),
    "compare": Compare(),
    "distill": Distill(),
    "evaluate": Evaluate(),
    "export": Export(),
    "predict": Predict(),
    "validate": Validate(),
}
