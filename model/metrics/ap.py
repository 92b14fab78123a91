"""COCO's average precision and recall over object keypoint similarity, through pycocotools.

Lin et al., ECCV 2014; https://cocodataset.org/#keypoints-eval. The people are given (one pose a
labelled person, cropped by its own box): what is measured is the pose, not a detector.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.data.person import Person
from model.errors import PoseError
from model.skeletons import Skeleton

_NAMES: Final = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
_AREA_OF_BOX: Final = 0.5
"""A person's area as a share of the box, where the set gives none: COCO's people's mean."""


def average_precision(
    points_img: NDArray[np.floating[Any]], people: Sequence[Person], skeleton: Skeleton
) -> dict[str, float | None]:
    """COCO's ten figures, 0 … 1; None where there is nobody to count (no medium people, say).

    points_img: `[N, K, 3]` x, y, score: the pose of each of `people`; one that is not finite is
    no pose. People without a label are left out, and so are joints that nobody has labelled: a
    model's missing joints are to be unlabelled in `people`. A pose's score is the mean of the
    others'. Sigmas are the skeleton's.

    The official evaluation also knows crowds and people without joints, whom a pose may match
    unpunished; here there are none of them.
    Raises PoseError without pycocotools, ValueError when the shapes do not fit.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise PoseError("COCO's AP needs pycocotools: pip install 'okdhp[train]'") from None

    points = np.array(points_img, np.float64)
    if points.shape != (len(people), len(skeleton), 3):
        raise ValueError(
            f"{points.shape} does not fit {len(people)} people, {len(skeleton)} joints"
        )
    labelled = np.array([person.labelled for person in people]).reshape(-1, len(skeleton))
    compared = np.asarray(labelled.any(0))  # [K]

    images: dict[str, int] = {}
    truth: list[dict[str, Any]] = []
    poses: list[dict[str, Any]] = []
    for n, found in enumerate(people):
        if not labelled[n].any():
            continue
        person, points[n] = _on_photograph(found, points[n])
        ids = {
            "id": n + 1,
            "image_id": images.setdefault(str(person.photograph), len(images) + 1),
            "category_id": 1,
            "iscrowd": 0,
        }
        truth.append(ids | _truth(person))
        if np.isfinite(points[n, compared]).all():
            poses.append(ids | _pose(points[n], compared))
    if not truth:
        return dict.fromkeys(_NAMES)

    def indexed(annotations: list[dict[str, Any]]) -> Any:
        coco = COCO()
        coco.dataset = {
            "images": [{"id": image_id} for image_id in images.values()],
            "categories": [{"id": 1, "name": "person"}],
            "annotations": annotations,
        }
        coco.createIndex()
        return coco

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = COCOeval(indexed(truth), indexed(poses), iouType="keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(skeleton.sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # pycocotools writes −1 where there was nobody to count.
    return {
        name: float(value) if value >= 0 else None
        for name, value in zip(_NAMES, evaluation.stats, strict=True)
    }


def _on_photograph(
    person: Person, points: NDArray[np.float64]
) -> tuple[Person, NDArray[np.float64]]:
    """A person and the pose `[K, 3]` in the photograph's own pixels.

    The people of a pack have a picture each, of another size: there nobody would be beside anybody,
    and medium people would count as large.
    """
    cutting = person.cutting
    if cutting is None:
        return person, points
    moved = points.copy()
    moved[:, :2] = cutting.px * points[:, :2] + [cutting.x, cutting.y]
    return person.on_photograph, moved


def _truth(person: Person) -> dict[str, Any]:
    """A person in the terms of COCO's ground truth."""
    box = person.box_img
    keypoints = person.joints_img.astype(np.float64)
    keypoints[:, 2] = 2 * person.labelled
    return {
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": int(person.labelled.sum()),
        "bbox": box.as_list(),
        "area": float(person.origin.get("area", _AREA_OF_BOX * box.width * box.height)),
    }


def _pose(points: NDArray[np.float64], compared: NDArray[np.bool_]) -> dict[str, Any]:
    """A pose `[K, 3]` in the terms of COCO's results.

    The area is that of the pose's extent, as pycocotools' `loadRes` has it.
    """
    width, height = np.ptp(points[compared, :2], axis=0)
    return {
        "keypoints": np.where(compared[:, None], points, 0).ravel().tolist(),
        "score": float(points[compared, 2].mean()),
        "area": float(width * height),
    }
