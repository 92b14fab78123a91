"""What is said of the people that were found: as JSON, as COCO results, as a picture."""

import io
import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from fastapi import Response

from model.pictures import draw_poses
from model.predictor import Pose
from service.predict.models import Served
from service.predict.pipeline import Found
from service.predict.schemas import (
    Answer,
    Answers,
    ImageBlock,
    Keypoint,
    ModelBlock,
    PoseBlock,
    Result,
    Timings,
)

PICTURES: Final = {"image": "PNG", "png": "PNG", "webp": "WEBP"}
"""Pillow's format of each that is a picture."""
_SAVING: Final[dict[str, dict[str, Any]]] = {
    "PNG": {"compress_level": 1},  # 9 takes several times as long for a few percent
    "WEBP": {"quality": 85, "method": 2},
}


def model_block(by: Sequence[Served]) -> ModelBlock:
    """Who answers; of an ensemble, every branch."""
    first = by[0]
    card = first.predictor.card
    return ModelBlock(
        name=first.name,
        version=first.version,
        branch="+".join(served.predictor.card.branch for served in by),
        variant=card.precision,
        skeleton=card.skeleton.name,
        provider=first.predictor.provider,
    )


def as_answer(found: Found, by: Sequence[Served], *, total_s: float) -> Answer:
    """The JSON answer for one photograph."""
    result = _result(found, by)
    return Answer(
        model=model_block(by),
        image=result.image,
        poses=result.poses,
        timings_ms=_timings([found], total_s),
    )


def as_answers(found: Sequence[Found], by: Sequence[Served], *, total_s: float) -> Answers:
    """The JSON answer for several, in their order."""
    return Answers(
        model=model_block(by),
        results=[_result(one, by) for one in found],
        timings_ms=_timings(found, total_s),
    )


def as_coco(found: Sequence[Found]) -> Response:
    """COCO's results format: a list of people; `image_id` counts the request's photographs."""
    people = [
        {
            "image_id": i,
            "category_id": 1,
            "bbox": [round(v, 2) for v in pose.box.as_list()],
            "score": round(pose.score, 4),
            "keypoints": [round(v, 4) for v in pose.keypoints_img.ravel().tolist()],
        }
        for i, one in enumerate(found)
        for pose in one.poses
    ]
    return Response(json.dumps(people), media_type="application/json")


def as_picture(found: Found, by: Sequence[Served], format: str) -> Response:
    """The photograph with its poses drawn. Slow: for a thread. format: one of `PICTURES`."""
    image, card = found.prepared.image, by[0].predictor.card
    assert image is not None, "it was not kept"
    drawn = draw_poses(image, [pose.keypoints_img for pose in found.poses], card.skeleton)
    buffer = io.BytesIO()
    kind = PICTURES[format]
    drawn.save(buffer, kind, **_SAVING[kind])
    model = model_block(by)
    return Response(
        buffer.getvalue(),
        media_type=f"image/{kind.lower()}",
        headers={"X-Okdhp-Model": f"{model.name}:{model.version}:{model.branch}"},
    )


def _result(found: Found, by: Sequence[Served]) -> Result:
    height, width = found.prepared.size
    joints = by[0].predictor.card.skeleton.joints
    return Result(
        image=ImageBlock(width=width, height=height),
        poses=[_pose(pose, joints) for pose in found.poses],
    )


def _pose(pose: Pose, joints: Sequence[str]) -> PoseBlock:
    box = pose.box
    return PoseBlock(
        box=(box.x, box.y, box.width, box.height),
        score=round(pose.score, 4),
        keypoints=[
            Keypoint(name=name, x=round(x, 2), y=round(y, 2), score=round(score, 4), visible=seen)
            for name, (x, y, score), seen in zip(
                joints, pose.keypoints_img.tolist(), _visible(pose), strict=True
            )
        ],
    )


def _visible(pose: Pose) -> list[float | None]:
    """Of each joint, None where it is not known."""
    if pose.visible is None:
        return [None] * len(pose.keypoints_img)
    return [None if np.isnan(chance) else round(chance, 4) for chance in pose.visible.tolist()]


def _timings(found: Sequence[Found], total_s: float) -> Timings:
    """Of several photographs the sum of each part, though many of them go on at once."""

    def ms(*seconds: float) -> float:
        return round(1e3 * sum(seconds), 2)

    return Timings(
        decode=ms(*(one.prepared.decode_s for one in found)),
        preprocess=ms(*(one.prepared.cut_s for one in found)),
        queue=ms(*(one.waited_s for one in found)),
        inference=ms(*(one.inferred_s for one in found)),
        total=ms(total_s),
    )
