"""`okdhp export`."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.precisions import FULL, Precision
from service.cli.options import need_training
from service.cli.sources import FORM, parse_source

if TYPE_CHECKING:
    from model.config import Config
    from model.receipt import Receipt


def export(
    what: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_FILE", exists=True, help="A run's folder, or a student's ONNX file."
        ),
    ],
    branch: Annotated[
        str | None, typer.Option(help="Which branch of the run.", show_default="the best one")
    ] = None,
    variant: Annotated[
        Precision, typer.Option(help="What the file computes with; the measured loss is told.")
    ] = "fp32",
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help=f"On whom fewer bits are held to fp32: {FORM}.",
            show_default="what the run was validated on",
        ),
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Whose crops int8's ranges are taken from, 128 of them.",
            show_default="what the run learnt from",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, help="The file to write.", show_default="BRANCH.onnx, BRANCH-int8.onnx"
        ),
    ] = None,
) -> None:
    """Cut one branch out of a run as an ONNX file that needs nothing beside it.

    okdhp export runs/lsp --variant int8

    Input `image` uint8 [N, H, W, 3], output `keypoints` float32 [N, K, 3]: x, y in crop pixels
    and score; and `visible` [N, K], where the validation people tell who is seen. Beside the file
    lies its receipt, which tells what is known of it; that of the run's own export in RUN/students
    tells its parity with PyTorch too, that of a variant what it loses and how fast it is against
    fp32.
    """
    need_training()
    from model.errors import ConfigError, Fault
    from model.judges import chosen_people
    from model.predictor import Predictor
    from model.receipt import beside, read_receipt

    config = None if what.is_file() else _config(what)
    if config is None and (branch is not None or variant == FULL):
        raise ConfigError([Fault("--variant", "a file is exported already", "fp16 or int8")])
    name = Predictor(what).card.branch if config is None else _branch(what, config, branch)
    measure, ranges = chosen_people(
        variant,
        None if data is None else parse_source(data),
        None if calibrate is None else parse_source(calibrate, "--calibrate"),
        None if config is None else config.data,
    )
    target = out or Path(f"{name}.onnx" if variant == FULL else f"{name}-{variant}.onnx")
    with tempfile.TemporaryDirectory() as folder:
        source = what
        if config is not None:
            from model.training.outcome.finish import export_branch

            source = target if variant == FULL else Path(folder) / "student.onnx"
            export_branch(what, name, source)
        if variant != FULL:
            from model.variants import exam_of, make_variant

            make_variant(
                source,
                variant,
                target,
                ranges=exam_of(ranges, source),
                exams=[exam for exam in [exam_of(measure, source)] if exam is not None],
            )
    card = Predictor(target).card
    H, W = card.size
    typer.echo(
        f"wrote {target} and {beside(target).name}: "
        f"{card.branch}, {card.precision}, {card.skeleton.name}, {H} × {W} pixels"
    )
    _tell(read_receipt(beside(target)))


def _config(run: Path) -> "Config":
    from model.config import load_config, read_config

    return load_config(read_config(run / "config.yaml"))


def _branch(run: Path, config: "Config", asked: str | None) -> str:
    """Raises ConfigError."""
    from model.errors import ConfigError, Fault

    names = config.network.branch_names
    chosen = asked or _best(run)
    if chosen not in names:
        found = (
            "the run has not finished: its best branch is not known"
            if chosen is None
            else (f"unknown branch {chosen!r}")
        )
        raise ConfigError([Fault("--branch", found, ", ".join(names))])
    return chosen


def _best(run: Path) -> str | None:
    """The best branch, which a finished run's metrics name."""
    try:
        return str(json.loads((run / "metrics.json").read_text("utf-8"))["best"]["branch"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _tell(receipt: "Receipt") -> None:
    """What fewer bits cost and bring."""
    against = receipt.against_fp32
    for change in () if against is None else against.changes:
        low, high = change.interval_95 or (change.points, change.points)
        typer.echo(
            f"  {change.metric} on {change.data}: {change.points:+.2f} points against fp32 "
            f"({low:+.2f}…{high:+.2f}), {change.people:,} people"
        )
    for speed in () if against is None else against.speed:
        typer.echo(
            f"  {speed.times:.2f} × as fast as fp32 ({speed.fp32_ms:.2f} ms) on {speed.device}, "
            f"{speed.provider}, {speed.batch} at once"
        )
