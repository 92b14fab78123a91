"""Which coding `okdhp data pack` should use: size against likeness, and what a student makes of it.

    python benchmarks/pack_codecs.py ../shared/data [PEOPLE_A_SET]

The people of the four sets' `valid` are cut out as a pack does for 192 pixels. Printed for each
coding: megabytes for all 13,369 people of the sets, by the mean of each set; PSNR in dB and SSIM of
brightness (Wang 2004); the share of the bundled student's joints that the coding moves by more than
3 % of the box's longer side, set by set; and the CPU time to code and to decode a person.
"""

import io
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from model.data.archive import Recipe, window_of
from model.data.packing import exact_crops, picture_of
from model.data.person import Person
from model.data.readers import READERS
from model.evaluation import answers, on_images
from model.geometry import Crop
from model.predictor import BUNDLED, Predictor

SETS = {"lspet": ("lsp", 9500), "lsp": ("lsp", 1497), "mpii": ("mpii", 2032), "coco": ("coco", 340)}
RECIPE = Recipe(crop_px=(192, 192), padding=0.25, quality=0, terms="")
MOVED = 0.03
CODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"JPEG {q}": ("JPEG", {"quality": q, "optimize": True, "progressive": True})
        for q in (30, 40)
    },
    **{f"WebP {q}": ("WEBP", {"quality": q, "method": 6}) for q in (50, 60, 70)},
    **{
        f"AVIF {q}, speed {s}": (
            "AVIF",
            {"quality": q, "speed": s, "subsampling": "4:2:0", "max_threads": 1},
        )
        for q, s in ((50, 8), (53, 7), (50, 6), (52, 6), (55, 6), (52, 5))
    },
}
"""Pillow's format and options."""


def ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    x, y = (image @ np.array([0.299, 0.587, 0.114]) for image in (a, b))

    def blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(image, 1.5, truncate=3.5))

    mx, my = blur(x), blur(y)
    vx, vy, c = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    low, mid = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(
        ((2 * mx * my + low) * (2 * c + mid) / ((mx * mx + my * my + low) * (vx + vy + mid))).mean()
    )


class Sample:
    """Some people of a set, cut out, with the student's answers on the photographs."""

    def __init__(self, people: list[Person], student: Predictor) -> None:
        self.people, self.student = people, student
        self.windows: list[Crop] = []
        self.cut: list[NDArray[np.uint8]] = []
        for person in people:
            image = picture_of(person)
            window = window_of(person, (image.height, image.width), RECIPE)
            self.windows.append(window)
            self.cut.append(window.cut(image))
        self.expected = self._answers(people)

    def moved(self, decoded: list[NDArray[np.uint8]]) -> float:
        """The share of joints that are elsewhere, seen on the photographs."""
        packed = [
            replace(
                person.moved(window.px_per_image_px, *window.matrix[:, 2].tolist()), pixels=pixels
            )
            for person, window, pixels in zip(self.people, self.windows, decoded, strict=True)
        ]
        found = self._answers(packed)
        far = []
        for person, window, a, b in zip(
            self.people, self.windows, self.expected, found, strict=True
        ):
            side = max(person.box_img.width, person.box_img.height)
            far.append(np.linalg.norm(window.to_image(b) - a, axis=-1) > MOVED * side)
        return float(np.mean(far))

    def _answers(self, people: list[Person]) -> NDArray[np.float64]:
        card = self.student.card
        crops, ways = exact_crops(people, card.size, card.padding)
        return on_images(answers(self.student, crops, flip_test=False), ways)[..., :2]


def coded(image: NDArray[np.uint8], form: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()


def main(folder: Path, most: int | None) -> None:
    student = Predictor(BUNDLED, threads=1)
    samples = {
        name: Sample(READERS[form](folder / name, "valid").people[:most], student)
        for name, (form, _) in SETS.items()
    }
    sys.stdout.write(f"{'':18}   MB   PSNR   SSIM   moved: {', '.join(SETS)}   coding, decoding\n")
    for coding, (form, options) in CODINGS.items():
        total = coding_s = decoding_s = 0.0
        errors, likeness, moved = [], [], []
        for name, sample in samples.items():
            began = time.process_time()
            taken = [coded(cut, form, options) for cut in sample.cut]
            between = time.process_time()
            decoded = [np.asarray(Image.open(io.BytesIO(d)).convert("RGB")) for d in taken]
            coding_s += between - began
            decoding_s += time.process_time() - between
            total += SETS[name][1] * float(np.mean([len(data) for data in taken]))
            for a, b in zip(sample.cut, decoded, strict=True):
                errors.append(np.square(a.astype(float) - b).mean())
                likeness.append(ssim(a, b))
            moved.append(100 * sample.moved(decoded))
        psnr = 10 * np.log10(255**2 / np.mean(errors))
        sys.stdout.write(
            f"{coding:18} {total / 1e6:5.1f}  {psnr:5.2f}  {np.mean(likeness):.4f}  "
            f"{', '.join(f'{share:.1f}' for share in moved)} %   "
            f"{1e3 * coding_s / len(errors):.1f}, {1e3 * decoding_s / len(errors):.1f} ms\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
