"""`okdhp compare`."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.comparison import as_yaml, comparison_of, keep, named_parts, placed, seeds_of
from service.cli.options import Home, need_training
from service.cli.signals import STOPPED, noted_signals
from service.cli.sources import FORM

if TYPE_CHECKING:
    from model.comparison.cells import Cell
    from model.comparison.config import CompareConfig
    from worker.failure import Failure


class Budget(StrEnum):
    """What every run has the same of."""

    EPOCHS = "epochs"
    DEVICE_TIME = "device-time"


def compare(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE.yaml] [KEY=VALUE]...",
            help="A comparison, or the configuration of its runs; and single values of that, "
            "as training.epochs=20.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="The runs' configuration: tiny, paper-mpii, …")
    ] = None,
    schemes: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Schemes to compare, as none,okdhp.")
    ] = None,
    variants: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="YAML of other rows: name and what it changes."),
    ] = None,
    layouts: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="YAML of layouts: name and list of branches."),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N or A,B,…", help="How many seeds, or which.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE", help=f"Data to learn from: {FORM}. Repeatable."),
    ] = None,
    valid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="People to choose branch and epoch on. By default the last tenth of --data.",
        ),
    ] = None,
    report: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE", help="People of the table. By default --data's split `valid`."
        ),
    ] = None,
    budget: Annotated[Budget | None, typer.Option(help="What all runs have the same of.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Of the device for each run, with --budget device-time.")
    ] = None,
    alone: Annotated[
        bool | None, typer.Option("--alone/--no-alone", help="Whether to train the students alone.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Runs at once.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, help="The comparison's folder.", show_default="comparisons/DATE-TIME"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    gather: Annotated[
        bool, typer.Option("--gather", help="Train nothing: make the table of what is there.")
    ] = False,
    register: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Register the winner as this model's new version."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the comparison and its runs, and end.")
    ] = False,
    home: Home = None,
) -> None:
    """Train schemes over seeds on the same data, and print a table of what they are worth.

    okdhp compare --preset tiny --schemes none,mean,okdhp --seeds 2

    okdhp compare --preset tiny --schemes none,okdhp --data lsp:/photos/lsp --out cmp

    Branch and epoch of each run are chosen on people who are in no table. Ctrl-C saves all runs;
    the same command, or --out alone, goes on; more seeds or schemes add to what is there.
    """
    need_training()
    from model.comparison.cells import cells
    from model.comparison.report import check_apart

    options = {
        "schemes": schemes and schemes.split(","),
        "variants": variants and named_parts(variants, "--variants"),
        "layouts": layouts and named_parts(layouts, "--layouts"),
        "seeds": seeds and seeds_of(seeds),
        "budget": budget and budget.value.replace("-", "_"),
        "device_minutes": minutes,
        "alone": alone,
    }
    folder = out or Path("comparisons") / f"{datetime.now():%Y%m%d-%H%M%S}"
    asked = comparison_of(
        settings or [], preset, options, (data or [], valid or [], report or []), folder
    )
    config, all_cells = placed(asked, cells(asked), home)
    if dry_run:
        _tell(asked, all_cells)
        return
    _refuse_others(all_cells, folder)
    failures = {}
    if not gather:
        check_apart(config.report, all_cells[0].config)
        keep(asked, folder)
        failures = _train(all_cells, folder, workers, device)
    found = _gathered(config, all_cells, folder, failures)
    if register is not None:
        _register(folder, register, home)
    if any("missing" in cell for cell in found["cells"]):
        sys.exit(1)


def _tell(config: "CompareConfig", all_cells: Sequence["Cell"]) -> None:
    """What would be done, as YAML that can be given back, and a line a run."""
    typer.echo(as_yaml(config), nl=False)
    for cell in all_cells:
        branches = ", ".join(cell.config.network.branch_names)
        typer.echo(
            f"{cell.name}: {cell.config.scheme.name}, {branches}, "
            f"{cell.config.training.epochs} epochs",
            err=True,
        )
    typer.echo(f"{len(all_cells)} runs", err=True)


def _refuse_others(all_cells: Sequence["Cell"], folder: Path) -> None:
    """Runs of another configuration are never taken for these. Raises ConfigError."""
    from model.config import load_config
    from model.errors import ConfigError, Fault
    from worker.child import ORDER

    for cell in all_cells:
        order = folder / cell.name / ORDER
        if not order.is_file():
            continue
        if load_config(json.loads(order.read_text("utf-8"))["spec"]) != cell.config:
            fault = f"{folder / cell.name} is a run of another configuration"
            raise ConfigError([Fault("--out", fault, "another folder")])


def _train(
    all_cells: Sequence["Cell"], folder: Path, workers: int, device: str
) -> dict[str, "Failure"]:
    """Runs what has not finished yet; ends the program when it is told to stop."""
    from model.comparison.trained import finished
    from service.cli.comparing import CompareDisplay
    from worker.local import LocalJob, LocalJobs

    jobs = [
        LocalJob(cell.name, "distill", cell.config.model_dump(mode="json"))
        for cell in all_cells
        if not finished(folder / cell.name)
    ]
    if len(jobs) < len(all_cells):
        typer.echo(f"{len(all_cells) - len(jobs)} of {len(all_cells)} runs are there", err=True)
    local = LocalJobs(folder, at_once=workers, device=device)
    with noted_signals() as caught, CompareDisplay([job.name for job in jobs]) as display:
        failures = local.run(jobs, stop=lambda: bool(caught), listen=display.show)
    if caught:
        typer.echo(f"stopped; go on with: okdhp compare --out {folder}", err=True)
        sys.exit(STOPPED + caught[0])
    return failures


def _gathered(
    config: "CompareConfig",
    all_cells: Sequence["Cell"],
    folder: Path,
    failures: Mapping[str, "Failure"],
) -> dict[str, Any]:
    """The table of what is there, printed and written."""
    from model.comparison.gather import gather
    from model.comparison.publish import publish
    from model.comparison.trained import finished, read_run
    from service.cli.comparing import print_tables

    trained = {
        cell.name: read_run(folder / cell.name)
        for cell in all_cells
        if finished(folder / cell.name)
    }
    missing = {name: f"{failure.reason}: {failure.message}" for name, failure in failures.items()}
    typer.echo("measuring the students on the people of the table", err=True)
    found = gather(config, all_cells, trained, missing)
    written = publish(found, trained, folder, source=f"comparison {folder.name}")
    print_tables(found)
    typer.echo(f"wrote {', '.join(written)} in {folder}", err=True)
    return found


def _register(folder: Path, name: str, home: Path | None) -> None:
    from model.comparison.publish import WINNER
    from service.cli.options import settings_of
    from worker.registry import read_card
    from worker.stores import open_stores

    stores = open_stores(settings_of(home))
    try:
        card = read_card(folder / WINNER)
        version = stores.registry.add_version(name, folder / WINNER, card, card["metrics"])
    finally:
        stores.close()
    typer.echo(f"registered {version.model}:{version.version}")
