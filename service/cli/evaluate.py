"""`okdhp evaluate`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.options import Home, need_runtime, need_training
from service.cli.sources import FORM, parse_source


def evaluate(
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_RUN", help="An ONNX file, NAME[:VERSION|@VARIANT], or a run's folder."
        ),
    ],
    data: Annotated[
        str, typer.Option(metavar="SOURCE", help=f"Labelled people: {FORM}.", show_default=False)
    ],
    flip: Annotated[
        bool, typer.Option("--flip", help="Average with the mirror image's answer.")
    ] = False,
    json: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Also write metrics and protocol to this file."),
    ] = None,
    home: Home = None,
) -> None:
    """Measure a student, or every branch of a run and their ensemble, on labelled people.

    okdhp evaluate okdhp --data lsp:/photos/lsp:valid

    PCK@0.2 of the torso, PCKh@0.5 and @0.1 of the head, AP where the set has areas, joint by
    joint; means with their 95 % intervals. The JSON file says what exactly was compared.
    """
    need_runtime()
    from model.data.mixture import open_source
    from model.data.packing import blurred

    labelled = open_source(parse_source(data))
    if (Path(what) / "config.yaml").is_file():
        need_training()
        from model.training.outcome.finish import evaluate_run

        result = evaluate_run(Path(what), labelled, flip_test=flip)
        named = {name: values for name, values in result.items() if name != "protocol"}
    else:
        from model.evaluation import evaluate_student
        from service.cli.students import open_student

        student = open_student(what, home)
        result = evaluate_student(student.predictor, labelled, flip_test=flip)
        named = {what: result}
    _print_tables(named, labelled.name)
    asked = result["protocol"]
    if warning := blurred(labelled.people, asked["crop_px"], asked["padding"]):
        typer.echo(f"note: {warning}", err=True)
    if json is not None:
        from model.files import write_json

        write_json(json, result)


def _print_tables(named: Mapping[str, Mapping[str, Any]], data: str) -> None:
    """A table a metric, a line a joint and a column a student."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    first = next(iter(named.values()))
    for metric in (name for name, value in first.items() if isinstance(value, dict)):
        if metric == "protocol":
            continue
        table = Table(title=f"{metric} on {data}", title_justify="left")
        table.add_column("joint" if metric.startswith("pck") else "")
        for name in named:
            table.add_column(name, justify="right")
        columns = [_lines(result[metric]) for result in named.values()]
        for line in columns[0]:
            if line == "mean":
                table.add_section()
            table.add_row(line, *(column[line] for column in columns))
        console.print(table)


def _lines(values: Mapping[str, Any]) -> dict[str, str]:
    """A metric's numbers in the order and in the units in which people read them."""
    if "per_joint" not in values:  # COCO's figures are 0 … 1
        return {name: _shown(value, 3) for name, value in values.items()}
    return {
        **{name: _shown(value, 1) for name, value in values["per_joint"].items()},
        "mean": _with_interval(values["mean"], values["mean_95"]),
        "12 limb joints": _with_interval(values["limbs"], values["limbs_95"]),
    }


def _shown(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return _shown(value, 1)
    return f"{_shown(value, 1)} ({interval[0]:.1f}–{interval[1]:.1f})"
