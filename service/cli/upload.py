"""`okdhp data upload`: a set of this machine for a server somewhere."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import typer

from service.cli.bar import bar
from service.cli.jobs import HERE, Key, Server

_PIECE: Final = 1 << 20
_PATIENCE_S: Final = 3600.0
"""The server unpacks and reads the set before it answers."""
_SMALLER: Final = (".json", ".mat", ".txt")
"""What packing makes smaller; photographs are packed already."""


def upload(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER_OR_ZIP",
            exists=True,
            help="A set in COCO's, MPII's or LSP's layout, or a ZIP of one.",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option(help="How jobs will name it.", show_default=False)],
    format_: Annotated[
        str | None,
        typer.Option("--format", help="lsp, mpii or coco.", show_default="told by its files"),
    ] = None,
    server: Server = HERE,
    key: Key = None,
) -> None:
    """Send a set to a server as the next version under a name; the same files again are no new one.

    The server then validates it, by a job that `okdhp jobs watch` follows.
    """
    import httpx

    from service.cli.jobs.client import Client

    with Client(server, key) as client, _archive(source) as file, bar(name) as advance:
        length = file.seek(0, 2)
        found = client.ask(
            "PUT",
            f"/datasets/{name}/archive",
            params={} if format_ is None else {"format": format_},
            content=_pieces(file, length, advance),
            headers={"Content-Type": "application/zip", "Content-Length": str(length)},
            timeout=httpx.Timeout(_PATIENCE_S, connect=30.0),
        ).json()
    reference = found["reference"]
    for split, counts in found["splits"].items():
        typer.echo(f"{reference} {split}: {counts['people']:,} people, {counts['images']:,} images")
    for problem in found["problems"]:
        typer.echo(f"note: {problem}")
    if found["validation"] is not None:
        typer.echo(f"validation: okdhp jobs watch {found['validation']}")


@contextmanager
def _archive(source: Path) -> Iterator[IO[bytes]]:
    """The ZIP to send; of a folder one that vanishes afterwards."""
    if source.is_file():
        with source.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        with ZipFile(file, "w") as archive:
            for path in sorted(source.rglob("*")):
                if path.is_file():
                    smaller = path.suffix.lower() in _SMALLER
                    method = ZIP_DEFLATED if smaller else ZIP_STORED
                    archive.write(path, path.relative_to(source), method)
        yield file


def _pieces(file: IO[bytes], length: int, advance: Callable[[int, int], None]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE):
        advance(file.tell(), length)
        yield piece
