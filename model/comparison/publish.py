"""The files of a gathered comparison."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from model.comparison.pictures import bars, curves
from model.comparison.table import markdown
from model.comparison.trained import Trained
from model.files import replaced, write_json

WINNER: Final = "winner.onnx"
FILES: Final = ("comparison.json", "comparison.md", "bars.png", "curves.png", WINNER)


def publish(found: Mapping[str, Any], trained: Mapping[str, Trained], folder: Path) -> None:
    """Writes `FILES`. found: of `gather`, from the same runs `trained`."""
    winner = found["winner"]
    onnx = trained[winner["cell"]].students[winner["branch"]]
    with onnx.open("rb") as source, replaced(folder / WINNER) as target:
        shutil.copyfileobj(source, target)
    bars(found, folder / "bars.png")
    curves(found, folder / "curves.png")
    with replaced(folder / "comparison.md") as file:
        file.write(markdown(found).encode())
    write_json(folder / "comparison.json", found)
