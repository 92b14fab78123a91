"""The benchmark of a training step runs, and compares what is the same."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training.py"
TINY = ("--px", 64, "--width", 8, "--depth", 2, "--batch", 2, "--people", 4, "--rounds", 1)


def test_it_prints_every_ratio_and_share():
    """At a size at which they mean nothing; both arms' losses are held against each other first."""
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, TINY)], capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
    for line in (
        r"step: reference / ours with amp auto: \d",
        r"step: reference / ours with amp fp32: \d",
        r"end to end: .* reference / ours \d",
        r"waiting for data, people in memory: \d",
        r"waiting for data, people on disk: \d",
        r"augmentation and targets: \d.* % of the step",
        r"losses: \d.* % of the step",
        r"published FAU: .* three runs / one joint run \d",
    ):
        assert re.search(line, done.stdout), line
