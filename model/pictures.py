"""Pictures for people: poses on a photograph, predictions beside ground truth, curves of a run."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from model.files import replaced
from model.skeletons import Skeleton

Colour = tuple[int, int, int]
Joints = NDArray[np.float64]  # [K, 3]: x, y, score

# Told apart by every kind of colour sight: after Okabe and Ito (2008), brighter.
SIDE_COLOURS: Final[Mapping[str, Colour]] = {
    "left": (20, 165, 255), "right": (255, 125, 10), "middle": (250, 235, 90),
}  # fmt: skip
_RIM: Final = (15, 15, 20)
_RIM_OPACITY: Final = 0.8


def draw_poses(
    image: Image.Image, poses: Sequence[ArrayLike], skeleton: Skeleton, *, min_score: float = 0.0
) -> Image.Image:
    """A copy of `image` (RGB) with people's limbs and joints on it.

    poses: one `[K, 3]` a person, x and y in image pixels and a score. Limbs take the colour of
    their side (the person's own), width follows the person's size and opacity the score. Joints
    whose score is 0 or below `min_score` are left out, as are limbs that lack an end.
    """
    pixels = np.array(image.convert("RGB") if image.mode != "RGB" else image)
    for pose in poses:
        joints = np.asarray(pose, np.float64)
        if joints.shape != (len(skeleton), 3):
            raise ValueError(
                f"a pose of {skeleton.name} is {(len(skeleton), 3)}, not {joints.shape}"
            )
        _draw_pose(pixels, joints, skeleton, min_score)
    return Image.fromarray(pixels)


def comparison(
    rows: Sequence[tuple[Image.Image, ArrayLike, ArrayLike]],
    skeleton: Skeleton,
    *,
    tile_px: int = 240,
    pairs_across: int = 4,
) -> Image.Image:
    """A grid of people, each twice: with the ground truth, and with the prediction.

    rows: a crop, the truth `[K, 3]` (x, y, labelled) and the prediction `[K, 3]` (x, y, score),
    both in crop pixels. Crops are scaled to `tile_px` high.

    Raises ValueError when there is nobody to show.
    """
    if not rows:
        raise ValueError("a comparison needs at least one person")
    pairs = [
        tuple(_tile(crop, joints, skeleton, tile_px) for joints in (truth, predicted))
        for crop, truth, predicted in rows
    ]
    across = min(pairs_across, len(pairs))
    gap, caption = tile_px // 30, tile_px // 9
    width = max(tile.width for pair in pairs for tile in pair)
    step_x, step_y = 2 * width + 2 * gap, tile_px + gap
    lines = math.ceil(len(pairs) / across)
    size = (max(across * step_x + gap, 17 * caption), lines * step_y + 2 * caption + gap)
    sheet = Image.new("RGB", size, "white")  # never narrower than its legend
    for i, pair in enumerate(pairs):
        left, top = gap + i % across * step_x, caption + i // across * step_y
        for j, tile in enumerate(pair):
            sheet.paste(tile, (left + j * (width + gap // 2), top))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(caption * 0.6)
    for i in range(across):
        for j, text in enumerate(("ground truth", "prediction")):
            middle = gap + i * step_x + j * (width + gap // 2) + width / 2
            pen.text((middle, caption / 2), text, fill=_RIM, font=font, anchor="mm")
    _draw_legend(pen, (gap, sheet.height - caption / 2), font, caption)
    return sheet


def curves(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes a PNG of a run: the loss by its parts, and a metric of every branch, over epochs.

    history: the run's epoch entries: `epoch`, `loss` {part: value}, `branches` {name: {metric:
    value}} and `ensemble` {metric: value}; a value that is missing or None leaves a gap. The
    metric is the first that the entries name.

    Raises ValueError for an empty history, OSError when the file cannot be written.
    """
    if not history:
        raise ValueError("curves need at least one epoch")
    # Figure without pyplot: no window system, no state shared with other threads.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    epochs = [int(entry["epoch"]) for entry in history]
    figure = Figure(figsize=(11, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    losses, metrics = figure.subplots(1, 2)
    marker = "o" if len(history) < 25 else ""
    for part, values in _series([entry.get("loss") or {} for entry in history]).items():
        bold = 2.2 if part == "total" else 1.3
        losses.plot(epochs, values, label=part, linewidth=bold, marker=marker, markersize=3)
    name = _first_metric(history)
    for branch, values in _series([_scores(entry, name) for entry in history]).items():
        style = {"color": "black", "linewidth": 2.2} if branch == "ensemble" else {"linewidth": 1.3}
        metrics.plot(epochs, values, label=branch, marker=marker, markersize=3, **style)
    for axes, title in ((losses, "loss"), (metrics, name or "no metric")):
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if axes.lines:
            axes.legend(frameon=False)
    drawn = [float(v) for line in losses.lines for v in np.asarray(line.get_ydata())]
    if all(v > 0 for v in drawn if math.isfinite(v)):
        losses.set_yscale("log")
    with replaced(path) as file:
        figure.savefig(file, format="png")


def _draw_pose(
    pixels: NDArray[np.uint8], joints: Joints, skeleton: Skeleton, min_score: float
) -> None:
    points, score = joints[:, :2], joints[:, 2]
    size = np.array([pixels.shape[1], pixels.shape[0]])
    # A point far outside is a fault of whoever made it; a line to it would only be in the way.
    near = ((points > -size) & (points < 2 * size)).all(1)
    shown = near & (score > 0) & (score >= min_score)
    if not shown.any():
        return
    extent = float(np.hypot(*(points[shown].max(0) - points[shown].min(0))))
    radius = max(0.8, 0.007 * extent)
    opacity = np.clip(0.25 + 0.75 * score, 0, 1)
    for a, b in skeleton.limb_indices:
        if shown[a] and shown[b]:
            colour = SIDE_COLOURS[_limb_side(skeleton.joints[a], skeleton.joints[b])]
            strength = float(min(opacity[a], opacity[b]))
            _stroke(pixels, points[a], points[b], radius, colour, strength)
    for k in np.flatnonzero(shown):
        colour = SIDE_COLOURS[_side(skeleton.joints[k])]
        _stroke(pixels, points[k], points[k], 1.9 * radius, colour, float(opacity[k]))


def _stroke(
    pixels: NDArray[np.uint8],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    radius: float,
    colour: Colour,
    opacity: float,
) -> None:
    """An antialiased line with round ends and a dark rim; a disc where its ends are one.

    Only the band of pixels along the line is touched, so that its cost grows with its length
    and not with its bounding box or with the picture.
    """
    if abs(b[1] - a[1]) > abs(b[0] - a[0]):  # steep: exchange x and y, so that columns cross it
        pixels, a, b = pixels.swapaxes(0, 1), a[::-1], b[::-1]
    if a[0] > b[0]:
        a, b = b, a
    height, width = pixels.shape[:2]
    along = b - a
    slope = along[1] / max(along[0], 1e-9)
    rim = radius + max(0.7, 0.25 * radius)
    half = math.ceil((rim + 1) * math.hypot(1, slope))  # of the band, measured along a column
    columns = np.arange(
        max(math.floor(a[0] - rim), 0), min(math.ceil(b[0] + rim) + 1, width), dtype=np.intp
    )[:, None]
    middle = np.rint(a[1] + slope * (columns - a[0])).astype(np.intp)
    rows = middle + np.arange(-half, half + 1)  # [columns, band]
    x, y = columns - a[0], rows - a[1]
    t = np.clip((x * along[0] + y * along[1]) / max(along @ along, 1e-9), 0, 1)
    distance = np.hypot(x - t * along[0], y - t * along[1])
    inner = np.clip(radius + 0.5 - distance, 0, 1)
    outer = np.clip(rim + 0.5 - distance, 0, 1)
    touched = (outer > 0) & (rows >= 0) & (rows < height)
    inner, outer = inner[touched, None] * opacity, outer[touched, None] * opacity
    dark = (outer - inner) * _RIM_OPACITY
    where = rows[touched], np.broadcast_to(columns, rows.shape)[touched]
    below = pixels[where]
    mixed = below * (1 - inner - dark) + inner * np.array(colour) + dark * np.array(_RIM)
    pixels[where] = np.rint(mixed).astype(np.uint8)


def _side(joint: str) -> str:
    return next((side for side in ("left", "right") if joint.startswith(f"{side}_")), "middle")


def _limb_side(a: str, b: str) -> str:
    """The side of a limb's ends; a limb across both sides, or on neither, is in the middle."""
    sides = {_side(a), _side(b)} - {"middle"}
    return sides.pop() if len(sides) == 1 else "middle"


def _tile(crop: Image.Image, joints: ArrayLike, skeleton: Skeleton, height_px: int) -> Image.Image:
    """A crop scaled to a height, with its pose."""
    scale = height_px / crop.height
    scaled = np.array(joints, np.float64)
    scaled[:, :2] = (scaled[:, :2] + 0.5) * scale - 0.5
    size = (round(crop.width * scale), height_px)
    return draw_poses(crop.resize(size, Image.Resampling.BICUBIC), [scaled], skeleton)


def _draw_legend(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    height: float,
) -> None:
    """What the colours mean, from `at` (left, middle) to the right."""
    x, y = at
    for side, colour in SIDE_COLOURS.items():
        pen.rounded_rectangle((x, y - height / 6, x + height, y + height / 6), height / 6, colour)
        x += height * 1.3
        pen.text((x, y), side, fill=_RIM, font=font, anchor="lm")
        x += pen.textlength(side, font=font) + height * 0.8
    pen.text((x, y), "(the person's own)", fill=(110, 110, 110), font=font, anchor="lm")


def _scores(entry: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """One metric of an epoch by branch, and of the ensemble."""
    named = {**(entry.get("branches") or {}), "ensemble": entry.get("ensemble") or {}}
    return {name: values[metric] for name, values in named.items() if metric in values}


def _first_metric(history: Sequence[Mapping[str, Any]]) -> str:
    def named() -> Iterator[str]:
        for entry in history:
            for values in (entry.get("branches") or {}).values():
                yield from values
            yield from entry.get("ensemble") or {}

    return next(named(), "")


def _series(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Columns out of rows; NaN, which is drawn as a gap, where a row has no value."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return {
        name: [math.nan if v is None else float(v) for v in values]
        for name, values in columns.items()
        if any(v is not None for v in values)
    }
