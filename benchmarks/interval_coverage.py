"""How often the comparison's intervals hold the truth: prints a line for each number of seeds.

    python benchmarks/interval_coverage.py [ROUNDS]

Two made-up systems whose true difference is 3 points are measured on the same 200 people of 14
joints. Each seed moves a system as a whole, by so many points (standard deviation).
"""

import sys

import numpy as np

from model.metrics.bootstrap import PairedBootstrap

PEOPLE, JOINTS, TRUTH = 200, 14, 3.0


def covered(seeds: int, seed_points: float, rounds: int) -> tuple[float, float]:
    """The share of intervals that hold the truth, and the median of their half widths in points."""
    rng = np.random.default_rng(seeds)
    bootstrap = PairedBootstrap(np.full(PEOPLE, JOINTS))
    held, reach = [], []
    for _ in range(rounds):
        chance = rng.uniform(0.2, 0.8, PEOPLE)  # no effect is cut off at 0 or 1
        effects = rng.normal([[0.0], [TRUTH / 100]], seed_points / 100, (2, seeds))
        a, b = (rng.binomial(JOINTS, np.clip(chance + e[:, None], 0, 1)) for e in effects)
        found = bootstrap.difference(b, a)
        held.append(found.low <= TRUTH <= found.high)
        reach.append(found.high - found.value)
    return float(np.mean(held)), float(np.median(reach))


def main(rounds: int) -> None:
    sys.stdout.write("seeds  seed effect, points  holds the truth  ± points, median\n")
    for seeds in (2, 3, 5):
        for seed_points in (0.0, 0.5, 1.0, 2.0):
            share, reach = covered(seeds, seed_points, rounds)
            sys.stdout.write(f"{seeds:5}  {seed_points:19.1f}  {share:14.0%}  {reach:17.1f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
