"""`okdhp keys`: who may use the server."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import Home, settings_of
from worker.roles import Role

if TYPE_CHECKING:
    from worker.keys import ApiKeys

app = typer.Typer(
    help="Create, list and revoke API keys. Once one was made, every request needs one.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="What logs call it.", show_default=False)]


@app.command()
def create(
    name: Name,
    role: Annotated[
        Role, typer.Option(help="predict; jobs may that as well; admin may everything.")
    ] = Role.PREDICT,
    home: Home = None,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    typer.echo(_keys(home).create(name, role))
    typer.echo("keep it now: it cannot be shown again", err=True)


@app.command("ls")
def list_(home: Home = None) -> None:
    """List the keys, also revoked ones."""
    for key in _keys(home).all():
        ends = "" if key.revoked_at is None else f"  revoked {_day(key.revoked_at)}"
        typer.echo(f"{key.name}  {key.role}  made {_day(key.created_at)}{ends}")


@app.command()
def revoke(name: Name, home: Home = None) -> None:
    """Revoke a key; servers notice within about a second."""
    keys = _keys(home)
    keys.revoke(name)
    typer.echo(f"{name} is revoked")
    if all(key.revoked_at is not None for key in keys.all()):
        typer.echo("no key is left: servers refuse everybody until one is made", err=True)


def _keys(home: Home) -> "ApiKeys":
    from worker.stores import open_stores

    return open_stores(settings_of(home)).keys


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
