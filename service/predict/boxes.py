"""People's boxes from the text of a request."""

import json
from typing import Any, Final

from model.errors import BoxInvalid
from model.geometry import Box

LARGEST_PX: Final = 1_000_000
"""No photograph is so large; beyond it the geometry's floats lose their meaning."""
_FORM: Final = "a JSON list of boxes, as [[x, y, width, height], …]"


def parse_boxes(text: str | None, images: int, *, most: int) -> list[list[Box] | None]:
    """The boxes of a JSON text, for each image; None: the whole of it is one person.

    most: boxes on one image. Raises BoxInvalid, which names the box at fault by its index.
    """
    if text is None:
        return [None] * images
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        raise BoxInvalid(f"boxes is not JSON; accepted: {_FORM}") from None
    if images == 1:
        return [_boxes(rows, "boxes", most)]
    if not isinstance(rows, list) or len(rows) != images:
        raise BoxInvalid(f"boxes must be a list of {images} lists, one an image, or null for each")
    return [None if row is None else _boxes(row, f"boxes[{i}]", most) for i, row in enumerate(rows)]


def _boxes(rows: Any, where: str, most: int) -> list[Box]:
    if not isinstance(rows, list):
        raise BoxInvalid(f"{where} is no list; accepted: {_FORM}")
    if len(rows) > most:
        raise BoxInvalid(f"{where} holds {len(rows):,} boxes; accepted: at most {most}")
    return [_box(row, f"{where}[{i}]") for i, row in enumerate(rows)]


def _box(row: Any, where: str) -> Box:
    if not isinstance(row, list) or len(row) != 4 or not all(map(_is_number, row)):
        raise BoxInvalid(f"{where} is not four numbers [x, y, width, height]")
    try:
        x, y, width, height = map(float, row)
        box = Box(x, y, width, height)
    except OverflowError:  # an integer of hundreds of digits
        raise BoxInvalid(f"{where} holds a number beyond all pixels") from None
    except BoxInvalid as error:
        raise BoxInvalid(f"{where}: {error}") from None
    if max(map(abs, box.as_list())) > LARGEST_PX:
        raise BoxInvalid(f"{where} reaches beyond {LARGEST_PX:,} pixels")
    if min(width, height) < 1:
        raise BoxInvalid(f"{where} is smaller than a pixel: width and height must be 1 or more")
    return box


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
