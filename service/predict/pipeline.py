"""One photograph's way: bytes → upright pixels → crops → network → joints on the photograph."""

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.geometry import Box
from model.images import open_image
from model.pictures import draw_poses
from model.predictor import Pose, as_pose
from service.predict.boxes import check_on_image
from service.predict.models import Served
from service.predict.schemas import (
    Answer,
    ImageBlock,
    Keypoint,
    ModelBlock,
    PoseBlock,
    Timings,
)


@dataclass(frozen=True)
class Found:
    """The people of a photograph, found by one student."""

    served: Served
    image: Image.Image
    poses: list[Pose]
    decode_ms: float
    preprocess_ms: float
    inference_ms: float


def find_poses(
    data: bytes, boxes: Sequence[Box] | None, served: Served, *, flip_test: bool, max_pixels: int
) -> Found:
    """The pose in each box, or in the whole image where none are given.

    Raises ImageUnreadable, ImageTooLarge, BoxInvalid.
    """
    began = time.perf_counter()
    image = open_image(data, max_pixels=max_pixels)
    size = (image.height, image.width)
    chosen = [Box.whole(size)] if boxes is None else list(boxes)
    check_on_image(chosen, size)
    decoded = time.perf_counter()
    predictor = served.predictor
    crops = [predictor.crop_around(box) for box in chosen]
    pixels = [crop.cut(image) for crop in crops]
    cut = time.perf_counter()
    poses: list[Pose] = []
    if pixels:  # no box is a valid answer of somebody's detector: there is nobody to look at
        keypoints = predictor.infer(np.stack(pixels), flip_test=flip_test)
        poses = [as_pose(b, c, k) for b, c, k in zip(chosen, crops, keypoints, strict=True)]
    inferred = time.perf_counter()
    return Found(
        served,
        image,
        poses,
        decode_ms=(decoded - began) * 1e3,
        preprocess_ms=(cut - decoded) * 1e3,
        inference_ms=(inferred - cut) * 1e3,
    )


def as_answer(found: Found, *, total_ms: float) -> Answer:
    """The JSON answer's content."""
    card = found.served.predictor.card
    return Answer(
        model=model_block(found.served),
        image=ImageBlock(width=found.image.width, height=found.image.height),
        poses=[_pose_block(pose, card.skeleton.joints) for pose in found.poses],
        timings_ms=Timings(
            decode=round(found.decode_ms, 2),
            preprocess=round(found.preprocess_ms, 2),
            inference=round(found.inference_ms, 2),
            total=round(total_ms, 2),
        ),
    )


def model_block(served: Served) -> ModelBlock:
    """Who answers."""
    card = served.predictor.card
    return ModelBlock(
        name=served.name,
        version=served.version,
        branch=card.branch,
        skeleton=card.skeleton.name,
        provider=served.predictor.provider,
    )


def as_png(found: Found) -> bytes:
    """The photograph with its poses drawn."""
    skeleton = found.served.predictor.card.skeleton
    drawn = draw_poses(found.image, [pose.keypoints_img for pose in found.poses], skeleton)
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG", compress_level=1)  # 9 takes several times as long for a few percent
    return buffer.getvalue()


def _pose_block(pose: Pose, joints: Sequence[str]) -> PoseBlock:
    box = pose.box
    return PoseBlock(
        box=(box.x, box.y, box.width, box.height),
        score=round(pose.score, 4),
        keypoints=[
            Keypoint(name=name, x=round(x, 2), y=round(y, 2), score=round(score, 4))
            for name, (x, y, score) in zip(joints, pose.keypoints_img.tolist(), strict=True)
        ],
    )
