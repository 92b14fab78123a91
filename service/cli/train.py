"""`okdhp train`."""

import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.begin import OPTION, RUN, config_of_run, copied_run, with_files
from service.cli.options import Home, need_training
from service.cli.signals import STOPPED, noted_signals
from service.cli.sources import FORM, training_sources

if TYPE_CHECKING:
    from model.config import Config
    from model.errors import Fault


def train(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE.yaml] [KEY=VALUE]...",
            help="A configuration, and single values over it, as training.epochs=20.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="A configuration that ships: tiny, paper-mpii, …")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE", help=f"Data to learn from: {FORM}. Repeatable."),
    ] = None,
    valid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Data to judge on. Repeatable. By default the split `valid` of every --data.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="The run's folder.", show_default="runs/DATE-TIME"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out from its last checkpoint.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(OPTION, metavar="RUN_OR_URL", help=f"Go on, in --out, with a copy of {RUN}."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the whole configuration as YAML, on stderr what it costs, and end.",
        ),
    ] = False,
    home: Home = None,
) -> None:
    """Distil a network's branches from your data, and export the best.

    A set without a split is learnt from by its split `train` and judged on by its split `valid`.

    okdhp train --preset tiny

    okdhp train --preset tiny --data lsp:/photos/lsp training.epochs=20 --out runs/lsp

    okdhp train --out runs/lsp --resume

    okdhp train --preset tiny --data lsp:/photos/lsp training.init=okdhp

    training.init begins with the weights of an ONNX file, a run, a registered model or a job.
    Ctrl-C saves a checkpoint and ends; --resume goes on exactly there.
    """
    need_training()
    if resume and out is None:
        raise typer.BadParameter("--resume needs --out, the folder of the run to go on with")
    if source is not None and (resume or dry_run):
        raise typer.BadParameter(
            f"{OPTION} copies a run: neither --resume nor --dry-run goes along"
        )
    run_dir = out or Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}"
    given = (settings or [], preset, data or [], valid or [])
    if source is not None:
        with copied_run(source, run_dir, home):
            config = with_files(_config(*given, run_dir), home, goes_on=True)
    else:
        config = with_files(_config(*given, out if resume else None), home, goes_on=resume)
    if dry_run:
        import yaml

        tree = config.model_dump(mode="json")
        typer.echo(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), nl=False)
        from service.cli.plan import tell_plan

        tell_plan(config, device)
        return
    from model.training.run import train as train_run
    from service.cli.progress import RunDisplay

    with noted_signals() as caught, RunDisplay() as display:
        outcome = train_run(
            config,
            run_dir,
            resume=resume or source is not None,
            stop=lambda: bool(caught),
            device=device,
            listen=display.show,
        )
    if outcome.state == "stopped":
        typer.echo(f"stopped; go on with: okdhp train --out {run_dir} --resume", err=True)
        sys.exit(STOPPED + caught[0])
    typer.echo(f"finished: {run_dir}")


def _config(
    settings: list[str], preset: str | None, data: list[str], valid: list[str], run: Path | None
) -> "Config":
    """The configuration of a command line. run: the folder that is resumed. Raises ConfigError."""
    from model.config import load_config, merge, parse_overrides, preset_names, read_config
    from model.errors import ConfigError, Fault

    files = [Path(text) for text in settings if "=" not in text]
    if len(files) + (preset is not None) > 1:
        raise ConfigError([Fault("configuration", "several were given", "one file or --preset")])
    tree: dict[str, Any] = {}
    if preset is not None:
        tree = {"preset": preset}
    elif files:
        tree = read_config(files[0])
    elif run is not None:
        tree = config_of_run(run)
    else:
        names = ", ".join(preset_names())
        raise ConfigError(
            [Fault("configuration", "none was given", f"a YAML file, or --preset with {names}")]
        )
    if data or valid:
        parts: dict[str, Any] = {}
        if data:
            learnt, judged = training_sources(data, valid)
            parts["train"] = [source.model_dump(mode="json") for source in learnt]
        else:
            from service.cli.sources import parse_source

            judged = [parse_source(text, "--valid") for text in valid]
        parts["valid"] = [source.model_dump(mode="json") for source in judged]
        tree = merge(tree, {"data": parts})
    try:
        return load_config(merge(tree, parse_overrides([t for t in settings if "=" in t])))
    except ConfigError as error:
        raise ConfigError([_with_option(fault) for fault in error.faults]) from None


def _with_option(fault: "Fault") -> "Fault":
    """Most presets leave the data to whoever has it: say how it is given."""
    option = {"data.train": "--data", "data.valid": "--valid"}.get(fault.where)
    if option is None or fault.accepted:
        return fault
    return replace(fault, accepted=f"{option} {FORM}")
