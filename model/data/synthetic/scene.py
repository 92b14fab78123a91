"""What is around a figure: a cluttered backdrop, things in front, and what the camera adds."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from model.data.synthetic.body import Rng
from model.data.synthetic.canvas import Canvas, Colours
from model.data.synthetic.surfaces import colour, fabric, mottle, smooth_noise

_IN_FRONT = -1e6  # a depth before every figure's


def backdrop(rng: Rng, size: tuple[int, int]) -> Colours:
    """A random background of size (h, w), float32 `[h, w, 3]`, 0 … 255."""
    h, w = size
    far, near = colour(rng), colour(rng)
    slope = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    if rng.random() < 0.5:  # a horizon
        slope = (slope > rng.uniform(0.25, 0.8)).astype(np.float32)
    field = (far + slope[..., None] * (near - far)) * np.ones((1, w, 1), np.float32)
    shade = smooth_noise(rng, size, int(rng.integers(2, 9)))
    field *= (1 + rng.uniform(0.05, 0.35) * shade)[..., None]
    picture = Image.fromarray(field.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(4, 22))):
        _clutter(rng, draw, max(h, w))
    blur = max(h, w) / 192 * float(rng.choice((0.5, rng.uniform(0.5, 2.5))))
    blurred = picture.filter(ImageFilter.GaussianBlur(blur))
    return np.asarray(blurred, np.float32)


def _clutter(rng: Rng, draw: ImageDraw.ImageDraw, side: int) -> None:
    """One thing of the background; some are as long and thin as limbs, some in skin's colours."""
    fill = tuple(int(v) for v in colour(rng))
    if rng.random() < 0.2:
        fill = tuple(int(v * rng.uniform(0.8, 1)) for v in (225, 175, 140))
    x, y = rng.uniform(-0.1, 1.1, 2) * side
    a, b = np.abs(rng.normal(0, 0.16, 2)) * side + 2
    match int(rng.integers(5)):
        case 0:
            draw.ellipse((x - a, y - b, x + a, y + b), fill=fill)
        case 1:
            draw.rectangle((x - a, y - b, x + a, y + b), fill=fill)
        case 2:
            corners = rng.uniform(-1, 1, (int(rng.integers(3, 7)), 2)) * (a + b) + (x, y)
            draw.polygon([(float(u), float(v)) for u, v in corners], fill=fill)
        case 3:  # a pole, or an arm that is none
            reach = rng.uniform(-0.5, 0.5, 2) * side
            width = int(rng.uniform(0.01, 0.06) * side) + 1
            draw.line((x, y, x + reach[0], y + reach[1]), fill=fill, width=width)
        case _:  # a fence, bricks, blinds
            step = rng.uniform(0.03, 0.09) * side
            upright = rng.random() < 0.5
            for i in range(int(rng.integers(3, 9))):
                u, v = (x + i * step, y) if upright else (x, y + i * step)
                c, d = (step * 0.45, a + b) if upright else (a + b, step * 0.45)
                draw.rectangle((u, v, u + c, v + d), fill=fill)


def obstruct(rng: Rng, canvas: Canvas, box: tuple[float, float, float, float]) -> None:
    """Paints one or two things over a figure that spans `box` (left, top, right, bottom)."""
    left, top, right, bottom = box
    side = max(right - left, bottom - top)
    for _ in range(int(rng.integers(1, 3))):
        middle = np.array([rng.uniform(left, right), rng.uniform(top, bottom), _IN_FRONT])
        wrap = fabric(rng, side) if rng.random() < 0.5 else mottle(rng, colour(rng), side)
        if rng.random() < 0.5:  # a pole or a board, often across the whole figure
            angle = rng.choice((0, 90)) + rng.normal(0, 15)
            reach = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle)), 0])
            reach *= side * rng.uniform(0.15, 0.9)
            radius = side * rng.uniform(0.015, 0.06)
            canvas.tube(middle - reach, middle + reach, (radius,) * 3, wrap, caps=(1, 1))
        else:  # a bush, a box, a ball
            reach = np.array([side * rng.uniform(0.02, 0.1), 0, 0])
            radius = side * rng.uniform(0.04, 0.13)
            canvas.tube(middle - reach, middle + reach, (radius,) * 3, wrap)


def expose(rng: Rng, pixels: Colours) -> NDArray[np.uint8]:
    """The camera's blur, colour cast, contrast, vignette and noise; uint8 `[h, w, 3]`."""
    h, w = pixels.shape[:2]
    if rng.random() < 0.3:
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        radius = max(h, w) / 192 * rng.uniform(0.4, 1.0)
        pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    cast = rng.uniform(0.88, 1.12, 3).astype(np.float32)
    contrast, lift = rng.uniform(0.7, 1.15), rng.uniform(-15, 35)
    y, x = np.linspace(-1, 1, h, dtype=np.float32)[:, None], np.linspace(-1, 1, w, dtype=np.float32)
    vignette = 1 - np.float32(rng.uniform(0, 0.25)) * (x * x + y * y) / 2
    exposed = pixels * (cast * contrast) * vignette[..., None] + lift
    exposed += np.float32(rng.uniform(1, 7)) * rng.standard_normal(pixels.shape, np.float32)
    return exposed.clip(0, 255).astype(np.uint8)
