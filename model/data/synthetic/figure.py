"""Dresses a body and paints it: skin, hair, a face that looks where the head does, clothes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.data.synthetic.body import SKULL_RADII, Body, Rng, Vector
from model.data.synthetic.canvas import Canvas, Colours, Cover, Plane, Reals, Wrap
from model.data.synthetic.surfaces import colour, fabric, mottle

_SKIN: Final = np.array(
    [
        (255, 222, 200),
        (240, 194, 162),
        (214, 160, 122),
        (172, 118, 84),
        (122, 80, 56),
        (84, 56, 42),
    ],
    np.float32,
)
_HAIR: Final = np.array(
    [(30, 24, 22), (62, 42, 30), (104, 70, 42), (176, 134, 78), (150, 68, 36), (168, 166, 164)],
    np.float32,
)
_LIMB_RADII: Final[Mapping[str, tuple[float, float, float]]] = {
    "upper_arm": (0.035, 0.034, 0.026), "forearm": (0.027, 0.028, 0.018),
    "hand": (0.018, 0.024, 0.012), "thigh": (0.057, 0.054, 0.038),
    "shank": (0.037, 0.039, 0.022), "foot": (0.024, 0.028, 0.020),
}  # fmt: skip
"""Radii at a segment's start, middle and end, in statures."""
_CHEST: Final = ((0.088, 0.055), (0.108, 0.068), (0.086, 0.060))
_BELLY: Final = ((0.084, 0.060), (0.092, 0.068), (0.098, 0.072))
"""Half widths sideways and front to back at a trunk part's start, middle and end."""


@dataclass(frozen=True)
class View:
    """Where a body stands in the picture: a weak perspective.

    px: pixels of one stature at the pelvis' distance; centre_px: the pelvis' (x, y);
    distance: of the camera, in statures.
    """

    px: float
    centre_px: tuple[float, float]
    distance: float

    def place(self, point: Vector) -> Vector:
        """A body's point to picture pixels and depth, `[3]`."""
        near = self.px_at(point)
        cx, cy = self.centre_px
        return np.array([cx + near * point[0], cy + near * point[1], self.px * point[2]])

    def px_at(self, point: Vector) -> float:
        """Pixels of one stature at a point's distance."""
        return float(self.px * self.distance / (self.distance + point[2]))


@dataclass(frozen=True)
class Outfit:
    """What a body wears: surfaces, and how far down its limbs cloth reaches (1 a whole segment)."""

    skin: Wrap
    skin_colour: Colours
    hair_colour: Colours
    long_hair: bool
    bald: bool
    top: Wrap
    bottom: Wrap
    shoes: Wrap
    sleeve: float  # 0 bare, 1 to the elbow, 2 to the wrist
    legs: float  # 0.2 briefs … 1 to the knee, 2 to the ankle
    skirt: bool


def draw_outfit(rng: Rng, px: float) -> Outfit:
    """Random clothes for a figure of `px` pixels a stature."""
    paler = int(rng.integers(len(_SKIN) - 1))
    skin_colour = _SKIN[paler] + rng.random() * (_SKIN[paler + 1] - _SKIN[paler])
    hair = rng.choice(_HAIR) * rng.uniform(0.8, 1.2)
    skin = mottle(rng, skin_colour, px)
    top = fabric(rng, px)
    bare_chest = rng.random() < 0.08
    one_piece = rng.random() < 0.12
    skirt = bool(rng.random() < 0.15)
    legs = rng.choice((rng.uniform(0.15, 0.4), rng.uniform(0.5, 1.1), 1.94), p=(0.2, 0.3, 0.5))
    sleeve = rng.choice((0.0, rng.uniform(0.3, 0.8), 1.93), p=(0.25, 0.4, 0.35))
    return Outfit(
        skin=skin,
        skin_colour=skin_colour,
        hair_colour=hair.astype(np.float32),
        long_hair=bool(rng.random() < 0.4),
        bald=bool(rng.random() < 0.08),
        top=skin if bare_chest else top,
        bottom=top if one_piece and not bare_chest else fabric(rng, px),
        shoes=skin if rng.random() < 0.2 else mottle(rng, colour(rng), px),
        sleeve=0.0 if bare_chest else float(sleeve),
        legs=min(float(legs), 0.4) if skirt else float(legs),
        skirt=skirt,
    )


