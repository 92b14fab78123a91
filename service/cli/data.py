"""`okdhp data`: registered data sets, and a look at any."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.audit import audit
from service.cli.options import Home, settings_of
from service.cli.pack import pack
from service.cli.sources import parse_source
from service.cli.upload import upload

if TYPE_CHECKING:
    from worker.stores import Stores

app = typer.Typer(
    help="Register or upload data sets under names that jobs use, check them, audit their labels.",
    no_args_is_help=True,
)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="How jobs will name it.", show_default=False)],
    source: Annotated[
        str, typer.Argument(metavar="FORMAT:PATH", help="lsp, mpii, coco or pack, and its folder.")
    ],
    home: Home = None,
) -> None:
    """Register a set that lies in the data folder (OKDHP_DATA_DIR; by default HOME/data).

    It is read and checked whole. PATH is below the data folder, or any path that leads there.
    """
    format_, _, path = source.partition(":")
    stores = _stores(home)
    data_dir = stores.settings.data_dir.resolve()
    whole = Path(path).expanduser().resolve()
    if whole.is_relative_to(data_dir):
        path = str(whole.relative_to(data_dir))
    elif Path(path).is_absolute() or not (data_dir / path).exists():
        from model.errors import DatasetError

        raise DatasetError(
            path, None, f"is not in the data folder {data_dir}; set OKDHP_DATA_DIR to one above it"
        )
    found = stores.datasets.register(name, format_, path)
    for split, counts in found.splits.items():
        typer.echo(f"{name}:{split}: {counts['people']:,} people, {counts['images']:,} images")
    for problem in found.problems:
        typer.echo(f"note: {problem}")


@app.command()
def check(
    source: Annotated[
        str,
        typer.Argument(metavar="FORMAT:PATH[:SPLIT]", help="lsp, mpii, coco or pack, and where."),
    ],
) -> None:
    """Read any set, registered or not, and say what is in it and what is wrong with it."""
    from model.data.check import check_set, fingerprint
    from model.data.mixture import open_source

    labelled = open_source(parse_source(source, "SOURCE"))
    report = check_set(labelled)
    typer.echo(f"{labelled.name}: {report.people:,} people on {report.images:,} images")
    typer.echo(f"skeleton {labelled.skeleton.name}, labelled people by joint:")
    for joint, count in report.joints.items():
        typer.echo(f"  {joint:<15} {count:>8,}")
    typer.echo(
        f"{report.joints_outside:,} joints of {report.outside_people:,} people lie outside "
        "their image"
    )
    typer.echo(f"fingerprint {fingerprint(labelled)}")
    for packed in labelled.packed:
        typer.echo(str(packed))
    for fault in report.faults:
        typer.echo(f"okdhp: {labelled.name}: {fault}", err=True)
    if report.faults:
        sys.exit(2)


@app.command()
def ls(home: Home = None) -> None:
    """List the registered and uploaded sets, every version."""
    found = _stores(home).datasets.all()
    if not found:
        typer.echo("no data set is registered; okdhp data add --help tells how")
    for dataset in found:
        counts = ", ".join(f"{split} {c['people']:,}" for split, c in dataset.splits.items())
        typer.echo(f"{dataset.reference:<18} {dataset.format:<5} {dataset.path}  ({counts})")


app.command()(pack)
app.command()(audit)
app.command()(upload)


def _stores(home: Path | None) -> "Stores":
    from worker.stores import open_stores

    return open_stores(settings_of(home))
