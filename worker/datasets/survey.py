"""What a set holds, as it is noted when it comes."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from model.data.check import Report, check_set, fingerprint
from model.data.readers import READERS, SPLITS, WHOLE
from model.errors import DatasetError


class Survey(NamedTuple):
    """Counts by split, what a person should know, and a fingerprint (SHA-256, hex)."""

    splits: dict[str, Any]
    problems: list[str]
    fingerprint: str


def survey(format: str, folder: Path, *, whole: bool) -> Survey:
    """Read a set's labels, and its images' headers.

    whole: whether every image must be there and be one; else those that are not are problems.
    Raises DatasetError for labels that cannot be read, and for a split of nobody or of no image.
    """
    splits: dict[str, Any] = {}
    problems: list[str] = []
    prints: list[str] = []
    # A single file, or a set without lists of its splits, is read as a whole.
    for split in SPLITS[format](folder) or (None,):
        name = split or WHOLE
        labelled = READERS[format](folder, split)
        report = check_set(labelled)
        if report.faults and (whole or not _usable(report)):
            raise DatasetError(f"{folder.name}, {name}", None, "; ".join(report.faults))
        problems += [f"{name}: {fault}" for fault in report.faults]
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
    digest = hashlib.sha256("\n".join(prints).encode()).hexdigest()
    return Survey(splits, problems, digest)


def _usable(report: Report) -> bool:
    """Whether somebody is to be seen."""
    return report.people > 0 and report.images > report.images_missing + report.images_unreadable
