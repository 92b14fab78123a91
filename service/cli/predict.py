"""`okdhp predict`."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import Home, need_runtime
from service.cli.students import open_student

if TYPE_CHECKING:
    from service.predict.models import Served
    from service.predict.pipeline import Found


def predict(
    images: Annotated[list[Path], typer.Argument(help="Photographs.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(
            help="An ONNX file, NAME, NAME:VERSION or NAME@VARIANT.",
            show_default="the one in production",
        ),
    ] = None,
    boxes: Annotated[
        str | None,
        typer.Option(
            help="People's boxes, as '[[x, y, width, height], …]' in pixels of the upright image.",
            show_default="the whole image is one person",
        ),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average with the mirror image's answer.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print a JSON document a photograph, a line each.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder for the photographs with the poses drawn."),
    ] = None,
    home: Home = None,
) -> None:
    """Find the joints of people on photographs, without a server.

    okdhp predict photo.jpg --out drawn

    okdhp predict --json --boxes '[[40, 12, 180, 420]]' photo.jpg
    """
    need_runtime()
    from model.errors import PoseError
    from model.images import MAX_PIXELS
    from service.predict.boxes import parse_boxes
    from service.predict.pipeline import Wish, find_poses

    chosen = parse_boxes(boxes, images=1, most=10_000)
    student = open_student(model, home)
    wish = Wish([student], flip_test=flip, keep_image=out is not None, max_pixels=MAX_PIXELS)
    threads = ThreadPoolExecutor(1)
    failed = False
    for path in images:
        try:
            (found,) = asyncio.run(find_poses([_bytes(path)], chosen, wish, threads))
        except PoseError as error:
            # One bad file among many must not cost the others' answers.
            typer.echo(f"okdhp: {path}: {error}", err=True)
            failed = True
            continue
        _tell(path, found, student, json=json)
        if out is not None:
            _draw(path, found, student, out)
    if failed:
        sys.exit(2)


def _bytes(path: Path) -> bytes:
    from model.errors import ImageUnreadable

    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageUnreadable(error.strerror or "cannot be read") from None


def _tell(path: Path, found: "Found", student: "Served", *, json: bool) -> None:
    from service.predict.answers import as_answer

    prepared = found.prepared
    total_s = prepared.decode_s + prepared.cut_s + found.waited_s + found.inferred_s
    answer = as_answer(found, [student], total_s=total_s)
    if json:
        import json as json_

        tree = {"file": str(path), **answer.model_dump()}
        typer.echo(json_.dumps(tree, ensure_ascii=False))
        return
    typer.echo(f"{path}: {answer.image.width} × {answer.image.height}, {len(answer.poses)} poses")
    for pose in answer.poses:
        typer.echo(f"  box {list(pose.box)}, score {pose.score:.2f}")
        for joint in pose.keypoints:
            typer.echo(f"    {joint.name:<15} {joint.x:8.1f} {joint.y:8.1f}  {joint.score:.2f}")


def _draw(path: Path, found: "Found", student: "Served", out: Path) -> None:
    from model.files import write_with
    from service.predict.answers import as_picture

    target = out / f"{path.stem}.png"
    png = bytes(as_picture(found, [student], "png").body)
    write_with(target, lambda file: file.write(png))
    typer.echo(f"wrote {target}", err=True)
