"""`okdhp doctor`."""

import sys

import typer

from service.cli.options import Home, settings_of


def doctor(home: Home = None) -> None:
    """Check every part of a server: what works, what does not, and what to do about it.

    Looks where the environment's OKDHP_… variables point, as `okdhp serve` does. The exit status
    is 1 if a part is broken.
    """
    from service.doctor import Verdict, examine

    colours = {Verdict.OK: "green", Verdict.NOTE: "yellow", Verdict.FAULT: "red"}
    broken = False
    for finding in examine(settings_of(home)):
        broken |= finding.verdict is Verdict.FAULT
        verdict = typer.style(f"{finding.verdict:6}", fg=colours[finding.verdict])
        typer.echo(f"{verdict}{finding.part:11}{finding.found}")
        if finding.remedy:
            typer.echo(f"{'':17}→ {finding.remedy}")
    if broken:
        sys.exit(1)
