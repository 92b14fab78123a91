"""From a photograph's bytes to the crops of its people."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.geometry import Box, Crop, check_on_image
from model.images import Photograph
from model.predictor import Predictor

SHRINKS = (8, 4, 2)
"""By how much a JPEG can be decoded smaller."""


@dataclass(frozen=True)
class Prepared:
    """The people of a photograph as their network wants to see them.

    size: (height, width) of the upright photograph. pixels: uint8 `[n, H, W, 3]`. image: the
    upright photograph where it was asked for, else None.
    """

    size: tuple[int, int]
    boxes: Sequence[Box]
    crops: Sequence[Crop]
    pixels: NDArray[np.uint8]
    image: Image.Image | None
    decode_s: float
    cut_s: float


def prepare(
    data: bytes,
    boxes: Sequence[Box] | None,
    predictor: Predictor,
    *,
    max_pixels: int,
    keep_image: bool,
) -> Prepared:
    """Crops of the boxes, or of the whole photograph as one person where none are given.

    A JPEG is decoded no larger than its crops need, unless the photograph itself is asked for.

    Raises ImageUnreadable, ImageTooLarge, BoxInvalid.
    """
    began = time.perf_counter()
    photograph = Photograph(data, max_pixels=max_pixels)
    size = photograph.size
    chosen = [Box.whole(size)] if boxes is None else list(boxes)
    check_on_image(chosen, size)
    crops = [predictor.crop_around(box) for box in chosen]
    finest = min((crop.block for crop in crops), default=SHRINKS[0])
    shrink = 1 if keep_image else next((s for s in SHRINKS if s <= finest), 1)
    image, shrunk, corner = photograph.decode(shrink)
    decoded = time.perf_counter()
    pixels = np.empty((len(crops), *predictor.card.size, 3), np.uint8)
    for row, crop in zip(pixels, crops, strict=True):
        row[:] = crop.of_shrunk(shrunk, corner).cut(image)
    return Prepared(
        size,
        chosen,
        crops,
        pixels,
        image if keep_image else None,
        decode_s=decoded - began,
        cut_s=time.perf_counter() - decoded,
    )
