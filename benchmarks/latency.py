"""How long one person takes, bare and from the photograph's bytes: prints medians and their ratio.

    python benchmarks/latency.py [MODEL.onnx] [THREADS]

bare: ONNX Runtime on a ready crop. whole: decode a 1-megapixel JPEG, crop, infer, map back, which
is what a `/predict` without HTTP costs. Both alternate, so that a busy machine hurts both alike.
"""

import sys
import time
from pathlib import Path

import numpy as np
from photograph import photograph

from model.geometry import Box
from model.images import open_image
from model.predictor import BUNDLED, Predictor

ROUNDS = 300


def main(path: Path, threads: int) -> None:
    predictor = Predictor(path, threads=threads)
    data = photograph()
    image = open_image(data)
    crop = predictor.crop_around(Box.whole((image.height, image.width))).cut(image)[None]

    bare_ms, whole_ms = np.empty(ROUNDS), np.empty(ROUNDS)
    for i in range(ROUNDS):
        began = time.perf_counter()
        predictor.infer(crop)
        between = time.perf_counter()
        image = open_image(data)
        predictor.predict(image, [Box.whole((image.height, image.width))])
        bare_ms[i] = 1e3 * (between - began)
        whole_ms[i] = 1e3 * (time.perf_counter() - between)
    bare, whole = np.median(bare_ms), np.median(whole_ms)
    card = predictor.card
    sys.stdout.write(
        f"{path.name} ({card.branch}, {card.size[1]} × {card.size[0]} px, {threads} threads): "
        f"bare {bare:.1f} ms, whole {whole:.1f} ms, {whole / bare:.1f} × bare\n"
    )


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else BUNDLED,
        int(sys.argv[2]) if len(sys.argv) > 2 else 2,
    )
