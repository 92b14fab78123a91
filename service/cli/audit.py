"""`okdhp data audit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.bar import bar
from service.cli.options import Home, need_training
from service.cli.sources import FORM, parse_source

if TYPE_CHECKING:
    from model.audit.audit import Judge


def audit(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder, a job's id, or a URL of a run.")
    ],
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE…", help=f"Whose labels: {FORM}.")],
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the result.", show_default=False)
    ],
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Further runs, that learnt from other people. Repeatable.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=200, help="People that the picture shows.")] = 24,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    home: Home = None,
) -> None:
    """Rank labels that are likely wrong: where branches agree with each other and not with them.

    okdhp data audit runs/lsp lsp:/photos/lsp:train --out audits/lsp

    Writes audit.csv, the ranked table; audit.png, the worst people; audit.json, counts; and
    weights.npz, which a training takes as data.weights. Runs that have not learnt from a person
    find more: each person is judged by those that have not, and by all where every one has.
    """
    need_training()
    from model.audit.audit import audit as do

    parsed = [parse_source(source, "SOURCE") for source in sources]
    judges = [_judge(run, home, "RUN"), *(_judge(other, home, "--run") for other in others or [])]
    with bar("people") as advance:
        counts = do(judges, parsed, out, top=top, device=device, advance=advance)
    for set_ in counts["sets"]:
        _tell(set_)
    typer.echo(f"wrote {out}: audit.csv, audit.json, audit.png, weights.npz")


def _judge(reference: str, home: Path | None, where: str) -> "Judge":
    from model.audit.audit import judge_of
    from service.cli.begin import place_of_run

    return judge_of(place_of_run(reference, home, where), where)


def _tell(counts: dict[str, Any]) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts["suspect_by_kind"].items())
    typer.echo(
        f"{counts['name']}: of {counts['labels']:,} labels {counts['suspect']:,} are suspect "
        f"({kinds}), {counts['hard']:,} hard"
    )
    if counts["known_people"]:
        typer.echo(
            f"{counts['name']}: {counts['known_people']:,} of {counts['people']:,} people were "
            "learnt from by every run: some of their wrong labels are believed"
        )
