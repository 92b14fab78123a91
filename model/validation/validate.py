"""A whole validation: all splits of a set are looked at, and a report and a picture are written.

validation.json  validation.png
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from model.config import SourceConfig
from model.data.mixture import open_source
from model.data.readers import SPLITS, WHOLE, LabelledSet
from model.errors import DatasetError
from model.files import replaced, write_json
from model.predictor import BUNDLED, Predictor
from model.validation.counts import SMALL_PX, counted
from model.validation.looking import Looked, look_at
from model.validation.looks import Copy, copies
from model.validation.picture import sheet
from model.validation.sides import Swap, swaps

REPORT: Final = "validation.json"
PICTURE: Final = "validation.png"
PICTURED: Final = 24
LISTED: Final = 1000
"""Of suspects of one kind; beside each list stands how many there are."""


def validate(
    source: SourceConfig,
    out: Path,
    *,
    pictures: int = PICTURED,
    advance: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Look at a source whole, or at its one split; what validation.json holds.

    A fault of the data is told in the report; also a split that cannot be read, where another can.
    pictures: how many samples the picture shows, and half as many suspects. advance: told how many
    photographs of how many have been looked at; what it raises ends the work.
    Raises DatasetError where nothing can be read.
    """
    sets, unread = _read(source)
    student = Predictor(BUNDLED)
    whole = sum(len({p.picture for p in labelled.people}) for labelled in sets.values())
    done = 0

    def further(photographs: int) -> None:
        nonlocal done
        done += photographs
        advance(done, whole)

    looked = {split: look_at(labelled, student, further) for split, labelled in sets.items()}
    suspects = {
        split: [] if found.found is None else swaps(found.found, found.labelled)
        for split, found in looked.items()
    }
    twice = copies({split: found.looks for split, found in looked.items()})
    splits = {
        split: _told(found, suspects[split], str(source.format)) for split, found in looked.items()
    }
    report = {
        "people": sum(split["people"] for split in splits.values()),
        "images": sum(split["images"] for split in splits.values()),
        "findings": _findings(splits, unread, twice),
        "splits": splits | {split: {"unreadable": fault} for split, fault in unread.items()},
        "duplicates": _listed([_pair(copy) for copy in twice]),
    }
    page = sheet(looked, suspects, twice, pictures)
    with replaced(out / PICTURE) as file:
        page.save(file, "PNG")
    write_json(out / REPORT, report)
    return report


def brief(report: Any, most: int = 20) -> Any:
    """A report whose lists end early, for where it is only glanced at."""
    if not isinstance(report, dict):
        return report
    if report.keys() == {"count", "first"}:
        return report | {"first": report["first"][:most]}
    return {key: brief(value, most) for key, value in report.items()}


def _read(source: SourceConfig) -> tuple[dict[str, LabelledSet], dict[str, str]]:
    """The splits that can be read, and the others' faults. Raises DatasetError if none can."""
    there: tuple[str | None, ...] = (source.split,)
    if source.split is None and source.path is not None:
        there = SPLITS[str(source.format)](source.path) or (None,)
    sets: dict[str, LabelledSet] = {}
    faults: dict[str, DatasetError] = {}
    for split in there:
        try:
            sets[split or WHOLE] = open_source(source.model_copy(update={"split": split}))
        except DatasetError as error:
            faults[split or WHOLE] = error
    if not sets:
        raise next(iter(faults.values()))
    return sets, {split: str(error) for split, error in faults.items()}


def _told(found: Looked, suspects: Sequence[Swap], format: str) -> dict[str, Any]:
    """A split's part of the report."""
    people = found.labelled.people
    return {
        **counted(found, format),
        "missing": _listed(found.missing),
        "broken": _listed([{"image": n, "reason": r} for n, r in found.broken.items()]),
        "sides_judged": found.found is not None,
        "swaps": _listed(
            [{**asdict(s), "image": found.names[people[s.person].picture]} for s in suspects]
        ),
    }


def _pair(copy: Copy) -> dict[str, Any]:
    places = {
        key: dict(zip(("split", "image"), place, strict=True))
        for key, place in (("first", copy.first), ("second", copy.second))
    }
    return {**places, "same_bytes": copy.same_bytes, "bits": copy.bits,
            "correlation": round(copy.correlation, 3)}  # fmt: skip


def _listed(found: Sequence[Any]) -> dict[str, Any]:
    return {"count": len(found), "first": list(found[:LISTED])}


def _findings(
    splits: Mapping[str, Mapping[str, Any]], unread: Mapping[str, str], twice: Sequence[Copy]
) -> list[str]:
    """What to look at before training, a sentence each; none is there of what is in order."""
    told = [f"{split}: cannot be read: {fault}" for split, fault in unread.items()]
    for split, part in splits.items():
        boxes = part["boxes"]
        counts = {
            "images that are missing": part["missing"]["count"],
            "images that are broken": part["broken"]["count"],
            "people whose sides may be exchanged": part["swaps"]["count"],
            f"boxes smaller than {SMALL_PX} px": boxes["small"],
            "boxes off their images": boxes["off_image"],
            "people with a joint far outside their box": boxes["joints_beside"],
            "people with a joint outside their image": part["outside_people"],
        }
        told += [f"{split}: {what}: {count}" for what, count in counts.items() if count]
        told += [f"{split}: nobody has a {j}" for j, count in part["joints"].items() if not count]
    same = sum(copy.same_bytes for copy in twice)
    alike = len(twice) - same
    told += [f"pairs of images in two splits, the same byte by byte: {same}"] if same else []
    told += [f"pairs of images in two splits that look the same: {alike}"] if alike else []
    return told
