"""The people whose labels are likeliest to be wrong, each twice: as labelled, and as witnessed."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from model.audit.findings import Findings
from model.audit.report import ranked
from model.audit.verdict import SUSPECT
from model.data.packing import picture_of
from model.geometry import Crop
from model.pictures import draw_poses

_TILE_PX: Final = 240
_ACROSS: Final = 3
_ROOM: Final = 0.3
"""About the box, a fraction of its side: a far label should still be seen."""
_INK: Final = (15, 15, 20)
_LABEL: Final = (255, 60, 90)
_CONSENSUS: Final = (90, 235, 120)


def worst_people(found: Sequence[Findings], count: int) -> list[tuple[int, int, list[int]]]:
    """(set, person, joints) of the first `count` people with a suspect label, the worst first."""
    people: dict[tuple[int, int], list[int]] = {}
    for s, p, k in ranked(found):
        if found[s].verdict.class_[p, k] != SUSPECT:
            continue
        if (s, p) in people or len(people) < count:
            people.setdefault((s, p), []).append(k)
    return [(s, p, joints) for (s, p), joints in people.items()]


def grid(found: Sequence[Findings], count: int) -> Image.Image:
    """The worst `count` people: at the left the labels, suspect ones ringed in red; at the right
    where the witnesses have the joints, those in green. A grid of nobody says so.

    Raises DatasetError naming the photograph that cannot be read.
    """
    worst = worst_people(found, count)
    font = ImageFont.load_default(15)
    gap, caption = 10, 40
    step_x, step_y = 2 * _TILE_PX + 2 * gap, _TILE_PX + caption + gap
    across = min(_ACROSS, max(len(worst), 1))
    lines = math.ceil(len(worst) / across) or 1
    sheet = Image.new("RGB", (across * step_x + gap, lines * step_y + caption + gap), "white")
    pen = ImageDraw.Draw(sheet)
    told = "left: labels, red where suspect; right: where the branches have them, green"
    pen.text((gap, sheet.height - caption), told if worst else "no label is suspect", _INK, font)
    for i, (s, p, joints) in enumerate(worst):
        left, top = gap + i % across * step_x, gap + i // across * step_y
        findings = found[s]
        pen.text((left, top), _title(i + 1, findings, p), fill=_INK, font=font)
        pen.text((left, top + 18), _told(findings, p, joints), fill=_INK, font=font)
        for j, tile in enumerate(_tiles(findings, p, joints)):
            sheet.paste(tile, (left + j * (_TILE_PX + gap // 2), top + caption))
    return sheet


def _title(place: int, findings: Findings, p: int) -> str:
    person = findings.people[p]
    name = f"{place}. {findings.origin.name} {findings.first + p}, {person.photograph.name}"
    return name if len(name) <= 58 else name[:57] + "…"


def _told(findings: Findings, p: int, joints: list[int]) -> str:
    """The worst label, and how many more there are."""
    k = joints[0]
    verdict = findings.verdict
    more = f" and {len(joints) - 1} more" if len(joints) > 1 else ""
    joint = findings.skeleton.joints[k].replace("_", " ")
    return f"{joint}: {verdict.kind[p, k]}, {verdict.score[p, k]:.2f}{more}"


def _tiles(findings: Findings, p: int, joints: list[int]) -> tuple[Image.Image, Image.Image]:
    """One person as labelled and as witnessed."""
    person = findings.people[p]
    crop = Crop.around(person.box_img, (_TILE_PX, _TILE_PX), padding=_ROOM)
    photo = Image.fromarray(crop.cut(picture_of(person)))
    labels = np.where(person.labelled[:, None], person.joints_img, 0).astype(np.float64)
    shown = person.labelled.astype(np.float64)[:, None]
    consensus = np.concatenate([findings.verdict.consensus_img[p], shown], 1)
    tiles = []
    for pose, colour in ((labels, _LABEL), (consensus, _CONSENSUS)):
        points = pose.copy()
        points[:, :2] = crop.from_image(pose[:, :2])
        tile = draw_poses(photo, [points], findings.skeleton)
        _ring(tile, points[joints, :2], colour)
        tiles.append(tile)
    return tiles[0], tiles[1]


def _ring(tile: Image.Image, points: NDArray[np.float64], colour: tuple[int, int, int]) -> None:
    """A ring about each point; one that lies off the tile is drawn at its edge."""
    pen = ImageDraw.Draw(tile)
    for x, y in points.clip(8, _TILE_PX - 9):
        pen.ellipse((x - 9, y - 9, x + 9, y + 9), outline=_INK, width=5)
        pen.ellipse((x - 8, y - 8, x + 8, y + 8), outline=colour, width=3)
