"""Which photographs show the same."""

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from model.data.readers import READERS
from model.images import read_image
from model.validation import looks
from model.validation.looks import Look, copies

_NUMBERS = itertools.count()


def picture(seed: int) -> Image.Image:
    """Coarse noise, as seen through frosted glass."""
    cells = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), np.uint8)
    return Image.fromarray(cells).resize((160, 200), Image.Resampling.BICUBIC)


def pressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def look(image: Image.Image, sha256: str = "") -> Look:
    """Of other bytes than every other one, where none are given."""
    return Look.of(image, sha256 or f"bytes {next(_NUMBERS)}")


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((80, 100)),
        lambda image: pressed(image, 15),
        lambda image: ImageEnhance.Brightness(image).enhance(0.6),
        lambda image: image.crop((2, 2, 158, 197)),
        lambda image: image.convert("L").convert("RGB"),
    ],
    ids=["smaller", "pressed", "darker", "cut", "grey"],
)
def test_a_changed_copy_is_found(change: Callable[[Image.Image], Image.Image]) -> None:
    """As sites and tools change them."""
    others = {f"{seed}": look(picture(seed)) for seed in range(1, 40)}

    (copy,) = copies(
        {"train": {"a": look(picture(0))}, "valid": {**others, "b": look(change(picture(0)))}}
    )

    assert (copy.first, copy.second, copy.same_bytes) == (("train", "a"), ("valid", "b"), False)


def test_flat_pictures_are_not_taken_for_each_other() -> None:
    """Their hashes are all alike: none of their cells is brighter than the next."""
    grey = {f"{level}": look(Image.new("RGB", (50, 50), (level,) * 3)) for level in (0, 90, 255)}

    assert (
        copies({"train": grey, "valid": {"white": look(Image.new("RGB", (50, 50), "white"))}}) == []
    )


def test_the_same_bytes_are_told_apart_from_the_same_look() -> None:
    """Even of a flat picture; and they come first."""
    black, noise = Image.new("RGB", (50, 50)), picture(0)

    found = copies(
        {
            "train": {"noise": look(noise, "1"), "black": look(black, "2")},
            "valid": {"noise": look(noise, "3"), "black": look(black, "2")},
        }
    )

    assert [(copy.first[1], copy.same_bytes) for copy in found] == [
        ("black", True),
        ("noise", False),
    ]


def test_every_two_splits_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """And none with itself, in however many pieces."""
    monkeypatch.setattr(looks, "_AT_ONCE", 1)
    same = {"a": look(picture(0)), "b": look(picture(0))}

    found = copies({"train": same, "valid": same, "test": same})

    assert len(found) == 3 * 4
    assert {(copy.first[1], copy.second[1]) for copy in found} == {
        ("a", "a"), ("a", "b"), ("b", "a"), ("b", "b"),
    }  # fmt: skip


SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.data
@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
def test_known_copies_in_lsp_are_found_and_nothing_else() -> None:
    """Two that its official halves share, and im0371, a third one, which is cut otherwise."""
    test_half = [p.image for p in READERS["lsp"](SHARED / "lsp", "valid").people]
    known = [SHARED / f"lsp/images/im{i:04d}.jpg" for i in (550, 492, 371, *range(1, 60))]

    found = copies(
        {
            "train": {path.name: look(read_image(path)) for path in known},
            "test": {path.name: look(read_image(path)) for path in test_half},
        }
    )

    assert [(copy.first[1], copy.second[1]) for copy in found] == [
        ("im0550.jpg", "im1366.jpg"),
        ("im0492.jpg", "im1436.jpg"),
    ]
