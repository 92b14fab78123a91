"""What a `predict` job leaves: one line a photograph as it goes on, then results and a report.

A line is there when its photograph is finished; who goes on after a kill leaves those out.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from model.files import replaced, write_json
from model.predictor import Card, Pose, Predictor
from worker.jobs.listing import Photo

RESULTS: Final = "results.json"
REPORT: Final = "report.json"
_DONE: Final = "done.jsonl"
_SHOWN: Final = 100
"""Of broken photographs so many are told in the job's own result; the report has all."""


class Done:
    """The finished photographs of a run folder."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / _DONE
        whole = _whole_lines(self._path)
        self.ids = {json.loads(line)["id"] for line in whole.splitlines()}
        self._file = self._path.open("r+b" if self._path.exists() else "w+b")
        self._file.truncate(len(whole))  # the last line may have been cut off by a kill
        self._file.seek(len(whole))

    def answered(self, photo: Photo, size: tuple[int, int], poses: Sequence[Pose]) -> None:
        """size: (height, width) of the upright photograph."""
        people = [
            {
                "box": [round(v, 2) for v in pose.box.as_list()],
                "keypoints": [round(v, 4) for v in pose.keypoints_img.ravel().tolist()],
                "score": round(pose.score, 4),
            }
            for pose in poses
        ]
        self._write(photo, height=size[0], width=size[1], people=people)

    def broken(self, photo: Photo, reason: str) -> None:
        """It cannot be answered, and why."""
        self._write(photo, fault=reason)

    def flush(self) -> None:
        """What was written is seen by whoever goes on."""
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, photo: Photo, **told: Any) -> None:
        line = {"id": photo.id, "name": photo.name, **told}
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        self.ids.add(photo.id)


def write_results(run_dir: Path, card: Card, photos: Sequence[Photo]) -> None:
    """COCO's form, by https://cocodataset.org/#format-data: `images` that were answered, and their
    people as `annotations`, each with a `score`, which is also a keypoint's third number.

    Written as it is read: there may be more people than memory.
    """
    skeleton = card.skeleton
    limbs = [[a + 1, b + 1] for a, b in skeleton.limb_indices]  # COCO counts from 1
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.joints),
        "skeleton": limbs,
    }
    with replaced(run_dir / RESULTS) as file:
        file.write(b'{"categories": ')
        file.write(json.dumps([category]).encode())
        for key, entries in (("images", _images(run_dir)), ("annotations", _people(run_dir))):
            file.write(f',\n"{key}": [\n'.encode())
            _write_entries(file, entries)
            file.write(b"]")
        file.write(b"}\n")


def write_report(
    run_dir: Path, predictor: Predictor, *, flip_test: bool, ignored: int
) -> dict[str, Any]:
    """All that is not a pose: who answered, counts, and each broken photograph with its reason.

    ignored: files that are no photographs by their names. Returns it with the first broken ones.
    """
    card = predictor.card
    lines = list(_counted(run_dir))
    broken = [{"file": line["name"], "reason": line["fault"]} for line in lines if "fault" in line]
    report = {
        "model": {
            "run": card.run,
            "branch": card.branch,
            "variant": card.precision,
            "skeleton": card.skeleton.name,
            "provider": predictor.provider,
        },
        "flip_test": flip_test,
        "photographs": len(lines),
        "answered": len(lines) - len(broken),
        "people": sum(line["people"] for line in lines if "fault" not in line),
        "ignored": ignored,
        "broken": broken,
    }
    write_json(run_dir / REPORT, report)
    return report | {"broken": broken[:_SHOWN], "broken_count": len(broken)}


def _lines(run_dir: Path) -> Iterator[dict[str, Any]]:
    with (run_dir / _DONE).open("rb") as file:
        yield from map(json.loads, file)


def _counted(run_dir: Path) -> Iterator[dict[str, Any]]:
    for line in _lines(run_dir):
        yield line if "fault" in line else {"people": len(line["people"])}


def _images(run_dir: Path) -> Iterator[dict[str, Any]]:
    for line in _lines(run_dir):
        if "fault" not in line:
            size = {"width": line["width"], "height": line["height"]}
            yield {"id": line["id"], "file_name": line["name"], **size}


def _people(run_dir: Path) -> Iterator[dict[str, Any]]:
    number = 0
    for line in _lines(run_dir):
        for person in line.get("people", ()):
            number += 1
            _, _, width, height = person["box"]
            yield {
                "id": number,
                "image_id": line["id"],
                "category_id": 1,
                "bbox": person["box"],
                "area": round(width * height, 2),
                "iscrowd": 0,
                "score": person["score"],
                "num_keypoints": len(person["keypoints"]) // 3,
                "keypoints": person["keypoints"],
            }


def _write_entries(file: IO[bytes], entries: Iterable[dict[str, Any]]) -> None:
    for i, entry in enumerate(entries):
        file.write((",\n" if i else "").encode() + json.dumps(entry, ensure_ascii=False).encode())


def _whole_lines(path: Path) -> bytes:
    if not path.exists():
        return b""
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]
