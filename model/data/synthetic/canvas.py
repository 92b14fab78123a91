"""A canvas with depth: shaded, antialiased tubes and ellipsoids that hide each other rightly.

Everything is painted with NumPy over a shape's own rectangle only; there is no supersampling.
Coordinates are pixels with integer centres; z grows away from the viewer, in pixels too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Reals = NDArray[np.floating[Any]]  # float32 wherever there is one a pixel
Plane = Reals  # [h, w]
Colours = Reals  # [h, w, 3] or broadcastable to it, 0 … 255

Wrap = Callable[[Plane, Plane, Plane], Colours]
"""Colours of a tube's surface from t (0 at its start … 1 at its end) and the lengths along and
across it in pixels."""
Cover = Callable[[Reals], Colours]
"""Colours of an ellipsoid's surface from its points `[h, w, 3]` on the unit sphere, in the
ellipsoid's own axes."""


@dataclass
class Canvas:
    """pixels: float32 `[h, w, 3]`, 0 … 255. depth: float32 `[h, w]`, +inf where nothing stands.

    light: the unit vector towards the light; ambient: the light that comes from everywhere, 0 … 1.
    """

    pixels: Colours
    depth: Plane
    light: Reals
    ambient: float

    def tube(
        self,
        start: ArrayLike,
        end: ArrayLike,
        radii: tuple[float, float, float],
        wrap: Wrap,
        *,
        caps: tuple[float, float] | None = None,
        thickness: float | None = None,
    ) -> None:
        """A rounded tube from `start` to `end` `[3]`.

        radii: half widths in the picture at start, middle and end; a parabola runs through them.
        caps: how far the rounded ends reach out, as radii at the two ends where None.
        thickness: half the extent in depth, as the radius where None.
        """
        a, b = np.asarray(start, np.float32), np.asarray(end, np.float32)
        caps = caps or (radii[0], radii[2])
        reach = max(*radii, *caps) + 1
        grid = self._grid(np.minimum(a, b)[:2] - reach, np.maximum(a, b)[:2] + reach)
        if grid is None:
            return
        where, x, y = grid
        length = max(float(np.hypot(*(b - a)[:2])), 1e-3)
        ux, uy = (b - a)[:2] / length
        along = (x - a[0]) * ux + (y - a[1]) * uy
        across = (y - a[1]) * ux - (x - a[0]) * uy
        t = np.clip(along / length, 0, 1)
        r0, rm, r1 = radii
        bend = 2 * (r0 + r1 - 2 * rm)
        radius = r0 + t * (r1 - r0 - bend + bend * t)
        beyond = along - t * length  # < 0 before the start, > 0 behind the end
        end_part = beyond / np.where(beyond < 0, np.float32(caps[0]), np.float32(caps[1]))
        side = across / radius
        squared = side * side + end_part * end_part
        facing = np.sqrt(np.clip(1 - squared, 0, 1))
        cover = np.clip((1 - np.sqrt(squared)) * np.minimum(radius, caps[0] + caps[1]) + 0.5, 0, 1)
        depth = a[2] + t * (b[2] - a[2]) - (radius if thickness is None else thickness) * facing
        shade = self._shade(end_part * ux - side * uy, end_part * uy + side * ux, facing)
        self._lay(where, cover, depth, wrap(t, along, across) * shade[..., None])

    def ellipsoid(
        self, centre: ArrayLike, axes: ArrayLike, radii: ArrayLike, colour: Cover
    ) -> None:
        """An ellipsoid of half axes `radii` `[3]` along the columns of `axes` `[3, 3]`."""
        c, r = np.asarray(centre, np.float32), np.asarray(radii, np.float32)
        turn = np.asarray(axes, np.float32)
        extent = np.sqrt(((turn * r) ** 2).sum(1))[:2]
        grid = self._grid(c[:2] - extent - 1, c[:2] + extent + 1)
        if grid is None:
            return
        where, x, y = grid
        x, y = x - c[0], y - c[1]
        # Points of the surface solve pᵀ q p = 1; along a line of sight that is quadratic in z.
        q = (turn / r**2) @ turn.T
        linear = q[0, 2] * x + q[1, 2] * y
        rest = q[0, 0] * x * x + 2 * q[0, 1] * x * y + q[1, 1] * y * y
        discriminant = linear * linear - q[2, 2] * (rest - 1)
        z = (-linear - np.sqrt(np.maximum(discriminant, 0))) / q[2, 2]
        # `rest − linear²/q₂₂` is 1 on the outline, as a squared radius is.
        outline = np.sqrt(np.maximum(rest - linear * linear / q[2, 2], 0))
        cover = np.clip((1 - outline) * float(extent.min()) + 0.5, 0, 1)
        point = np.stack(np.broadcast_arrays(x, y, z), -1)
        normal = point @ q
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
        shade = self._shade(normal[..., 0], normal[..., 1], -normal[..., 2])
        own = (point @ turn) / r
        self._lay(where, cover, c[2] + z, colour(own) * shade[..., None])

    def _grid(self, low: Reals, high: Reals) -> tuple[tuple[slice, slice], Plane, Plane] | None:
        """A rectangle's part on the canvas: slices, x `[1, w]`, y `[h, 1]`; None if empty."""
        h, w = self.depth.shape
        x0, y0 = (max(int(v), 0) for v in np.floor(low))
        x1, y1 = min(int(np.ceil(high[0])) + 1, w), min(int(np.ceil(high[1])) + 1, h)
        if x0 >= x1 or y0 >= y1:
            return None
        x = np.arange(x0, x1, dtype=np.float32)[None]
        y = np.arange(y0, y1, dtype=np.float32)[:, None]
        return (slice(y0, y1), slice(x0, x1)), x, y

    def _shade(self, nx: Plane, ny: Plane, towards: Plane) -> Plane:
        """Lambert's law for normals (nx, ny, −towards)."""
        lit = nx * self.light[0] + ny * self.light[1] - towards * self.light[2]
        shade: Plane = self.ambient + (1 - self.ambient) * np.maximum(lit, 0)
        return shade

    def _lay(
        self, where: tuple[slice, slice], cover: Plane, depth: Plane, colours: Colours
    ) -> None:
        behind = self.depth[where]
        cover = cover * (depth < behind)
        self.pixels[where] += cover[..., None] * (colours - self.pixels[where])
        self.depth[where] = np.where(cover > 0.5, depth, behind)
