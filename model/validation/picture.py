"""Some people as they are labelled, people whose sides are suspect, photographs that are twice."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from model.data.packing import picture_of
from model.data.person import Person
from model.errors import DatasetError
from model.geometry import Box, Crop
from model.pictures import draw_poses
from model.validation.looking import Looked
from model.validation.looks import Copy
from model.validation.sides import Swap

_TILE_PX: Final = 220
_SIZE: Final = (_TILE_PX, _TILE_PX)
_ACROSS: Final = 6
_GAP: Final = 10
_LINE: Final = 18
_ROOM: Final = 0.2
_INK: Final = (15, 15, 20)


@dataclass(frozen=True)
class _Tile:
    image: Image.Image
    lines: tuple[str, ...]


def sheet(
    looked: Mapping[str, Looked],
    swaps: Mapping[str, Sequence[Swap]],
    copies: Sequence[Copy],
    count: int,
) -> Image.Image:
    """So many samples, suspects and copies at most, each with its name. All by split."""
    sections = {
        "as labelled": list(_samples(looked, count)),
        "sides that may be exchanged: labels, then the student's answer": list(
            _suspects(looked, swaps, count // 2)
        ),
        "photographs that are in two splits": list(_twice(looked, copies[: count // 2])),
    }
    shown = {title: tiles for title, tiles in sections.items() if tiles}
    return _laid(shown or {"no photograph could be decoded": []})


def _samples(looked: Mapping[str, Looked], count: int) -> Iterator[_Tile]:
    """Of each split alike many, spread over its people."""
    for split, found in looked.items():
        places = [
            p for p, person in enumerate(found.labelled.people)
            if found.names[person.picture] in found.looks
        ]  # fmt: skip
        some = min(math.ceil(count / len(looked)), len(places))
        for at in np.linspace(0, len(places) - 1, some).round().astype(int).tolist():
            p = places[at]
            yield _Tile(_drawn(found, p, found.labelled.joints_img[p]), _title(split, found, p))


def _suspects(
    looked: Mapping[str, Looked], swaps: Mapping[str, Sequence[Swap]], count: int
) -> Iterator[_Tile]:
    ranked = sorted(
        ((split, swap) for split, some in swaps.items() for swap in some),
        key=lambda one: -one[1].score,
    )
    for split, swap in ranked[:count]:
        found = looked[split]
        assert found.found is not None
        labels = found.labelled.joints_img[swap.person]
        answer = np.where(np.isfinite(found.found[swap.person]), found.found[swap.person], 0)
        told = "all sides" if swap.kind == "person" else ", ".join(_short(swap.joints))
        lines = (*_title(split, found, swap.person), f"{told} ({swap.score:.2f})")
        yield _Tile(_drawn(found, swap.person, labels), lines)
        yield _Tile(_drawn(found, swap.person, answer), ("", "", "the student"))


def _short(joints: Sequence[str]) -> list[str]:
    """`left_knee`, `right_knee` as `knees`."""
    return list(dict.fromkeys(f"{joint.partition('_')[2]}s" for joint in joints))


def _twice(looked: Mapping[str, Looked], copies: Sequence[Copy]) -> Iterator[_Tile]:
    for copy in copies:
        told = "the same bytes" if copy.same_bytes else f"alike: {copy.correlation:.2f}"
        for split, name in (copy.first, copy.second):
            found = looked[split]
            picture = next(path for path, known in found.names.items() if known == name)
            person = next(p for p in found.labelled.people if p.picture == picture)
            image = _photograph(person)
            whole = Crop.around(Box.whole((image.height, image.width)), _SIZE, padding=0)
            yield _Tile(Image.fromarray(whole.cut(image)), (split, name, told))


def _drawn(found: Looked, p: int, joints_img: NDArray[np.float64]) -> Image.Image:
    """One person with joints `[K, 3]`."""
    person = found.labelled.people[p]
    crop = Crop.around(person.box_img, _SIZE, padding=_ROOM)
    joints = joints_img.copy()
    joints[:, :2] = crop.from_image(joints[:, :2])
    joints[:, 2] = joints_img[:, 2] > 0
    photo = Image.fromarray(crop.cut(_photograph(person)))
    return draw_poses(photo, [joints], found.labelled.skeleton)


def _photograph(person: Person) -> Image.Image:
    """Decoded again: all of a set would not fit in memory."""
    try:
        return picture_of(person)
    except DatasetError:  # it was there when it was looked at
        return Image.new("RGB", _SIZE)


def _title(split: str, found: Looked, p: int) -> tuple[str, str]:
    return f"{split}, person {p}", found.names[found.labelled.people[p].picture]


def _laid(sections: Mapping[str, Sequence[_Tile]]) -> Image.Image:
    """Every section under its title, row by row."""
    font, bold = ImageFont.load_default(13), ImageFont.load_default(18)
    step_x, step_y = _TILE_PX + _GAP, _TILE_PX + 3 * _LINE + _GAP
    rows = {title: math.ceil(len(tiles) / _ACROSS) for title, tiles in sections.items()}
    height = sum(2 * _LINE + count * step_y for count in rows.values()) + _GAP
    page = Image.new("RGB", (_ACROSS * step_x + _GAP, height), "white")
    pen = ImageDraw.Draw(page)
    top = _GAP
    for title, tiles in sections.items():
        pen.text((_GAP, top), title, fill=_INK, font=bold)
        top += 2 * _LINE
        for i, tile in enumerate(tiles):
            x, y = _GAP + i % _ACROSS * step_x, top + i // _ACROSS * step_y
            page.paste(tile.image, (x, y + 3 * _LINE))
            for j, line in enumerate(tile.lines):
                shown = line if len(line) <= 32 else f"{line[:13]}…{line[-18:]}"
                pen.text((x, y + j * _LINE), shown, fill=_INK, font=font)
        top += rows[title] * step_y
    return page
