"""Where a set's labels lie beside the photographs, in pixels: what its origin must be.

    python benchmarks/label_offset.py lsp:../shared/data/lsp mpii:../shared/data/mpii

Of every nearly upright upper or lower arm or leg the strength of the edges is read along lines
across it. Left and right are alike over many people, so the mean profile is symmetric around the
limbs' true middle. Printed is where that lies in x, seen from the labels as the reader gives them,
with a bootstrap's standard error over limbs: 0 is right. (There is no such test in y, since light
comes from above.)
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from model.data.person import Person
from model.data.readers import READERS

STEP_PX = 0.25
ACROSS = np.arange(-14, 14 + STEP_PX, STEP_PX)  # px from the label's line
LIMBS = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
]
LENGTH_PX = (20, 120)
SLOPE = 0.35  # how far from upright a limb may be
BOOTSTRAPS = 60


def profiles(person: Person, limbs: list[tuple[int, int]]) -> list[NDArray[np.float64]]:
    """Edge strength along `ACROSS` of each upright limb, its mean near 1."""
    with Image.open(person.image) as image:
        grey = gaussian_filter(np.asarray(image.convert("L"), np.float64), 0.7)
    slope = np.gradient(grey, axis=1)
    found = []
    for a, b in limbs:
        start, end = person.joints_img[a], person.joints_img[b]
        along = end[:2] - start[:2]
        length = np.hypot(*along)
        upright = abs(along[0]) < SLOPE * abs(along[1])
        if not (start[2] and end[2] and upright and LENGTH_PX[0] < length < LENGTH_PX[1]):
            continue
        at = start[:2] + np.linspace(0.25, 0.75, 9)[:, None] * along
        yx = [at[:, 1, None] + 0 * ACROSS, at[:, 0, None] + ACROSS]
        edge = np.abs(map_coordinates(slope, yx, order=1, mode="nearest").mean(0))
        found.append(edge / (edge.mean() + 0.5))
    return found


def middle_px(profile: NDArray[np.float64]) -> float:
    """The point around which a profile along `ACROSS` is most symmetric."""
    smooth = gaussian_filter(profile, 1)
    out = np.arange(0, 9, STEP_PX)
    centres = np.arange(-3, 3.01, 0.05)
    unlike = [
        np.sum((np.interp(c + out, ACROSS, smooth) - np.interp(c - out, ACROSS, smooth)) ** 2)
        for c in centres
    ]
    return float(centres[int(np.argmin(unlike))])


def main(sources: list[str]) -> None:
    rng = np.random.default_rng(0)
    for source in sources:
        form, _, path = source.partition(":")
        labelled = READERS[form](Path(path), None)
        limbs = [(labelled.skeleton.index(a), labelled.skeleton.index(b)) for a, b in LIMBS]
        rows = np.array([row for person in labelled.people for row in profiles(person, limbs)])
        again = rng.integers(0, len(rows), (BOOTSTRAPS, len(rows)))
        spread = np.std([middle_px(rows[chosen].sum(0)) for chosen in again])
        sys.stdout.write(
            f"{labelled.name:18} {middle_px(rows.sum(0)):+.2f} ± {spread:.2f} px"
            f" ({len(rows)} limbs)\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
