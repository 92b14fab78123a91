"""Colours, fabrics, skin and smooth noise."""

import colorsys
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.data.synthetic.body import Rng
from model.data.synthetic.canvas import Colours, Plane, Wrap

_TILE: Final = 64
_PRINTS: Final = ("plain", "rings", "stripes", "checks", "dots")
_SHARES: Final = (0.5, 0.15, 0.13, 0.12, 0.1)


def colour(rng: Rng) -> Colours:
    """A random colour, `[3]`: greys, dull and bright ones."""
    low, high = ((0.0, 0.12), (0.15, 0.55), (0.55, 0.95))[rng.integers(3)]
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(low, high), rng.uniform(0.12, 1.0))
    return np.array(rgb, np.float32) * 255


def smooth_noise(rng: Rng, size: tuple[int, int], cells: int) -> Plane:
    """Noise of mean 0 within about ±1, `[h, w]`: `cells` blobs along the longer side, and finer."""
    h, w = size
    total: Plane = np.zeros(size, np.float32)
    strength = 1.0
    for octave in range(3):
        n = cells * 3**octave
        shape = (max(2, round(n * h / max(size))), max(2, round(n * w / max(size))))
        coarse = Image.fromarray(rng.standard_normal(shape, np.float32))
        total += strength * np.asarray(coarse.resize((w, h), Image.Resampling.BICUBIC))
        strength *= 0.5
    return total * np.float32(0.5)


def mottle(rng: Rng, base: Colours, px: float) -> Wrap:
    """One colour with soft unevenness; `px` pixels are one stature."""
    tile = _tile(rng, 7)

    def wrap(t: Plane, along: Plane, across: Plane) -> Colours:
        return base * (1 + 0.07 * _at(tile, along, across, 120 / px))[..., None]

    return wrap


def fabric(rng: Rng, px: float) -> Wrap:
    """Cloth of a random pattern (plain, stripes, checks, dots) with creases."""
    ground, print_ = colour(rng), colour(rng)
    kind = rng.choice(_PRINTS, p=_SHARES)
    period = px * rng.uniform(0.025, 0.075)
    share = rng.uniform(0.25, 0.6)
    tile, creases = _tile(rng, 6), rng.uniform(0.05, 0.2)

    def printed(along: Plane, across: Plane) -> NDArray[np.bool_] | None:
        if kind == "plain":
            return None
        a, b = along / period % 1, across / period % 1
        if kind == "dots":
            return np.asarray(np.hypot(a - 0.5, b - 0.5) < 0.15 + 0.3 * share)
        if kind == "checks":
            return np.asarray((a < share) ^ (b < share))
        return np.broadcast_to((a if kind == "rings" else b) < share, along.shape)

    def wrap(t: Plane, along: Plane, across: Plane) -> Colours:
        crease = (1 + creases * _at(tile, along, across, 150 / px))[..., None]
        where = printed(along, across)
        base = ground if where is None else np.where(where[..., None], print_, ground)
        return base * crease

    return wrap


def _tile(rng: Rng, cells: int) -> Plane:
    return smooth_noise(rng, (_TILE, _TILE), cells)


def _at(tile: Plane, along: Plane, across: Plane, scale: float) -> Plane:
    return tile[(along * scale).astype(np.intp) % _TILE, (across * scale).astype(np.intp) % _TILE]
