"""The poses on many photographs, in batches, with what is finished kept as it goes on."""

import re
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.cores import cores
from model.errors import PoseError
from model.evaluation import answers
from model.files import replaced
from model.geometry import Box, Crop, check_on_image
from model.pictures import draw_poses
from model.predictor import Pose, Predictor, as_pose
from model.training.events import EventLog
from worker.jobs.listing import Photo
from worker.jobs.photographs import Photographs
from worker.jobs.results import Done

CHUNK: Final = 32
"""Photographs that are decoded and answered together."""
APART: Final = 50
"""So many pictures are artifacts of their own; more are one ZIP."""
LONGEST_PX: Final = 1280
"""Of a drawn picture's sides."""
_TOLD_EVERY_S: Final = 1.0


@dataclass(frozen=True)
class _Cut:
    """A photograph's people. size: (height, width). pixels: uint8 `[n, H, W, 3]`."""

    size: tuple[int, int]
    boxes: Sequence[Box]
    crops: Sequence[Crop]
    pixels: NDArray[np.uint8]


class Answering:
    """One job's way through its photographs."""

    def __init__(
        self,
        predictor: Predictor,
        photographs: Photographs,
        *,
        flip_test: bool,
        pictures: Sequence[Photo],
        run_dir: Path,
    ) -> None:
        """pictures: the photographs that are drawn."""
        self._predictor, self._photographs = predictor, photographs
        self._flip_test = flip_test
        self._numbers = {photo.id: number for number, photo in enumerate(pictures, 1)}
        self._folder = run_dir / "pictures"

    def answer(
        self, photos: Sequence[Photo], done: Done, events: EventLog, stop: Callable[[], bool]
    ) -> bool:
        """Finish all that are not yet; False where it was asked to end before."""
        waiting = [photo for photo in photos if photo.id not in done.ids]
        began, told = time.monotonic(), 0.0
        before = len(photos) - len(waiting)
        with ThreadPoolExecutor(cores()) as pool:
            for at in range(0, len(waiting), CHUNK):
                if stop():
                    return False
                self._answer(waiting[at : at + CHUNK], pool, done)
                now = time.monotonic()
                finished = len(done.ids)
                if now - told >= _TOLD_EVERY_S or finished == len(photos):
                    told = now
                    speed = (finished - before) / max(now - began, 1e-9)
                    events.write(
                        "progress",
                        step=finished,
                        steps=len(photos),
                        images_per_s=round(speed, 1),
                        seconds_left=round((len(photos) - finished) / speed, 1),
                    )
        return True

    def tell_pictures(self, events: EventLog) -> None:
        """As artifacts: each, or all of many in one ZIP."""
        files = sorted(self._folder.glob("*.png")) if self._folder.is_dir() else []
        if len(files) <= APART:
            for file in files:
                events.write("picture", name=f"pictures/{file.name}", path=f"pictures/{file.name}")
            return
        target = self._folder.with_suffix(".zip")
        with replaced(target) as written, zipfile.ZipFile(written, "w") as packed:
            for file in files:
                packed.write(file, file.name)
        events.write("artifact", name=target.name, path=target.name)

    def _answer(self, chunk: Sequence[Photo], pool: ThreadPoolExecutor, done: Done) -> None:
        cut = list(pool.map(self._cut, chunk))
        whole = [one for one in cut if isinstance(one, _Cut)]
        pixels = [one.pixels for one in whole if len(one.pixels)]
        found = iter(
            answers(self._predictor, np.concatenate(pixels), flip_test=self._flip_test)
            if pixels
            else ()
        )
        for photo, one in zip(chunk, cut, strict=True):
            if not isinstance(one, _Cut):
                done.broken(photo, str(one))
                continue
            poses = [
                as_pose(box, crop, next(found))
                for box, crop in zip(one.boxes, one.crops, strict=True)
            ]
            if photo.id in self._numbers:
                self._draw(photo, poses)
            done.answered(photo, one.size, poses)
        done.flush()

    def _cut(self, photo: Photo) -> _Cut | PoseError:
        """One broken photograph among many must not cost the others' answers."""
        try:
            image = self._photographs.read(photo.name)
            size = (image.height, image.width)
            boxes = (Box.whole(size),) if photo.boxes is None else photo.boxes
            check_on_image(boxes, size)
            crops = [self._predictor.crop_around(box) for box in boxes]
            pixels = np.empty((len(crops), *self._predictor.card.size, 3), np.uint8)
            for row, crop in zip(pixels, crops, strict=True):
                row[:] = crop.cut(image)
            return _Cut(size, boxes, crops, pixels)
        except PoseError as error:
            return error

    def _draw(self, photo: Photo, poses: Sequence[Pose]) -> None:
        """Decoded again: a chunk of large photographs would not fit in memory."""
        image = self._photographs.read(photo.name)
        scale = min(1.0, LONGEST_PX / max(image.size))
        small = image.resize([max(1, round(side * scale)) for side in image.size])
        drawn = [pose.keypoints_img.copy() for pose in poses]
        for joints in drawn:
            joints[:, :2] = (joints[:, :2] + 0.5) * scale - 0.5
        picture = draw_poses(small, drawn, self._predictor.card.skeleton)
        stem = re.sub(r"[^\w-]+", "_", PurePosixPath(photo.name).stem)[:80]
        with replaced(self._folder / f"{self._numbers[photo.id]:04}-{stem}.png") as file:
            picture.save(file, "PNG", compress_level=1)
