"""`okdhp verify`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from service.cli.options import Home, need_runtime, need_training, settings_of
from service.cli.sources import FORM, parse_source

if TYPE_CHECKING:
    from model.config import SourceConfig
    from model.evidence import Exam
    from model.receipt import Parity, Receipt
    from model.verify import Check

_STYLES: Final = {"same": "green", "differs": "bold red", "told": "", "not checked": "dim"}


def verify(
    what: Annotated[
        str, typer.Argument(metavar="FILE", help="An exported ONNX file, or NAME[:VERSION].")
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help=f"Labelled people to answer again: {FORM}. Repeatable.",
            show_default="the validation people of the run that FILE lies in",
        ),
    ] = None,
    receipt: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="The receipt.", show_default="that beside FILE"),
    ] = None,
    make: Annotated[
        bool,
        typer.Option("--make", help="Write the receipt, of what can be measured here, instead."),
    ] = False,
    home: Home = None,
) -> None:
    """Compute again what a student's receipt claims, and say what differs.

    okdhp verify runs/lsp/students/branch0.onnx

    okdhp verify okdhp --data lsp:/photos/lsp:valid

    Hash, size and contents of the file always; accuracy and calibration on the sets that are given
    and are the same people; parity with PyTorch where the file lies in its run's folder. The exit
    code is 1 where anything differs.
    """
    need_runtime()
    need_training()  # the file's contents are read by a package of it
    path, claims = _file_and_receipt(what, receipt, home, wanted=not make)
    run = _run_of(path)
    sources = [parse_source(text) for text in data or []] or _judged_on(run)
    exams = _exams(path, sources)
    if make:
        from model.appraisal import appraise
        from model.receipt import beside, write_receipt

        target = receipt or beside(path)
        write_receipt(target, appraise(path, exams))
        typer.echo(f"wrote {target}")
        return
    assert claims is not None
    from model.evidence import latencies
    from model.verify import verify as held

    parity = _parity(run, path, claims, exams)
    checks = held(path, claims, exams, parity=parity, latency=latencies([path])[0])
    _print(checks, path.name if Path(what).is_file() else what)
    differing = [check.what for check in checks if check.verdict == "differs"]
    if "SHA-256" in differing:
        typer.echo("okdhp: the receipt is of another file", err=True)
    if differing:
        typer.echo(f"okdhp: differs: {', '.join(differing)}", err=True)
        sys.exit(1)


def _file_and_receipt(
    what: str, receipt: Path | None, home: Path | None, *, wanted: bool
) -> tuple[Path, "Receipt | None"]:
    """The student's file on this machine and what is claimed of it; None where it is not wanted.

    Raises ReceiptUnusable, ModelUnusable, ModelNotFound, VersionNotFound.
    """
    from model.errors import ModelUnusable, ReceiptUnusable
    from model.receipt import beside, parse_receipt, read_receipt

    path = Path(what)
    if what.endswith(".onnx") or path.is_file():
        if not path.is_file():
            raise ModelUnusable(f"there is no file {what}")
        if not wanted:
            return path, None
        if receipt is None and not beside(path).is_file():
            raise ReceiptUnusable(
                f"{path.name} has no receipt {beside(path).name} beside it: name one with "
                "--receipt, or write what can be measured here with --make"
            )
        return path, read_receipt(receipt or beside(path))
    from worker.stores import open_stores

    stores = open_stores(settings_of(home))
    try:
        stores.registry.ensure_bundled()
        version = stores.registry.resolve(what)
        path = stores.registry.open_local(version.model, version.version)
        if not wanted:
            return path, None
        if receipt is not None:
            return path, read_receipt(receipt)
        name = f"{version.model}:{version.version}"
        tree = stores.registry.receipt(version.model, version.version)
        return path, parse_receipt(tree, f"the receipt of {name}")
    finally:
        stores.close()


def _run_of(path: Path) -> Path | None:
    """The folder of the run that the file lies in, if it does."""
    run = path.absolute().parent.parent
    inside = path.absolute().parent.name == "students"
    return run if inside and (run / "checkpoints" / "best.pt").is_file() else None


def _judged_on(run: Path | None) -> "list[SourceConfig]":
    """What the run was judged on. Raises ConfigError."""
    if run is None or not (run / "config.yaml").is_file():
        return []
    from model.config import load_config, read_config

    return list(load_config(read_config(run / "config.yaml")).data.valid)


def _exams(path: Path, sources: "list[SourceConfig]") -> "list[Exam]":
    """The people cut out as the student wants to see them. Raises DatasetError, ModelUnusable."""
    from model.data.mixture import open_source
    from model.evidence import prepared
    from model.predictor import Predictor

    card = Predictor(path).card
    return [prepared(open_source(source), card.size, card.padding) for source in sources]


def _parity(
    run: Path | None, path: Path, receipt: "Receipt", exams: "list[Exam]"
) -> "tuple[Parity, ...]":
    """Measured again where the run is at hand, on the sets that the receipt tells it of."""
    if run is None or isinstance(receipt.parity, str):
        return ()
    from model.training.outcome.ship import parity_of

    told = {claim.data for claim in receipt.parity}
    again = [exam for exam in exams if exam.labelled.name in told]
    return parity_of(run, path, again)


def _print(checks: "list[Check]", student: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{student} against its receipt", title_justify="left")
    for column in ("", "claimed", "found", "verdict"):
        table.add_column(column, overflow="fold")
    for check in checks:
        style = _STYLES[check.verdict]
        table.add_row(check.what, check.claimed, check.found, check.verdict, style=style)
    Console().print(table)
