"""A photograph's way through the server: cut in a thread, inferred with others, mapped back.

The event loop only waits. What it waits for is dropped when it stops waiting: because the client
has gone, or because his time is over.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.geometry import Box
from model.predictor import Pose, as_pose
from service.metrics.metrics import Spent
from service.predict.models import Served
from service.predict.prepare import Prepared, prepare


@dataclass(frozen=True)
class Found:
    """The people of a photograph, and where the time went, in seconds."""

    prepared: Prepared
    poses: Sequence[Pose]
    waited_s: float
    inferred_s: float
    ended: float
    """When it was found, by `time.perf_counter`."""

    @property
    def spent(self) -> Spent:
        """For metrics and traces."""
        cut = self.prepared
        if not cut.crops:
            return Spent(cut.decode_s, None, None, None)
        return Spent(cut.decode_s, cut.cut_s, self.waited_s, self.inferred_s)


@dataclass(frozen=True)
class Wish:
    """How photographs are to be looked at. by: one student, or several of a run whose answers are
    averaged; all see the same crops. keep_image: for a picture that is to be drawn on.
    """

    by: Sequence[Served]
    flip_test: bool
    keep_image: bool
    max_pixels: int


async def find_poses(
    photographs: Sequence[bytes],
    boxes: Sequence[Sequence[Box] | None],
    wish: Wish,
    threads: Executor,
) -> list[Found]:
    """The people of each photograph, in the boxes given for it, or the whole as one person.

    threads: where photographs are decoded and cut.
    Raises ImageUnreadable, ImageTooLarge, BoxInvalid.
    """
    each = [
        asyncio.ensure_future(_find(data, around, wish, threads))
        for data, around in zip(photographs, boxes, strict=True)
    ]
    try:
        return list(await asyncio.gather(*each))
    finally:
        for task in each:  # one that failed must not leave the others at work
            task.cancel()


async def _find(data: bytes, boxes: Sequence[Box] | None, wish: Wish, threads: Executor) -> Found:
    prepared = await asyncio.get_running_loop().run_in_executor(
        threads, _prepare, data, boxes, wish
    )
    if not prepared.crops:  # a valid answer of somebody's detector: there is nobody to look at
        return Found(prepared, [], 0.0, 0.0, time.perf_counter())
    answers = await asyncio.gather(
        *(
            asyncio.wrap_future(served.batcher.submit(prepared.pixels, flip_test=wish.flip_test))
            for served in wish.by
        )
    )
    ended = time.perf_counter()
    keypoints = _together([answer.keypoints for answer in answers])
    return Found(
        prepared,
        [
            as_pose(box, crop, joints)
            for box, crop, joints in zip(prepared.boxes, prepared.crops, keypoints, strict=True)
        ],
        waited_s=max(answer.waited_s for answer in answers),
        inferred_s=max(answer.ran_s for answer in answers),
        ended=ended,
    )


def _prepare(data: bytes, boxes: Sequence[Box] | None, wish: Wish) -> Prepared:
    return prepare(
        data,
        boxes,
        wish.by[0].predictor,
        max_pixels=wish.max_pixels,
        keep_image=wish.keep_image,
    )


def _together(answers: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The mean of several students' keypoints `[n, K, 3]`, places weighted by their scores."""
    if len(answers) == 1:
        return answers[0]
    every = np.stack(answers)
    weights = np.maximum(every[..., 2:], 1e-6)
    places = (every[..., :2] * weights).sum(0) / weights.sum(0)
    return np.concatenate([places, every[..., 2:].mean(0)], -1)
