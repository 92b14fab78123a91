"""What a set holds, as it is noted when it comes."""

import hashlib
from pathlib import Path
from typing import Any, Final, NamedTuple

from model.data.check import check_set, fingerprint
from model.data.readers import READERS, SPLITS
from model.errors import DatasetError

WHOLE: Final = "all"
"""Stands for the split of a set that has none."""


class Survey(NamedTuple):
    """Counts by split, what a person should know, and a fingerprint (SHA-256, hex)."""

    splits: dict[str, Any]
    problems: list[str]
    fingerprint: str


def survey(format: str, folder: Path) -> Survey:
    """Read a set whole, and its images' headers. Raises DatasetError if it cannot be used."""
    splits: dict[str, Any] = {}
    problems: list[str] = []
    prints: list[str] = []
    # A single file, or a set without lists of its splits, is read as a whole.
    for split in SPLITS[format](folder) or (None,):
        name = split or WHOLE
        labelled = READERS[format](folder, split)
        report = check_set(labelled)
        if report.faults:
            raise DatasetError(f"{folder.name}, {name}", None, "; ".join(report.faults))
        splits[name] = {
            "people": report.people,
            "images": report.images,
            "skeleton": labelled.skeleton.name,
            "joints": report.joints,
        }
        if report.joints_outside:
            problems.append(
                f"{name}: {report.joints_outside} joints of {report.outside_people} people lie "
                "outside their image"
            )
        prints.append(f"{name} {fingerprint(labelled)}")
    whole = hashlib.sha256("\n".join(prints).encode()).hexdigest()
    return Survey(splits, problems, whole)
