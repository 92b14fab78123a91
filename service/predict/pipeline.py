"""A photograph's way through the server: cut in a thread, inferred with others, mapped back.

The event loop only waits. What it waits for is dropped when it stops waiting: because the client
has gone, or because his time is over.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.errors import PoseError
from model.geometry import Box
from model.predictor import Pose, as_pose
from service.metrics.metrics import Spent
from service.predict.batcher import Inferred
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
    look = _Look(data, boxes, wish)
    threads.submit(look.run).add_done_callback(look.ended)
    return await asyncio.wrap_future(look.found)


class _Look:
    """One photograph's way. The loop hears of it once, when its people are found."""

    def __init__(self, data: bytes, boxes: Sequence[Box] | None, wish: Wish) -> None:
        self._data, self._boxes, self._wish = data, boxes, wish
        self._asked = time.perf_counter()
        self.found: Future[Found] = Future()
        """Cancelled when nobody waits for it any more."""

    def run(self) -> None:
        """The part of a thread, which afterwards may infer for others too."""
        waited_s = time.perf_counter() - self._asked
        if self.found.cancelled():
            return
        wish = self._wish
        try:
            prepared = prepare(
                self._data,
                self._boxes,
                wish.by[0].predictor,
                max_pixels=wish.max_pixels,
                keep_image=wish.keep_image,
            )
        except PoseError as error:  # its frames would hold the photograph until they are collected
            self._tell(error.with_traceback(None))
            return
        if not prepared.crops:  # a valid answer of somebody's detector: there is nobody to look at
            self._tell(Found(prepared, [], waited_s, 0.0, time.perf_counter()))
            return
        answers = [
            served.batcher.submit(prepared.pixels, flip_test=wish.flip_test) for served in wish.by
        ]
        came = itertools.count(1)  # atomic: each answer may come in another thread

        def one_more(_: "Future[Inferred]") -> None:
            if next(came) == len(answers):
                self._conclude(prepared, answers, waited_s)
                answers.clear()  # they hold this function, and it them

        for answer in tuple(answers):
            answer.add_done_callback(one_more)
        self.found.add_done_callback(lambda _: [answer.cancel() for answer in tuple(answers)])
        for served in wish.by:
            served.batcher.work()

    def ended(self, run: "Future[None]") -> None:
        """After `run`: who waits hears of its end, however that came."""
        if run.cancelled():  # the server goes down
            self.found.cancel()
        elif (error := run.exception()) is not None and not self.found.done():
            self.found.set_exception(error)

    def _conclude(
        self, prepared: Prepared, answers: Sequence["Future[Inferred]"], waited_s: float
    ) -> None:
        """answers: of each student, all done."""
        ended = time.perf_counter()
        if self.found.cancelled():
            return
        try:
            inferred = [answer.result() for answer in answers]
            poses = _poses(prepared, [one.keypoints for one in inferred])
        except Exception as error:  # the runtime's own kinds share no base class
            self._tell(error)
            return
        waited_s += max(one.waited_s for one in inferred)
        inferred_s = max(one.ran_s for one in inferred)
        self._tell(Found(prepared, poses, waited_s, inferred_s, ended))

    def _tell(self, outcome: Found | Exception) -> None:
        """The loop, if anybody still waits."""
        if not self.found.set_running_or_notify_cancel():
            return
        if isinstance(outcome, Exception):
            self.found.set_exception(outcome)
        else:
            self.found.set_result(outcome)


def _poses(prepared: Prepared, answers: Sequence[NDArray[np.float32]]) -> list[Pose]:
    """Poses in the photograph, out of every student's keypoints `[n, K, 3]` or `[n, K, 4]`."""
    return [
        as_pose(box, crop, joints)
        for box, crop, joints in zip(
            prepared.boxes, prepared.crops, _together(answers), strict=True
        )
    ]


def _together(answers: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The mean of several students' keypoints `[n, K, 3]`, places weighted by their scores; with
    `visible`, `[n, K, 4]`, where all of them tell it."""
    if len(answers) == 1:
        return answers[0]
    told = min(answer.shape[-1] for answer in answers)
    every = np.stack([answer[..., :told] for answer in answers])
    weights = np.maximum(every[..., 2:3], 1e-6)
    places = (every[..., :2] * weights).sum(0) / weights.sum(0)
    return np.concatenate([places, every[..., 2:].mean(0)], -1)