def paint_figure(canvas: Canvas, body: Body, view: View, outfit: Outfit) -> None:
    """Paints a dressed body; the canvas' depth decides what hides what."""
    painter = _Painter(canvas, body, view, outfit)
    painter.trunk()
    for side in ("left_", "right_"):
        painter.leg(side)
        painter.arm(side)
    painter.head()


@dataclass(frozen=True)
class _Painter:
    canvas: Canvas
    body: Body
    view: View
    outfit: Outfit

    def trunk(self) -> None:
        points, look = self.body.points, self.outfit
        down = self.body.turns["pelvis"][:, 1]
        collar = points["thorax"] + 0.03 * self.body.turns["trunk"][:, 1]
        self._trunk_part(collar, points["waist"], _CHEST, "trunk", look.top, (0.035, 0.03))
        seat = points["pelvis"] + 0.012 * down
        self._trunk_part(points["waist"], seat, _BELLY, "pelvis", self._belt(), (0.03, 0.05))
        if look.skirt:
            knees = (points["left_knee"] + points["right_knee"]) / 2
            hem = points["pelvis"] + 0.75 * (knees - points["pelvis"])
            self._limb(points["pelvis"], hem, (0.092, 0.11, 0.14), look.bottom, cap=0.02)
        neck = points["thorax"] + 0.025 * self.body.turns["trunk"][:, 1]
        self._limb(neck, points["skull"], (0.036, 0.031, 0.031), look.skin)
        for side in ("left_", "right_"):
            inner = points["thorax"] + 0.3 * (points[side + "shoulder"] - points["thorax"])
            self._limb(inner, points[side + "shoulder"], (0.036, 0.036, 0.037), look.top)

    def arm(self, side: str) -> None:
        points, look = self.body.points, self.outfit
        shoulder, elbow, wrist = (points[side + name] for name in ("shoulder", "elbow", "wrist"))
        upper = _covered(look.top, look.skin, look.sleeve)
        lower = _covered(look.top, look.skin, look.sleeve - 1)
        self._limb(shoulder, elbow, _LIMB_RADII["upper_arm"], upper)
        self._limb(elbow, wrist, _LIMB_RADII["forearm"], lower)
        self._limb(wrist, points[side + "fingers"], _LIMB_RADII["hand"], look.skin)

    def leg(self, side: str) -> None:
        points, look = self.body.points, self.outfit
        hip, knee, ankle = (points[side + name] for name in ("hip", "knee", "ankle"))
        upper = _covered(look.bottom, look.skin, look.legs)
        lower = _covered(look.bottom, look.skin, look.legs - 1)
        self._limb(hip, knee, _LIMB_RADII["thigh"], upper)
        self._limb(knee, ankle, _LIMB_RADII["shank"], lower)
        self._limb(points[side + "heel"], points[side + "toes"], _LIMB_RADII["foot"], look.shoes)

    def head(self) -> None:
        points, look = self.body.points, self.outfit
        axes = self.body.turns["head"]
        size = self.body.head_length * self.view.px_at(points["skull"])
        solid = np.broadcast_to(look.skin_colour, (1, 1, 3))
        self._ball(points["skull"], np.array(SKULL_RADII) * size, _face(look))
        for name, radii in (
            ("nose", (0.055, 0.085, 0.075)),
            ("left_ear", (0.045, 0.10, 0.07)),
            ("right_ear", (0.045, 0.10, 0.07)),
        ):
            self._ball(points[name], np.array(radii) * size, lambda _: solid * 0.93)
        if look.long_hair and not look.bald:
            back = points["skull"] + axes @ np.array([0, 0.03, 0.025])
            strand = np.broadcast_to(look.hair_colour, (1, 1, 3))
            self._ball(back, np.array([0.40, 0.62, 0.36]) * size, lambda _: strand)

    def _belt(self) -> Wrap:
        """The shirt above, the trousers below."""
        return _covered(self.outfit.top, self.outfit.bottom, 0.35)

    def _limb(
        self,
        start: Vector,
        end: Vector,
        radii: tuple[float, float, float],
        wrap: Wrap,
        *,
        cap: float | None = None,
    ) -> None:
        px = [self.body.stout * self.view.px_at(p) for p in (start, (start + end) / 2, end)]
        r0, rm, r1 = (r * p for r, p in zip(radii, px, strict=True))
        caps = None if cap is None else (cap * px[0], cap * px[2])
        self.canvas.tube(
            self.view.place(start), self.view.place(end), (r0, rm, r1), wrap, caps=caps
        )

    def _trunk_part(
        self,
        start: Vector,
        end: Vector,
        halves: tuple[tuple[float, float], ...],
        turn: str,
        wrap: Wrap,
        caps: tuple[float, float],
    ) -> None:
        """A tube of elliptic section: as wide in the picture as its ellipse is from there."""
        a, b = self.view.place(start), self.view.place(end)
        px = self.body.stout * self.view.px_at((start + end) / 2)
        left, down, back = self.body.turns[turn].T
        along = (b - a)[:2] / max(float(np.hypot(*(b - a)[:2])), 1e-3)
        across = np.array([-along[1], along[0]])

        def extent(direction: NDArray[np.float64], width: float, depth: float, cap: float) -> float:
            reaches = (width * left[:2], depth * back[:2], cap * down[:2])
            return px * float(np.hypot.reduce([direction @ reach for reach in reaches]))

        r0, rm, r1 = (extent(across, *half, 0.02) for half in halves)
        self.canvas.tube(
            a,
            b,
            (r0, rm, r1),
            wrap,
            caps=(extent(along, *halves[0], caps[0]), extent(along, *halves[2], caps[1])),
            thickness=px * float(np.hypot(halves[1][0] * left[2], halves[1][1] * back[2])),
        )

    def _ball(self, centre: Vector, radii_px: NDArray[np.float64], cover: Cover) -> None:
        self.canvas.ellipsoid(self.view.place(centre), self.body.turns["head"], radii_px, cover)


