"""The command line `okdhp`: a file a command, imported only when it runs.

Errors are lines on stderr; the exit code is 2 for what was asked wrongly and 1 for what failed.
"""

import sys
from typing import Final, NoReturn

import typer

from model.errors import (
    CheckpointUnusable,
    ComparisonImpossible,
    DiskFull,
    ModelUnusable,
    PoseError,
    ProcessLost,
    TrainingDiverged,
)
from service.cli import (
    calibrate,
    choose,
    compare,
    data,
    doctor,
    evaluate,
    export,
    jobs,
    keys,
    predict,
    serve,
    train,
    verify,
    worker,
)
from service.cli.jobs.errors import ServerAway
from service.home import LaunchRefused
from worker.errors import ArtifactUnusable, BrokerUnusable, NotInstalled, StoreUnusable

_FAILURES: Final = (
    ArtifactUnusable,
    BrokerUnusable,
    CheckpointUnusable,
    ComparisonImpossible,
    LaunchRefused,
    ModelUnusable,
    NotInstalled,
    ServerAway,
    StoreUnusable,
    TrainingDiverged,
    DiskFull,
    ProcessLost,
)
"""What the user asked for was right, but it cannot be done."""

app = typer.Typer(
    name="okdhp",
    help="Distils small human-pose networks from your data (OKDHP, ICCV 2021) and serves them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve.serve)
app.command()(predict.predict)
app.command()(train.train)
app.command()(compare.compare)
app.command()(evaluate.evaluate)
app.command()(export.export)
app.command()(calibrate.calibrate)
app.command()(choose.choose)
app.command()(verify.verify)
app.add_typer(data.app, name="data")
app.add_typer(jobs.app, name="jobs")
app.add_typer(keys.app, name="keys")
app.command()(worker.worker)
app.command()(doctor.doctor)


def main() -> NoReturn:
    """Entry point of `okdhp`."""
    try:
        app()
    except PoseError as error:
        typer.echo(f"okdhp: {error}", err=True)
        sys.exit(1 if isinstance(error, _FAILURES) else 2)
    sys.exit(0)
