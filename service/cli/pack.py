"""`okdhp data pack`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from service.cli.bar import bar
from service.cli.sources import FORM, parse_source

if TYPE_CHECKING:
    from model.data.readers import LabelledSet

QUALITY: Final = 52
"""docs/data-pack.md has how it was chosen."""
TERMS: Final = "those of the set that it was cut from"


def pack(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE…", help=f"{FORM}.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the packs.", show_default=False)
    ],
    size: Annotated[
        int, typer.Option(min=32, max=1024, help="Side in pixels of the largest crops to come.")
    ] = 192,
    padding: Annotated[
        float, typer.Option(min=0, max=2, help="Most room round a box, as in data.padding.")
    ] = 0.25,
    quality: Annotated[
        int, typer.Option(min=1, max=100, help="Of the pictures, as AVIF has it.")
    ] = QUALITY,
    terms: Annotated[
        str, typer.Option(help="On which the photographs may be used; kept in the pack.")
    ] = TERMS,
) -> None:
    """Cut people out of data sets into a few small files that train the same.

    okdhp data pack lsp:/photos/lspet mpii:/photos/mpii --out /photos/packs

    Each split becomes one file, OUT/SET/SPLIT.zip, whole or not there; it is read as
    pack:OUT/SET:SPLIT wherever a set is read. Without a split all of a set's are packed. What is
    there already from the same people is left as it is, so an interrupted command may be repeated.
    """
    from model.data.archive import Recipe, file_of, is_packed, write_pack
    from model.errors import ConfigError, Fault

    recipe = Recipe((size, size), padding, quality, terms)
    labelled = [part for source in sources for part in _splits_of(source)]
    files = [file_of(part, out) for part in labelled]
    twice = [file for i, file in enumerate(files) if file in files[:i]]
    if twice:
        fault = f"two of them would be {twice[0]}"
        raise ConfigError([Fault("SOURCE", fault, "each set and split once; --out of its own")])
    there = [is_packed(part, out, recipe) for part in labelled]  # before any work is done
    for part, file, done in zip(labelled, files, there, strict=True):
        if not done:
            with bar(part.name) as advance:
                write_pack(part, out, recipe, advance)
        size_mb = file.stat().st_size / 1e6
        note = ", was there" if done else ""
        typer.echo(f"{file}: {part.name}, {len(part.people):,} people, {size_mb:.1f} MB{note}")
    people = sum(len(part.people) for part in labelled)
    total_mb = sum(file.stat().st_size for file in files) / 1e6
    typer.echo(f"{people:,} people in {len(files)} files, {total_mb:.1f} MB")


def _splits_of(text: str) -> "Iterator[LabelledSet]":
    """The set that is named; where that has splits and none was chosen, each of them."""
    from model.data.mixture import open_source
    from model.data.readers import SPLITS

    source = parse_source(text, "SOURCE")
    splits: tuple[str | None, ...] = (source.split,)
    if source.split is None and source.path is not None and source.format is not None:
        splits = SPLITS[source.format](source.path) or (None,)
    for split in splits:
        yield open_source(source.model_copy(update={"split": split}))