def _covered(cloth: Wrap, skin: Wrap, down_to: float) -> Wrap:
    """Cloth from a segment's start to the fraction `down_to` of it, skin below."""
    if down_to <= 0:
        return skin
    if down_to >= 1:
        return cloth

    def wrap(t: Plane, along: Plane, across: Plane) -> Colours:
        covered = (t < down_to)[..., None]
        return np.where(covered, cloth(t, along, across), skin(t, along, across))

    return wrap


def _face(look: Outfit) -> Cover:
    """Hair behind and above, eyes, brows and a mouth in front."""
    skin, hair = look.skin_colour, look.hair_colour
    white, dark = np.array((245, 245, 240)), np.array((35, 25, 22))
    lips = skin * np.array((0.85, 0.55, 0.55))

    def cover(own: Reals) -> Colours:
        x, y, z = own[..., 0], own[..., 1], own[..., 2]
        front = z < 0
        eye_x = np.abs(x) - 0.40
        colours = np.broadcast_to(skin, own.shape).copy()
        colours[front & ((eye_x / 0.17) ** 2 + ((y + 0.08) / 0.10) ** 2 < 1)] = white
        colours[front & ((eye_x / 0.09) ** 2 + ((y + 0.08) / 0.11) ** 2 < 1)] = dark
        colours[front & (np.abs(eye_x) < 0.2) & (np.abs(y + 0.27) < 0.05)] = hair * 0.8
        colours[front & ((x / 0.28) ** 2 + ((y - 0.52) / 0.07) ** 2 < 1)] = lips
        if not look.bald:
            # The hairline falls from the forehead to the nape.
            colours[y < np.where(z < -0.25, -0.52, -0.30 + 0.85 * z)] = hair
        return colours

    return cover
