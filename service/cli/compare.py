"""`okdhp compare`."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from service.cli.options import Home, need_training
from service.cli.signals import STOPPED, noted_signals
from service.cli.sources import FORM

if TYPE_CHECKING:
    from model.comparison.cells import Cell
    from model.comparison.config import CompareConfig
    from worker.failure import Failure

COMPARISON: Final = "comparison.yaml"
"""What is compared, as it is kept in the comparison's folder."""


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

    options = {
        "schemes": schemes and schemes.split(","),
        "variants": variants and _named_parts(variants, "--variants"),
        "layouts": layouts and _named_parts(layouts, "--layouts"),
        "seeds": seeds and _seeds(seeds),
        "budget": budget and budget.value.replace("-", "_"),
        "device_minutes": minutes,
        "alone": alone,
    }
    folder = out or Path("comparisons") / f"{datetime.now():%Y%m%d-%H%M%S}"
    config = _comparison(
        settings or [], preset, options, (data or [], valid or [], report or []), folder
    )
    all_cells = cells(config)
    if dry_run:
        _tell(config, all_cells)
        return
    _refuse_others(all_cells, folder)
    failures = {} if gather else _train(config, all_cells, folder, workers, device)
    found = _gathered(config, all_cells, folder, failures)
    if register is not None:
        _register(folder, register, home)
    if any("missing" in cell for cell in found["cells"]):
        sys.exit(1)


def _named_parts(path: Path, option: str) -> dict[str, Any]:
    """A YAML file of names, as of variants and layouts. Raises ConfigError."""
    from model.config import read_config
    from model.errors import ConfigError, Fault

    try:
        return read_config(path)
    except ConfigError as error:
        raise ConfigError([Fault(option, str(fault)) for fault in error.faults]) from None


def _seeds(text: str) -> int | list[int]:
    from model.errors import ConfigError, Fault

    try:
        several = [int(part) for part in text.split(",")]
    except ValueError:
        accepted = "a number of seeds, or seeds as 3,4,5"
        raise ConfigError([Fault("--seeds", f"found {text!r}", accepted)]) from None
    return several if "," in text else several[0]


def _comparison(
    settings: Sequence[str],
    preset: str | None,
    options: Mapping[str, Any],
    sources: tuple[list[str], list[str], list[str]],
    folder: Path,
) -> "CompareConfig":
    """The comparison of a command line. Raises ConfigError."""
    from model.comparison.config import load_comparison
    from model.config import merge, parse_overrides, preset_names, read_config
    from model.errors import ConfigError, Fault
    from service.cli.held_out import comparison_sources

    files = [Path(text) for text in settings if "=" not in text]
    if len(files) + (preset is not None) > 1:
        raise ConfigError([Fault("configuration", "several were given", "one file or --preset")])
    if not files and preset is None and (folder / COMPARISON).is_file():
        files = [folder / COMPARISON]
    tree: dict[str, Any] = {"config": {"preset": preset}}
    if files:
        read = read_config(files[0])
        tree = read if "config" in read else {"config": read}
    elif preset is None:
        accepted = f"a YAML file, or --preset with {', '.join(preset_names())}"
        raise ConfigError([Fault("configuration", "none was given", accepted)])
    tree = tree | {key: value for key, value in options.items() if value is not None}
    data, valid, report = sources
    if data:
        parts = comparison_sources(data, valid, report)
        tree["report"] = parts.pop("report")
        tree["config"] = merge(tree["config"], {"data": parts})
    elif valid or report:
        tree |= _sources_alone(tree["config"], valid, report)
    overrides = parse_overrides([text for text in settings if "=" in text])
    tree["config"] = merge(tree["config"], overrides)
    if "report" not in tree:
        tree["report"] = _drawn(tree["config"])
    return load_comparison(tree)


def _sources_alone(
    config: Mapping[str, Any], valid: list[str], report: list[str]
) -> dict[str, Any]:
    """What `--valid` and `--report` change where what is learnt from stands in a file."""
    from model.config import merge
    from service.cli.sources import narrowed, parse_source

    changed: dict[str, Any] = {}
    if valid:
        chosen = [narrowed(parse_source(t, "--valid"), "val", "--valid") for t in valid]
        parts = {"data": {"valid": [source.model_dump(mode="json") for source in chosen]}}
        changed["config"] = merge(config, parts)
    if report:
        sources = [narrowed(parse_source(t, "--report"), "val", "--report") for t in report]
        changed["report"] = [source.model_dump(mode="json") for source in sources]
    return changed


def _drawn(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """People for the table where none were named: drawn ones. Raises ConfigError."""
    from model.config import load_config
    from model.errors import ConfigError, Fault
    from service.cli.held_out import drawn_for_table

    found = drawn_for_table(load_config(config).data.valid)
    if found is None:
        fault = "nobody was named for the table"
        raise ConfigError([Fault("report", fault, f"--report {FORM}, or `report` in the file")])
    return [source.model_dump(mode="json") for source in found]


def _tell(config: "CompareConfig", all_cells: Sequence["Cell"]) -> None:
    """What would be done, as YAML that can be given back, and a line a run."""
    import yaml

    tree = config.model_dump(mode="json")
    typer.echo(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), nl=False)
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
    config: "CompareConfig",
    all_cells: Sequence["Cell"],
    folder: Path,
    workers: int,
    device: str,
) -> dict[str, "Failure"]:
    """Runs what has not finished yet; ends the program when it is told to stop."""
    import yaml

    from model.comparison.report import check_apart
    from model.comparison.trained import finished
    from model.files import replaced
    from service.cli.comparing import CompareDisplay
    from worker.local import LocalJob, LocalJobs

    check_apart(config.report, all_cells[0].config)
    with replaced(folder / COMPARISON) as file:
        tree = config.model_dump(mode="json")
        file.write(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode())
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
