"""What is told of a set: is it complete, and is it the one that was trained on?"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.data.check import check_set, fingerprint
from model.data.person import Person
from model.data.readers import LabelledSet
from model.geometry import Box
from model.skeletons import LSP14


def person(image: Path, *, at: tuple[float, float] = (5, 5), **changes) -> Person:
    """All joints at one point but the last, which has no label."""
    joints = np.tile(np.array([*at, 1], np.float32), (14, 1))
    joints[13] = 0
    return replace(Person(image=image, joints_img=joints, box_img=Box(0, 0, 10, 10)), **changes)


def as_set(*people: Person) -> LabelledSet:
    return LabelledSet(name="lsp:all", skeleton=LSP14, people=list(people), source="")


def save(path: Path, size: tuple[int, int] = (40, 30), orientation: int = 1) -> Path:
    """A grey JPEG of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size, (128, 128, 128)).save(path, exif=exif)
    return path


def test_a_sound_set_has_no_faults(tmp_path):
    """Two people share a photograph: it counts once."""
    first, second = save(tmp_path / "1.jpg"), save(tmp_path / "2.jpg")

    report = check_set(as_set(person(first), person(first), person(second)))

    assert (report.people, report.images) == (3, 2)
    assert report.joints == dict.fromkeys(LSP14.joints[:13], 3) | {"head_top": 0}
    assert report.faults == ()
    json.dumps(report.to_json(), allow_nan=False)


def test_missing_and_unreadable_images_are_named(tmp_path):
    """The first of them, with how many there are, and no path of this machine."""
    (tmp_path / "sub").mkdir()
    damaged = tmp_path / "sub" / "damaged.jpg"
    damaged.write_bytes(b"not an image")
    missing = [tmp_path / f"{i:02d}.jpg" for i in range(12)]

    report = check_set(as_set(person(damaged), *map(person, missing)))

    assert report.images_missing == 12
    names = ", ".join(f"{i:02d}.jpg" for i in range(10))
    assert report.faults == (
        f"12 images are missing: {names}, …",
        "1 images cannot be read: sub/damaged.jpg",
    )


@pytest.mark.parametrize(
    ("at", "outside"),
    [((-0.5, 0), 0), ((-0.6, 0), 13), ((39.5, 29.5), 0), ((39.6, 0), 13), ((0, 29.6), 13)],
)
def test_joints_out_of_bounds_are_counted(tmp_path, at, outside):
    """Pixel centres are whole: an image 40 wide reaches from −0.5 to 39.5."""
    image = save(tmp_path / "1.jpg", (40, 30))

    report = check_set(as_set(person(image, at=at)))

    assert report.joints_outside == outside
    assert report.outside_people == (outside > 0)
    assert report.faults == ()  # photographs cut people off


def test_bounds_are_those_of_the_upright_image(tmp_path):
    """EXIF orientation 6 turns 40×30 to 30×40, as every image is read."""
    image = save(tmp_path / "1.jpg", (40, 30), orientation=6)

    assert check_set(as_set(person(image, at=(5, 35)))).joints_outside == 0
    assert check_set(as_set(person(image, at=(35, 5)))).joints_outside == 13


def test_a_box_beside_its_image_is_a_fault(tmp_path):
    """Its crop would be black."""
    image = save(tmp_path / "1.jpg", (40, 30))

    report = check_set(as_set(person(image, box_img=Box(40, 0, 10, 10))))

    assert report.faults == ("1 people's boxes lie off their images",)


def test_a_set_of_nobody_is_a_fault():
    """It would train on nothing."""
    assert check_set(as_set()).faults == ("it holds no labelled person",)


def test_pictures_in_memory_need_no_file():
    """The drawn set has none."""
    drawn = person(Path("figure-0"), pixels=np.zeros((30, 40, 3), np.uint8), at=(39, 29))

    report = check_set(as_set(drawn))

    assert (report.images_missing, report.joints_outside) == (0, 0)


def test_a_moved_set_keeps_its_fingerprint(tmp_path):
    """It is the same data on another machine."""
    before = [save(tmp_path / "here" / sub / "1.jpg") for sub in "ab"]
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "deep")
    after = [tmp_path / "there" / "deep" / sub / "1.jpg" for sub in "ab"]

    prints = {fingerprint(as_set(*map(person, images))) for images in (before, after)}

    assert len(prints) == 1
    assert len(prints.pop()) == 64


@pytest.mark.parametrize(
    "changes",
    [
        {"joints_img": np.ones((14, 3), np.float32)},
        {"box_img": Box(0, 0, 10, 11)},
        {"head_px": 4.0},
        {"visible": np.zeros(14, np.int8)},
        {"image": Path("2.jpg")},
        {"pixels": np.ones((4, 4, 3), np.uint8)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_any_change_of_a_label_changes_the_fingerprint(changes):
    """A run names what it was trained on."""
    plain = person(Path("1.jpg"), pixels=np.zeros((4, 4, 3), np.uint8))
    other = person(Path("0.jpg"))

    before = fingerprint(as_set(other, plain))
    after = fingerprint(as_set(other, replace(plain, **changes)))

    assert before != after


def test_a_replaced_image_changes_the_fingerprint(tmp_path):
    """By its size in bytes; a missing one is not an empty one."""
    image = tmp_path / "1.jpg"
    prints = {fingerprint(as_set(person(image)))}
    image.touch()
    prints.add(fingerprint(as_set(person(image))))
    save(image)
    prints.add(fingerprint(as_set(person(image))))

    assert len(prints) == 3
