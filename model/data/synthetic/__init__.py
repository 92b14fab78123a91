"""The built-in set: people drawn by our own code, for machines without photographs.

Articulated figures of random build, pose, view, clothes and light before cluttered backgrounds,
some behind things, some cut by the picture's edge; their joints are exact. Left and right are told
apart as in photographs: by the face, the feet and the anatomy. Person i of a seed is always the
same one.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.data.person import Person
from model.data.synthetic.body import SKULL_RADII, Body, Rng, Vector, draw_body
from model.data.synthetic.canvas import Canvas
from model.data.synthetic.figure import View, draw_outfit, paint_figure
from model.data.synthetic.scene import backdrop, expose, obstruct
from model.geometry import Box
from model.skeletons import MPII16, Skeleton

_SAME: Final = {"neck": "upper_neck"}  # one place of the body under two sets' names
_DISTANCE: Final = (3.0, 9.0)  # the camera's, in statures
_MARGIN: Final = 0.06  # of flesh around the outermost joints, in statures
_BURIED: Final = {
    "hip": 0.085, "pelvis": 0.11, "thorax": 0.09, "upper_neck": 0.07, "shoulder": 0.06,
    "knee": 0.06, "elbow": 0.05, "ankle": 0.05, "wrist": 0.04, "head_top": 0.075,
    "nose": 0.012, "eye": 0.02, "ear": 0.02,
}  # fmt: skip
"""How far behind the nearest surface, in statures, a joint may lie and still count as seen."""


def draw_people(
    count: int, *, seed: int, size_px: int = 192, skeleton: Skeleton = MPII16, first: int = 0
) -> list[Person]:
    """Draws `count` square pictures, `size_px` a side, of one person each.

    skeleton: any whose joints a figure has, as mpii16, coco17 and lsp14; the pictures are the
    same for all. first: the first person's number. `visible` is 0 where the body itself or
    something in front hides a joint; a joint outside the picture is not labelled. `head_px` is
    MPII's, 0.6 of the head box's diagonal.

    Raises ValueError when the skeleton has a joint that a figure does not have.
    """
    unknown = [name for name in skeleton.joints if _stem(name) not in _BURIED]
    if unknown:
        raise ValueError(f"a synthetic figure has no {', '.join(unknown)}")
    return [_draw_person(seed, i, size_px, skeleton) for i in range(first, first + count)]


def _draw_person(seed: int, i: int, size_px: int, skeleton: Skeleton) -> Person:
    rng = np.random.default_rng((seed, i))
    body = draw_body(rng)
    view = _draw_view(rng, body, size_px)
    canvas = Canvas(
        backdrop(rng, (size_px, size_px)),
        np.full((size_px, size_px), np.inf, np.float32),
        light=_draw_light(rng),
        ambient=float(rng.uniform(0.35, 0.7)),
    )
    paint_figure(canvas, body, view, draw_outfit(rng, view.px))
    rows, columns = (np.flatnonzero(np.isfinite(canvas.depth).any(axis)) for axis in (1, 0))
    left, right, top, bottom = (float(v) for v in (*columns[[0, -1]], *rows[[0, -1]]))
    if rng.random() < 0.35:
        obstruct(rng, canvas, (left, top, right, bottom))
    joints, visible = _label(canvas, body, view, skeleton)
    return Person(
        image=Path(f"synthetic-{seed}-{i}"),
        joints_img=joints,
        box_img=Box(left, top, right - left + 1, bottom - top + 1),
        head_px=_head_px(body, view),
        visible=visible,
        pixels=expose(rng, canvas.pixels),
    )


def _draw_view(rng: Rng, body: Body, size_px: int) -> View:
    """Places the body so that it fills much of the picture; one in ten reaches out of it."""
    ideal = View(1.0, (0.0, 0.0), float(rng.uniform(*_DISTANCE)))
    places = np.array([ideal.place(point)[:2] for point in body.points.values()])
    low, high = places.min(0) - _MARGIN, places.max(0) + _MARGIN
    fill = rng.uniform(0.95, 1.25) if rng.random() < 0.1 else rng.uniform(0.6, 0.95)
    px = fill * size_px / float((high - low).max())
    free = np.abs(size_px - px * (high - low))
    middle = (size_px - 1) / 2 + rng.uniform(-0.5, 0.5, 2) * free
    centre = middle - px * (low + high) / 2
    return View(px, (float(centre[0]), float(centre[1])), ideal.distance)


def _draw_light(rng: Rng) -> NDArray[np.float32]:
    """A direction towards the light: from above, the viewer's side, either side."""
    towards = np.array([rng.uniform(-1, 1), rng.uniform(-1.2, 0.2), -rng.uniform(0.5, 1.2)])
    light: NDArray[np.float32] = (towards / np.linalg.norm(towards)).astype(np.float32)
    return light


def _label(
    canvas: Canvas, body: Body, view: View, skeleton: Skeleton
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Joints `[K, 3]` in picture pixels with their label flag, and `[K]` whether each is seen."""
    h, w = canvas.depth.shape
    joints = np.zeros((len(skeleton), 3), np.float32)
    visible = np.zeros(len(skeleton), np.int8)
    for k, name in enumerate(skeleton.joints):
        x, y, z = view.place(body.points[_SAME.get(name, name)])
        if -0.5 <= x < w - 0.5 and -0.5 <= y < h - 0.5:
            joints[k] = x, y, 1
            surface = canvas.depth[round(y), round(x)]
            visible[k] = z - surface <= _BURIED[_stem(name)] * body.stout * view.px
    return joints, visible


def _stem(joint: str) -> str:
    """A joint's name without its side, as the body knows it."""
    name = joint.removeprefix("left_").removeprefix("right_")
    return _SAME.get(name, name)


def _head_px(body: Body, view: View) -> float:
    """0.6 of the diagonal of the box around the projected skull."""
    radii: Vector = np.array(SKULL_RADII) * body.head_length * view.px_at(body.points["skull"])
    half = np.sqrt(((body.turns["head"] * radii) ** 2).sum(1))[:2]
    return float(0.6 * 2 * np.hypot(*half))
