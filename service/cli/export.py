"""`okdhp export`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import need_training


def export(
    run: Annotated[Path, typer.Argument(file_okay=False, help="A run's folder.")],
    branch: Annotated[
        str | None, typer.Option(help="Which branch.", show_default="the best one")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="The file to write.", show_default="BRANCH.onnx"),
    ] = None,
) -> None:
    """Cut one branch out of a run as an ONNX file that needs nothing beside it.

    Input `image` uint8 [N, H, W, 3], output `keypoints` float32 [N, K, 3]: x, y in crop pixels
    and score. Beside the file lies its receipt, which tells what is known of it; that of the run's
    own export in RUN/students tells its parity with PyTorch too.
    """
    need_training()
    from model.config import load_config, read_config
    from model.errors import ConfigError, Fault

    names = load_config(read_config(run / "config.yaml")).network.branch_names
    chosen = branch or _best(run)
    if chosen not in names:
        found = (
            "the run has not finished: its best branch is not known"
            if chosen is None
            else (f"unknown branch {chosen!r}")
        )
        raise ConfigError([Fault("--branch", found, ", ".join(names))])
    target = out or Path(f"{chosen}.onnx")
    from model.receipt import beside
    from model.training.outcome.finish import export_branch

    card = export_branch(run, chosen, target)
    H, W = card.size
    typer.echo(
        f"wrote {target} and {beside(target).name}: "
        f"{chosen}, {card.skeleton.name}, {H} × {W} pixels"
    )


def _best(run: Path) -> str | None:
    """The best branch, which a finished run's metrics name."""
    try:
        return str(json.loads((run / "metrics.json").read_text("utf-8"))["best"]["branch"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
