"""How good keypoints are: the benchmarks' metrics with their protocol beside them.

No torch: a deployed student is evaluated through the code that serves it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.data.packing import exact_crops
from model.data.person import Person
from model.data.readers import LabelledSet
from model.geometry import Crops
from model.metrics.ap import average_precision
from model.metrics.pck import Hits, head_px, hits, pck, torso_px
from model.predictor import Predictor
from model.skeletons import Skeleton, joint_map

BATCH = 64
PCK_METRICS: Final[Mapping[str, tuple[str, float]]] = {
    "pck@0.2": ("torso", 0.2),
    "pckh@0.5": ("head", 0.5),
    "pckh@0.1": ("head", 0.1),
}
"""Each metric's normaliser, and how many of it a found joint may be away."""


def measure(
    keypoints_img: NDArray[np.float64],
    skeleton: Skeleton,
    labelled: LabelledSet,
    *,
    intervals: bool = True,
) -> dict[str, Any]:
    """All metrics that the set allows, of one answer a person.

    keypoints_img: `[P, K, 3]` in the model's `skeleton`; they are compared in the set's own one,
    over the joints that both have. intervals: whether PCK's are drawn too (`pck`).
    """
    found, truth = compared(keypoints_img, skeleton, labelled)
    result: dict[str, Any] = {"people": len(labelled.people)}
    for metric, (_, threshold) in PCK_METRICS.items():
        size = _normaliser_px(metric, truth, labelled)
        if np.isfinite(size).any():
            result[metric] = pck(
                found, truth, size, threshold, labelled.skeleton, intervals=intervals
            ).to_json()
    if labelled.has_areas:
        result["AP"] = average_precision(
            found,
            [_of(p, t) for p, t in zip(labelled.people, truth, strict=True)],
            labelled.skeleton,
        )
    return result


def hits_of(
    keypoints_img: NDArray[np.float64], skeleton: Skeleton, labelled: LabelledSet, metric: str
) -> Hits:
    """What one of `PCK_METRICS` counts, person by person: `[P, K]` in the set's own skeleton.

    keypoints_img: as `measure` takes it. Nothing is counted where the set lacks the normaliser.
    """
    found, truth = compared(keypoints_img, skeleton, labelled)
    size = _normaliser_px(metric, truth, labelled)
    return hits(found, truth, size, PCK_METRICS[metric][1], labelled.skeleton)


def compared(
    keypoints_img: NDArray[np.float64], skeleton: Skeleton, labelled: LabelledSet
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Answers and labels `[P, K, 3]` in the set's skeleton; only what both have is labelled."""
    taken = joint_map(skeleton, labelled.skeleton)
    have = taken >= 0
    found = np.zeros((len(labelled.people), len(labelled.skeleton), 3))
    found[:, have] = keypoints_img[:, taken[have]]
    truth = labelled.joints_img.copy()
    truth[:, ~have, 2] = 0
    return found, truth


def _normaliser_px(
    metric: str, truth: NDArray[np.float64], labelled: LabelledSet
) -> NDArray[np.float64]:
    """What a metric's distances are measured in, `[P]`; NaN where a person lacks it."""
    if PCK_METRICS[metric][0] == "torso":
        return torso_px(truth, labelled.skeleton)
    return head_px(labelled.head_px, labelled.joints_img, labelled.skeleton)


def summary(result: dict[str, Any]) -> dict[str, float]:
    """A metric's one number each, as charts and choices take it."""
    means = {name: result[name]["mean"] for name in result if name.startswith("pck")}
    if "AP" in result:
        means["AP"] = result["AP"]["AP"]
    return {name: round(value, 3) for name, value in means.items() if value is not None}


def protocol(skeleton: Skeleton, labelled: LabelledSet, **how: Any) -> dict[str, Any]:
    """What was compared with what, so that a number can be read years later."""
    theirs = labelled.skeleton
    taken = joint_map(skeleton, theirs)
    return {
        "data": labelled.name,
        "packed": [str(packed) for packed in labelled.packed],
        "boxes": "given: each labelled person's own",
        "joints": [j for j, at in zip(theirs.joints, taken, strict=True) if at >= 0],
        "pck_normaliser": " to ".join(theirs.torso) if theirs.torso else None,
        "pckh_normaliser": "0.6 × the head box's diagonal where the set has one, else "
        + (" to ".join(theirs.head) if theirs.head else "none"),
        "mean_omits": list(theirs.mean_omits),
        "oks_sigmas": dict(zip(theirs.joints, theirs.sigmas, strict=True)),
        **how,
    }


def evaluate_student(
    predictor: Predictor, labelled: LabelledSet, *, flip_test: bool = False
) -> dict[str, Any]:
    """A deployed student on a set: `measure`'s metrics, and the `protocol`. JSON-able.

    Raises DatasetError naming the photograph that cannot be read.
    """
    card = predictor.card
    crops, ways = exact_crops(labelled.people, card.size, card.padding)
    found = answers(predictor, crops, flip_test=flip_test)
    return {
        **measure(on_images(found, ways), card.skeleton, labelled),
        "protocol": protocol(
            card.skeleton,
            labelled,
            crop_px=list(card.size),
            padding=card.padding,
            flip_test=flip_test,
            provider=predictor.provider,
        ),
    }


def answers(
    predictor: Predictor, crops: NDArray[np.uint8], *, flip_test: bool
) -> NDArray[np.float32]:
    """Keypoints `[P, K, 3]` of crops uint8 `[P, H, W, 3]`, in crop pixels."""
    return np.concatenate(
        [
            predictor.infer(crops[i : i + BATCH], flip_test=flip_test)
            for i in range(0, len(crops), BATCH)
        ]
    )


def on_images(keypoints_crop: NDArray[np.float32], ways: Crops) -> NDArray[np.float64]:
    """Keypoints `[P, K, 3]` of crops on their images."""
    points = keypoints_crop.astype(np.float64)
    points[..., :2] = ways.to_image(points[..., :2])
    return points


def _of(person: Person, joints_img: NDArray[np.float64]) -> Person:
    return replace(person, joints_img=joints_img.astype(np.float32))
