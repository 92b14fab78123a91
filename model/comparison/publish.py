"""The files of a gathered comparison."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from model.comparison.config import ALONE
from model.comparison.pictures import bars, curves
from model.comparison.table import markdown
from model.comparison.trained import Trained
from model.files import replaced, write_json
from model.receipt import NOT_MEASURED, Gain, NotMeasured, beside, write_receipt

WINNER: Final = "winner.onnx"


def publish(
    found: Mapping[str, Any], trained: Mapping[str, Trained], folder: Path, *, source: str
) -> list[str]:
    """Writes the table, the pictures and the winner with its receipt; their names.

    found: of `gather`, from the same runs `trained`. source: what the receipt calls the comparison.
    """
    run = trained[found["winner"]["cell"]]
    branch = found["winner"]["branch"]
    with run.students[branch].open("rb") as student, replaced(folder / WINNER) as target:
        shutil.copyfileobj(student, target)
    names = [WINNER]
    if (receipt := run.receipts.get(branch)) is not None:
        path = beside(folder / WINNER)
        write_receipt(path, receipt.model_copy(update={"gain": gain_of(found, source)}))
        names.append(path.name)
    bars(found, folder / "bars.png")
    curves(found, folder / "curves.png")
    with replaced(folder / "comparison.md") as file:
        file.write(markdown(found).encode())
    write_json(folder / "comparison.json", found)
    return ["comparison.json", "comparison.md", "bars.png", "curves.png", *names]


def gain_of(found: Mapping[str, Any], source: str) -> Gain | NotMeasured:
    """What the winner's way of training adds to the same student alone, on the first set.

    Of the way, over seeds, and not of the one file: a seed's luck is no gain. Where nobody trained
    alone the comparison's reference stands in; of these two themselves it is not measured.
    """
    name = found["protocol"]["reported"][0]["name"]
    score = found["lines"][found["winner"]["line"]]["sets"][name]
    rivals = (("to_alone", ALONE), ("to_reference", found["protocol"]["reference"]))
    for key, against in rivals:
        difference = score[key]
        if difference is not None:
            return Gain(
                metric=found["protocol"]["metric"],
                points=difference["value"],
                interval_95=difference["interval"],
                seeds=difference["seeds"],
                against=against,
                data=name,
                source=source,
            )
    return NOT_MEASURED
