"""Checkpoints of single epochs that stay in a run folder beside `last.pt` and `best.pt`."""

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.files import replaced


def epoch_file(path: Path, epoch: int) -> Path:
    """`last.pt` or `best.pt` of an epoch: `last-0012.pt`."""
    return path.with_name(f"{path.stem}-{epoch:04}{path.suffix}")


def keep_copy(path: Path, epoch: int) -> None:
    """A complete checkpoint stays as its epoch's, whatever takes its place.

    It is a second name for the same bytes, or a copy where the disk knows no links.
    """
    kept = epoch_file(path, epoch)
    part = kept.with_name(f".{kept.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(path, part)
        part.replace(kept)
    except OSError:
        with path.open("rb") as source, replaced(kept) as file:
            shutil.copyfileobj(source, file)


def prune(path: Path, kept: Collection[int]) -> None:
    """Of the epochs' copies of `path` only those of `kept` stay; no other file is touched."""
    for file in path.parent.glob(f"{path.stem}-*{path.suffix}"):
        epoch = file.stem.removeprefix(f"{path.stem}-")
        if epoch.isdigit() and int(epoch) not in kept:
            file.unlink()


def latest(epoch: int, count: int) -> range:
    """The last so many epochs; none where `last.pt` alone is enough."""
    return range(max(1, epoch - count + 1), epoch + 1) if count > 1 else range(0)


def best(history: Sequence[Mapping[str, Any]], metric: str, count: int) -> list[int]:
    """The epochs whose best branch scored most, the earlier first where two are equal; none where
    `best.pt` alone is enough."""
    scores = {
        entry["epoch"]: max(values[metric] for values in entry["branches"].values())
        for entry in history
        if "branches" in entry
    }
    return sorted(scores, key=lambda epoch: -scores[epoch])[:count] if count > 1 else []
