"""A comparison whose runs are one real run, taken for all of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.comparison.cells import Cell, cells
from model.comparison.config import CompareConfig, load_comparison
from model.comparison.gather import gather
from model.comparison.trained import Trained, read_run

Made = tuple[CompareConfig, list[Cell], dict[str, Trained]]


@pytest.fixture(scope="session")
def made(finished_run) -> Made:
    """none and okdhp, two seeds; every run, also those alone, has left the same students."""
    tree = finished_run.config.model_dump(mode="json")
    config = load_comparison(
        {
            "config": tree,
            "schemes": ["none", "okdhp"],
            "report": [{"format": "synthetic", "people": 30, "seed": 3, "size_px": 96}],
        }
    )
    found = cells(config)
    run = read_run(finished_run.folder)
    return config, found, dict.fromkeys((cell.name for cell in found), run)


@pytest.fixture(scope="session")
def gathered(made: Made) -> dict[str, Any]:
    """The comparison's document."""
    return gather(*made, {})


@pytest.fixture
def trained() -> Callable[..., Trained]:
    """A run as it is told, without files: scores of each epoch by branch, best epoch, time."""

    def make(*epochs: dict[str, float], best: int = 1, **training: Any) -> Trained:
        history = [
            {"epoch": i, "branches": {name: {"pck@0.2": score} for name, score in scores.items()}}
            for i, scores in enumerate(epochs, 1)
        ]
        students = {branch: Path(f"{branch}.onnx") for branch in epochs[0]}
        return Trained(students, {}, history, best, training)

    return make
