"""Depthwise-separable blocks against bottlenecks at equal width: multiplications and milliseconds.

    python benchmarks/blocks.py [THREADS]

The two-stack student of the light presets with either block, exported as it is deployed (decoder
inside) and run in turn by ONNX Runtime on the CPU. Weights are fresh: they do not change the time.
"""

import sys
import tempfile
from pathlib import Path

from model.config import Config, load_config, merge
from model.export import export_student
from model.latency import device_name, interleaved_ms
from model.network import MultiBranch
from model.network.cost import Cost, student_cost
from model.predictor import Card, Predictor
from model.skeletons import MPII16

PRESETS = ("light-32-128", "light-64-160", "light-96-192")
BLOCKS = ("bottleneck", "separable")
STUDENT = {"branches": [{"stacks": 2}]}


def main(threads: int) -> None:
    sys.stdout.write(f"{device_name('cpu')}, {threads} threads, batch 1\n")
    with tempfile.TemporaryDirectory() as folder:
        for preset in PRESETS:
            configs = [configured(preset, block) for block in BLOCKS]
            paths = [Path(folder) / f"{preset}-{block}.onnx" for block in BLOCKS]
            costs = [exported(*pair) for pair in zip(configs, paths, strict=True)]
            taken_ms = interleaved_ms([Predictor(path, threads=threads) for path in paths])
            report(preset, costs, taken_ms)


def configured(preset: str, block: str) -> Config:
    sources = [{"format": "synthetic"}]
    data = {"train": sources, "valid": sources}
    spec = {"preset": preset, "data": data, "network": merge(STUDENT, {"block": block})}
    return load_config(merge(spec, {"export": {"branch": "best"}}))


def exported(config: Config, path: Path) -> Cost:
    network = MultiBranch.build(config.network, len(MPII16), seed=0)
    size = config.data.crop_px
    card = Card("branch0", MPII16, size, config.data.padding, "benchmark", (), "none")
    export_student(network.cut(0), config, MPII16, card, path)
    return student_cost(network, 0, size)


def report(preset: str, costs: list[Cost], taken_ms: list[float]) -> None:
    (heavy, light), (slow, fast) = costs, taken_ms
    sys.stdout.write(
        f"{preset}: GMACs {heavy.gmacs:.3f} → {light.gmacs:.3f} ({light.macs / heavy.macs:.2f} ×), "
        f"parameters {heavy.parameters:,} → {light.parameters:,}, "
        f"ms {slow:.2f} → {fast:.2f} ({fast / slow:.2f} ×)\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
