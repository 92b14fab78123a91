"""People cut out once, kept, and found again."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.data import packing
from model.data.packing import MARGIN, Mode, exact_crops, pack, picture_of
from model.data.synthetic import draw_people
from model.errors import ConfigError, DatasetError, DiskFull

CROP = (64, 48)
PADDING = 0.1
PEOPLE = draw_people(5, seed=2, size_px=64)


def test_a_pack_is_the_exact_crop_with_room_around_it():
    """Half as much again each way, at the crop's own scale; joints in the pack's pixels."""
    packed = pack(PEOPLE, CROP, PADDING, fingerprint="")
    crops, ways = exact_crops(PEOPLE, CROP, PADDING)

    H, W = (round(side * MARGIN) for side in CROP)
    top, left = (H - CROP[0]) // 2, (W - CROP[1]) // 2
    assert packed.pixels.shape == (5, H, W, 3)
    inner = packed.pixels[:, top : top + CROP[0], left : left + CROP[1]]
    assert abs(inner.astype(int) - crops).max() <= 1
    for joints, person, way in zip(packed.joints, PEOPLE, ways, strict=True):
        expected = way.from_image(person.joints_img[:, :2]) + np.array([left, top])
        np.testing.assert_allclose(
            joints[person.labelled, :2], expected[person.labelled], atol=1e-3
        )
        np.testing.assert_array_equal(joints[:, 2], person.joints_img[:, 2])


def test_a_kept_pack_is_found_again(tmp_path: Path):
    """The second training on the same data decodes no photograph."""
    told: list[tuple[int, int]] = []

    def advance(done: int, of: int) -> None:
        told.append((done, of))

    first = pack(PEOPLE, CROP, PADDING, fingerprint="a", cache=tmp_path, advance=advance)
    again = pack(PEOPLE, CROP, PADDING, fingerprint="a", cache=tmp_path, advance=advance)

    assert told == [(5, 5)]
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.pixels, pack(PEOPLE, CROP, PADDING, fingerprint="").pixels)
    assert [file.suffix for file in tmp_path.iterdir()] == [".npy"]


@pytest.mark.parametrize(
    ("crop", "padding", "fingerprint"),
    [((32, 48), PADDING, "a"), (CROP, 0.2, "a"), (CROP, PADDING, "b")],
)
def test_other_data_or_another_crop_is_another_pack(
    tmp_path: Path, crop: tuple[int, int], padding: float, fingerprint: str
):
    """A cache named by less outlives its annotations."""
    pack(PEOPLE, CROP, PADDING, fingerprint="a", cache=tmp_path)
    pack(PEOPLE, crop, padding, fingerprint=fingerprint, cache=tmp_path)

    assert len(list(tmp_path.iterdir())) == 2


def test_labels_are_never_taken_from_the_cache(tmp_path: Path):
    """Only pixels are kept: joints come from the people of today."""
    pack(PEOPLE, CROP, PADDING, fingerprint="a", cache=tmp_path)
    unlabelled = [replace(p, joints_img=0 * p.joints_img) for p in PEOPLE]

    again = pack(unlabelled, CROP, PADDING, fingerprint="a", cache=tmp_path)

    assert not again.joints[..., 2].any()


@pytest.mark.parametrize("damage", ["missing", "empty", "text"])
def test_a_photograph_that_cannot_be_read_is_named(tmp_path: Path, damage: str):
    """And no half pack stays behind."""
    photo = tmp_path / "photos" / "broken.jpg"
    photo.parent.mkdir()
    if damage != "missing":
        photo.write_bytes(b"" if damage == "empty" else b"no picture")
    people = [*PEOPLE, replace(PEOPLE[0], image=photo, pixels=None)]

    with pytest.raises(DatasetError, match=r"broken\.jpg") as caught:
        pack(people, CROP, PADDING, fingerprint="a", cache=tmp_path / "cache")

    assert str(tmp_path) not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_photograph_is_upright_rgb(tmp_path: Path):
    """Training turns by EXIF as serving does."""
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned by a quarter
    image.save(tmp_path / "turned.png", exif=exif)

    upright = picture_of(replace(PEOPLE[0], image=tmp_path / "turned.png", pixels=None))

    assert (upright.size, upright.mode) == ((3, 4), "RGB")


@pytest.mark.parametrize(
    ("mode", "limit", "mapped"),
    [
        ("auto", 1 << 30, False),
        ("auto", 0, True),
        ("memory", 0, False),
        ("disk", 1 << 30, True),
    ],
)
def test_a_pack_lies_where_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode, limit: int, mapped: bool
):
    """`auto` is memory where it is small; what is read is the same either way."""
    monkeypatch.setattr(packing, "IN_MEMORY_BYTES", limit)

    found = pack(PEOPLE, CROP, PADDING, fingerprint="", cache=tmp_path, mode=mode)

    assert isinstance(found.pixels, np.memmap) == mapped
    np.testing.assert_array_equal(found.pixels, pack(PEOPLE, CROP, PADDING, fingerprint="").pixels)


def test_a_pack_on_disk_needs_a_folder():
    """Told at once, not after an hour of cutting out."""
    with pytest.raises(ConfigError, match=r"training\.cache: there is no folder"):
        pack(PEOPLE, CROP, PADDING, fingerprint="", mode="disk")


def test_a_disk_that_is_too_small_is_told_before_anybody_is_cut_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A page of a mapped file that finds no room later would kill the process without a word."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    told: list[int] = []

    with pytest.raises(DiskFull, match="no space left"):
        pack(
            PEOPLE,
            CROP,
            PADDING,
            fingerprint="",
            cache=tmp_path,
            advance=lambda done, of: told.append(done),
        )

    assert told == []
    assert list(tmp_path.iterdir()) == []
