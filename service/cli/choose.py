"""`okdhp choose`."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import need_training
from service.cli.sources import FORM, parse_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.choose import Option


def choose(
    run: Annotated[Path, typer.Argument(file_okay=False, help="A run's folder.")],
    latency_ms: Annotated[
        float, typer.Option(min=0.001, help="The most that one crop may take.", show_default=False)
    ],
    provider: Annotated[str, typer.Option(help="cpu, cuda or tensorrt.")] = "cpu",
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help=f"Labelled people to judge on: {FORM}. Repeatable.",
            show_default="the run's validation, on which its epoch was chosen",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="The file to write.", show_default="BRANCH.onnx"),
    ] = None,
) -> None:
    """Measure every branch of a run on this machine and export the best within a budget of time.

    okdhp choose runs/lsp --latency-ms 8 --data lsp:/photos/lsp:valid

    Branches are timed in turn, so that a busy machine slows all of them alike; the figure is the
    median. Accuracy against latency is drawn into RUN/choice.png. Where no branch is fast enough
    nothing is exported, and the exit code is 1.
    """
    need_training()
    from model.choose import best_within, draw, options

    sources = [parse_source(text) for text in data or []]
    with tempfile.TemporaryDirectory(prefix="okdhp-") as scratch:
        found = options(run, sources, Path(scratch), provider=provider)
        chosen = best_within(found, latency_ms)
        picture = run / "choice.png"
        draw(found, latency_ms, chosen, picture)
        _print(found, chosen)
        typer.echo(f"wrote {picture}", err=True)
        if chosen is None:
            nearest = min(found, key=lambda option: option.ms)
            typer.echo(
                f"okdhp: no branch takes {latency_ms:g} ms or less here: the fastest is "
                f"{nearest.branch} with {nearest.ms:.2f} ms",
                err=True,
            )
            sys.exit(1)
        _export(chosen, out or Path(f"{chosen.branch}.onnx"))


def _export(chosen: "Option", target: Path) -> None:
    """The file with its receipt beside it."""
    from model.files import replaced
    from model.receipt import beside, write_receipt

    with chosen.file.open("rb") as source, replaced(target) as file:
        shutil.copyfileobj(source, file)
    write_receipt(beside(target), chosen.receipt)
    typer.echo(f"wrote {target} and {beside(target).name}: {chosen.branch}")


def _print(found: "Sequence[Option]", chosen: "Option | None") -> None:
    """A line a branch, the fastest first."""
    from rich.console import Console
    from rich.table import Table

    latency = found[0].latency
    threads = "" if latency.threads is None else f", {latency.threads} threads"
    table = Table(title=f"{latency.device}, {latency.provider}{threads}", title_justify="left")
    table.add_column("branch")
    for column in ("ms", "parameters", "GMACs"):
        table.add_column(column, justify="right")
    for name in found[0].figures():
        table.add_column(f"{found[0].metric}\n{name}", justify="right")
    table.add_column("")
    for option in sorted(found, key=lambda option: option.ms):
        cost = option.receipt.cost
        table.add_row(
            option.branch,
            f"{option.ms:.2f}",
            f"{cost.parameters:,}",
            f"{cost.macs / 1e9:.3f}",
            *(figure.text(option.metric) for figure in option.figures().values()),
            "chosen" if option is chosen else "",
            style="bold" if option is chosen else "",
        )
    Console().print(table)
