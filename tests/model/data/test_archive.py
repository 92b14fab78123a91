"""A pack trains the same: the same people, labels and pixels, wherever its files are carried."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from model.data.archive import Recipe, is_packed, write_pack
from model.data.check import check_set, fingerprint
from model.data.mixture import open_mixture
from model.data.packing import MARGIN, blurred, exact_crops, pack, picture_of
from model.data.person import Person
from model.data.readers import LabelledSet, read_coco, read_lsp
from model.data.readers.pack import pack_splits, read_pack
from model.data.synthetic import draw_people
from model.errors import DatasetError
from model.evaluation import evaluate_student
from model.geometry import Box, crop_to_map
from model.heatmaps import render
from model.metrics.ap import average_precision
from model.predictor import BUNDLED, Predictor
from model.skeletons import COCO17, MPII16

DATA = Path(__file__).parents[4] / "shared" / "data"
PEOPLE = draw_people(6, seed=4, size_px=160)
RECIPE = Recipe(crop_px=(96, 96), padding=0.2, quality=52, terms="research only")


def drawn(people: list[Person] = PEOPLE, name: str = "drawn:train") -> LabelledSet:
    return LabelledSet(name, MPII16, people, "")


def packed(labelled: LabelledSet, folder: Path, recipe: Recipe = RECIPE) -> LabelledSet:
    return read_pack(write_pack(labelled, folder, recipe), None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of drawn people: its file."""
    return write_pack(drawn(), tmp_path_factory.mktemp("packs"), RECIPE)


def test_every_label_is_kept_and_leads_back_to_the_photograph(whole: Path):
    """Joints, boxes, head sizes, visibility and areas are moved, not rounded and not lost."""
    areas = [replace(p, origin={"image_id": i, "area": 900.5}) for i, p in enumerate(PEOPLE)]
    labelled = drawn(areas)
    found = packed(labelled, whole.parent.parent / "areas")

    assert (found.name, found.skeleton) == (labelled.name, MPII16)
    (how,) = found.packed
    assert (how.fingerprint, how.terms) == (fingerprint(labelled), "research only")
    for person, before in zip(found.people, areas, strict=True):
        after = person.on_photograph
        np.testing.assert_array_equal(person.labelled, before.labelled)
        np.testing.assert_array_equal(person.visible, before.visible)
        np.testing.assert_allclose(after.joints_img, before.joints_img, atol=1e-3)
        np.testing.assert_allclose(after.box_img.as_list(), before.box_img.as_list(), atol=1e-9)
        assert after.head_px == pytest.approx(before.head_px)
        assert after.origin == {"image_id": before.origin["image_id"], "area": pytest.approx(900.5)}
        assert person.cutting is not None
        assert person.cutting.photo == str(before.image)
        assert person.origin["area"] == pytest.approx(900.5 / person.cutting.px**2)


@pytest.mark.parametrize("crop_px", [(96, 96), (64, 64), (96, 72)])
def test_targets_are_the_same_at_the_packed_size_and_below(whole: Path, crop_px: tuple[int, int]):
    """What is learnt from: heatmaps of the pack's people against those of the photographs'."""
    before = pack(PEOPLE, crop_px, 0.2, fingerprint="")
    after = pack(read_pack(whole, None).people, crop_px, 0.2, fingerprint="")

    seen = before.joints[..., 2] > 0
    np.testing.assert_array_equal(after.joints[..., 2], before.joints[..., 2])
    np.testing.assert_allclose(after.joints[seen], before.joints[seen], atol=1e-3)
    targets = [
        render(crop_to_map(torch.from_numpy(each.joints[..., :2])), crop_px, sigma_cells=2)[seen]
        for each in (before, after)
    ]
    torch.testing.assert_close(*targets, atol=1e-3, rtol=0)


def test_pixels_are_the_same_but_for_the_coding(whole: Path):
    """At the packed size no pixel is resampled twice: a shift by half of one would show."""
    fine = packed(drawn(), whole.parent.parent / "fine", replace(RECIPE, quality=100))

    before = pack(PEOPLE, (96, 96), 0.2, fingerprint="").pixels.astype(float)
    after, coarse = (
        pack(read.people, (96, 96), 0.2, fingerprint="").pixels.astype(float)
        for read in (fine, read_pack(whole, None))
    )

    assert 10 * np.log10(255**2 / ((after - before) ** 2).mean()) > 36
    assert 10 * np.log10(255**2 / ((coarse - before) ** 2).mean()) > 28


def test_a_photograph_smaller_than_the_crop_is_not_enlarged(tmp_path: Path):
    """Its own pixels are kept, which says all and takes less."""
    people = draw_people(3, seed=1, size_px=64)

    found = packed(drawn(people), tmp_path, replace(RECIPE, quality=100))

    for person, before in zip(found.people, people, strict=True):
        assert person.cutting is not None
        assert person.cutting.px == 1
        height, width, _ = before.pixels.shape
        image = picture_of(person)
        assert (image.height, image.width) <= (height, width)
        x, y = int(person.cutting.x), int(person.cutting.y)
        under = before.pixels[y : y + image.height, x : x + image.width].mean(-1)
        assert abs(np.asarray(image).mean(-1) - under).mean() < 4  # a shift by one: 12


@settings(max_examples=40)
@given(
    box=st.tuples(st.floats(-30, 50), st.floats(-30, 50), st.floats(31, 200), st.floats(31, 200)),
    size=st.tuples(st.integers(40, 120), st.integers(40, 120)),
    crop=st.tuples(st.integers(32, 80), st.integers(32, 80)),
)
def test_all_that_training_can_turn_to_is_kept(
    box: tuple[float, float, float, float], size: tuple[int, int], crop: tuple[int, int]
):
    """Whatever the box, the pixels of the crop with its margin are the photograph's."""
    assume(Box(*box).overlaps(size))
    rows, columns = np.mgrid[: size[0], : size[1]]
    ramp = np.stack([rows, columns, 0 * rows], -1).astype(np.uint8) * 2  # survives resampling
    joints = np.zeros((len(MPII16), 3), np.float32)
    joints[0] = 5, 5, 1
    person = Person(Path("p"), joints, Box(*box), pixels=ramp)
    with tempfile.TemporaryDirectory() as folder:
        recipe = replace(RECIPE, crop_px=crop, quality=100)
        (cut,) = packed(drawn([person]), Path(folder), recipe).people
        before, after = (pack([p], crop, 0.2, fingerprint="").pixels[0] for p in (person, cut))
    H, W = before.shape[:2]
    assert (round(crop[0] * MARGIN), round(crop[1] * MARGIN)) == (H, W)
    unlike = abs(before.astype(int) - after.astype(int)).max(-1) > 6
    # A line of pixels along the photograph's edge may be black in one and not in the other.
    assert unlike.mean() < 4 / min(H, W)


def test_a_pack_is_the_same_to_the_byte_each_time(whole: Path, tmp_path: Path):
    """So that a copy can be compared, and a fingerprint says what it should."""
    again = write_pack(drawn(), tmp_path, RECIPE)

    assert again.read_bytes() == whole.read_bytes()


def test_what_is_packed_already_is_left_and_what_is_not_the_same_is_not_overwritten(whole: Path):
    """An interrupted command may be repeated; a hand-kept pack is safe."""
    folder = whole.parent.parent

    assert is_packed(drawn(), folder, RECIPE)
    assert not is_packed(drawn(name="drawn:valid"), folder, RECIPE)
    for other, recipe in [
        (drawn(PEOPLE[:5]), RECIPE),
        (drawn(), replace(RECIPE, quality=53)),
        (drawn(), replace(RECIPE, crop_px=(64, 64))),
    ]:
        with pytest.raises(DatasetError, match=r"drawn/train\.zip: is there already"):
            is_packed(other, folder, recipe)


def test_a_photograph_that_cannot_be_read_leaves_no_pack(tmp_path: Path):
    """Whose rows would be one short."""
    photo = tmp_path / "broken.png"
    Image.new("RGB", (160, 160)).save(photo)
    photo.write_bytes(photo.read_bytes()[:-30])
    Image.fromarray(PEOPLE[0].pixels).save(tmp_path / "whole.png")
    people = [
        replace(person, image=tmp_path / name, pixels=None)
        for person, name in zip(PEOPLE, ("whole.png", "broken.png"), strict=False)
    ]

    with pytest.raises(DatasetError, match=r"broken\.png"):
        write_pack(drawn(people), tmp_path / "packs", RECIPE)

    assert list((tmp_path / "packs").rglob("*.*")) == []


def test_a_set_with_faults_is_not_packed(tmp_path: Path):
    """Nobody would find them later."""
    people = [replace(PEOPLE[0], image=tmp_path / "gone.jpg", pixels=None)]

    with pytest.raises(DatasetError, match=r"drawn:train: 1 images are missing: gone\.jpg"):
        write_pack(drawn(people), tmp_path, RECIPE)


def test_a_killed_pack_does_not_read_as_whole(tmp_path: Path):
    """Killed without a chance to tidy up: no split of this name is there."""
    script = (
        "import os, sys; from pathlib import Path\n"
        "from model.data.archive import Recipe, write_pack\n"
        "from model.data.readers import LabelledSet\n"
        "from model.data.synthetic import draw_people\n"
        "from model.skeletons import MPII16\n"
        "labelled = LabelledSet('drawn:train', MPII16, draw_people(3, seed=4, size_px=64), '')\n"
        "recipe = Recipe((96, 96), 0.2, 52, '')\n"
        "write_pack(labelled, Path(sys.argv[1]), recipe, lambda done, of: os._exit(9))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=60)

    assert done.returncode == 9
    assert list((tmp_path / "drawn").iterdir()) != []  # what it had begun
    assert pack_splits(tmp_path / "drawn") == ()
    with pytest.raises(DatasetError, match=r"has no <split>\.zip"):
        read_pack(tmp_path / "drawn", None)
    write_pack(drawn(), tmp_path, RECIPE)
    assert pack_splits(tmp_path / "drawn") == ("train",)


def test_splits_stay_apart_and_are_read_together_on_request(tmp_path: Path):
    """Each is a file; a folder of several sets is not one of them."""
    write_pack(drawn(PEOPLE[:4]), tmp_path, RECIPE)
    write_pack(drawn(PEOPLE[4:], "drawn:valid"), tmp_path, RECIPE)

    assert pack_splits(tmp_path / "drawn") == ("train", "valid")
    assert len(read_pack(tmp_path / "drawn", "valid").people) == 2
    both = read_pack(tmp_path / "drawn", None)
    assert (both.name, len(both.people), len(both.packed)) == ("drawn:train+valid", 6, 2)
    with pytest.raises(DatasetError, match="has no split 'test'; there are: train, valid"):
        read_pack(tmp_path / "drawn", "test")
    with pytest.raises(DatasetError, match="it holds the packed sets drawn"):
        read_pack(tmp_path, None)


def test_a_pack_that_was_carried_elsewhere_is_the_same(whole: Path, tmp_path: Path):
    """Plain files: nothing in them says where they lie."""
    shutil.copytree(whole.parent, tmp_path / "there" / "drawn")

    here, there = (read_pack(p, None) for p in (whole, tmp_path / "there" / "drawn"))

    assert fingerprint(here) == fingerprint(there)
    assert str(whole.parent) not in whole.read_bytes().decode("latin-1")
    assert check_set(there).faults == ()
    assert check_set(there).images == len(PEOPLE)


def test_a_pack_may_be_packed_again(whole: Path, tmp_path: Path):
    """Smaller, say: its people are still those of the photographs and of the set."""
    again = packed(read_pack(whole, None), tmp_path, replace(RECIPE, crop_px=(64, 64)))

    for person, before in zip(again.people, PEOPLE, strict=True):
        np.testing.assert_allclose(person.on_photograph.joints_img, before.joints_img, atol=1e-3)
        assert person.cutting is not None
        assert person.cutting.photo == str(before.image)
    assert again.packed[0].fingerprint == fingerprint(drawn())


def test_larger_crops_than_it_was_packed_for_are_told(whole: Path):
    """They train, but on less detail than the photographs had."""
    people = read_pack(whole, None).people

    assert blurred(people, (96, 96), 0.2) == ""
    assert blurred(people, (64, 48), 0.2) == ""
    assert blurred(PEOPLE, (192, 192), 0.2) == ""  # no pack: nothing was taken from them
    assert (
        "6 of 6 people are packed for smaller crops than 192 × 192 pixels, and enlarged up to "
        in (blurred(people, (192, 192), 0.2))
    )


def coco_like(two_on_one: bool) -> list[Person]:
    """People of areas in each of COCO's classes, two on one photograph where asked for."""
    people = draw_people(4, seed=9, size_px=160, skeleton=COCO17)
    photo = Image.fromarray(np.concatenate([p.pixels for p in people[:2]], 1))
    shifted = replace(people[1].moved(1, 160, 0), image=people[0].image, pixels=np.asarray(photo))
    joined = [replace(people[0], pixels=np.asarray(photo)), shifted] if two_on_one else people[:2]
    areas = (1500.0, 8000.0, 10_000.0, 2000.0)
    return [
        replace(p, origin={"area": area})
        for p, area in zip([*joined, *people[2:]], areas, strict=True)
    ]


@pytest.mark.parametrize("two_on_one", [False, True])
def test_average_precision_is_that_of_the_photographs(tmp_path: Path, two_on_one: bool):
    """Medium people stay medium though they are cut out larger, neighbours stay neighbours."""
    people = coco_like(two_on_one)
    found = packed(LabelledSet("coco:valid", COCO17, people, ""), tmp_path)
    rng = np.random.default_rng(0)
    poses = np.array([p.joints_img for p in people], np.float64)
    if two_on_one:  # the finder took each for the other, which on one photograph is right twice
        poses[[0, 1]] = poses[[1, 0]]
    poses[..., :2] += rng.normal(0, 2, poses[..., :2].shape)
    poses[..., 2] = rng.random(poses.shape[:2])
    cut = poses.copy()
    for pose, person in zip(cut, found.people, strict=True):
        assert person.cutting is not None
        pose[:, :2] = (pose[:, :2] - [person.cutting.x, person.cutting.y]) / person.cutting.px

    assert average_precision(cut, found.people, COCO17) == pytest.approx(
        average_precision(poses, people, COCO17)
    )


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_pack_that_is_cut_short_is_refused(whole: Path, tmp_path: Path, kept: float):
    """As a copy ends when the disk is full."""
    file = tmp_path / "drawn" / "train.zip"
    file.parent.mkdir()
    data = whole.read_bytes()
    file.write_bytes(data[: int(kept * len(data))])

    with pytest.raises(DatasetError, match=r"drawn/train\.zip: is no pack, damaged or cut short"):
        read_pack(file, None)


def test_a_damaged_picture_is_named_by_its_row(whole: Path, tmp_path: Path):
    """The set is read without it being looked at; then it is, and by `check_set` too."""
    row = 3
    start = read_pack(whole, None).people[row].cutting.start
    data = bytearray(whole.read_bytes())
    data[start + 40] ^= 1
    file = tmp_path / "drawn" / "train.zip"
    file.parent.mkdir()
    file.write_bytes(data)

    labelled = read_pack(file, None)

    with pytest.raises(DatasetError, match=r"drawn/train\.zip, row 3: the picture is damaged"):
        exact_crops(labelled.people, (64, 64), 0.2)
    assert check_set(labelled).faults == (f"1 images cannot be read: {row}",)


@settings(max_examples=60)
@given(at=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_no_damage_goes_unseen(whole: Path, at: float, change: int):
    """Whichever byte is another: an error of ours, or all labels and pictures as they were."""
    data = bytearray(whole.read_bytes())
    data[int(at * len(data))] ^= change
    file = whole.parent / "damaged" / "train.zip"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)

    try:
        found = read_pack(file, None)
        pictures = [picture_of(person) for person in found.people]
    except DatasetError as error:
        assert "damaged/train.zip" in str(error)
        return
    for person, picture, before in zip(
        found.people, pictures, read_pack(whole, None).people, strict=True
    ):
        np.testing.assert_array_equal(person.joints_img, before.joints_img)
        assert picture == picture_of(before)


def rewritten(whole: Path, folder: Path, entry: str, content: bytes) -> Path:
    """The pack with another content of one entry, checksums right."""
    file = folder / "drawn" / "train.zip"
    file.parent.mkdir()
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(file, "w") as new:
        for info in old.infolist():
            new.writestr(info, content if info.filename == entry else old.read(info))
    return file


def as_npy(values: np.ndarray, folder: Path) -> bytes:
    np.save(folder / "values.npy", values)
    return (folder / "values.npy").read_bytes()


@pytest.mark.parametrize(
    ("entry", "row", "value", "fault"),
    [
        ("joints", (2, 3), (1, 1, 2), "row 2: a joint has a flag that is neither 0 nor 1"),
        ("joints", (1, 0), (np.nan, 1, 1), "row 1: a joint has coordinates that are not a place"),
        ("boxes", 4, (0, 0, 0, 5), "row 4: box .* has no area"),
        ("head_px", 0, 0, "row 0: the head's size is not above 0"),
        ("places", 5, (0, 0, 0), "row 5: the place in the photograph"),
        ("visible", 1, 3, "row 1: visible holds something but -1, 0 and 1"),
    ],
)
def test_labels_that_cannot_be_are_refused(whole, tmp_path, entry, row, value, fault):
    """A pack from another hand is a set like any other."""
    with zipfile.ZipFile(whole) as archive, archive.open(f"{entry}.npy") as file:
        values = np.load(file)
    values[row] = value
    file = rewritten(whole, tmp_path, f"{entry}.npy", as_npy(values, tmp_path))

    with pytest.raises(DatasetError, match=rf"drawn/train\.zip, {fault}"):
        read_pack(file, None)


@pytest.mark.parametrize(
    ("entry", "content", "fault"),
    [
        ("about.json", b"{}", "about.json: name: Field required"),
        ("about.json", b"[1", "about.json: : Invalid JSON"),
        ("joints.npy", b"", "is no pack, damaged or cut short"),
    ],
)
def test_a_file_that_is_not_ours_is_refused(whole, tmp_path, entry, content, fault):
    """Any ZIP may end in .zip."""
    file = rewritten(whole, tmp_path, entry, content)

    with pytest.raises(DatasetError, match=rf"drawn/train\.zip: {fault}"):
        read_pack(file, None)


def test_a_pack_is_one_of_the_sources_of_a_training(whole: Path, make_config):
    """Through the same record as every set, and the manifest says what it was cut from."""
    source = f"{{format: pack, path: {whole.parent}, split: train, people: 4}}"
    config = make_config(f"data.train=[{source}]")

    mixture = open_mixture(config.data.train, MPII16)

    assert len(mixture.people) == 4
    assert mixture.origins[0].packed[0].fingerprint == fingerprint(drawn())


def pck(labelled: LabelledSet, metric: str = "pck@0.2") -> float:
    found = evaluate_student(Predictor(BUNDLED, threads=1), labelled)
    return float(found[metric]["mean"])


def test_the_bundled_student_scores_the_same_on_a_pack(tmp_path: Path):
    """At the bundled student's 128 pixels, below what is packed."""
    labelled = drawn(draw_people(60, seed=8, size_px=224))
    recipe = replace(RECIPE, crop_px=(192, 192), padding=0.25)

    found = packed(labelled, tmp_path, recipe)

    assert pck(found) == pytest.approx(pck(labelled), abs=1.5)
    assert pck(found, "pckh@0.5") == pytest.approx(pck(labelled, "pckh@0.5"), abs=1.5)


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="no ../shared/data")
def test_the_bundled_student_scores_the_same_on_packed_photographs(tmp_path: Path):
    """Packed for larger crops than the student's, as they will be, and for its very own."""
    labelled = read_lsp(DATA / "lsp", "valid")
    labelled = replace(labelled, people=labelled.people[:200])
    larger = packed(labelled, tmp_path / "a", replace(RECIPE, crop_px=(192, 192), padding=0.25))
    own = packed(labelled, tmp_path / "b", replace(RECIPE, crop_px=(128, 128)))

    expected = pck(labelled)

    assert pck(larger) == pytest.approx(expected, abs=1)
    assert pck(own) == pytest.approx(expected, abs=2)


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="no ../shared/data")
def test_cocos_average_precision_survives_packing(tmp_path: Path):
    """With its neighbours and its classes of size."""
    labelled = read_coco(DATA / "coco", "valid")
    predictor = Predictor(BUNDLED, threads=1)

    found = packed(labelled, tmp_path, replace(RECIPE, crop_px=(192, 192), padding=0.25))

    before, after = (evaluate_student(predictor, each)["AP"] for each in (labelled, found))
    for name in ("AP", "APM", "APL"):
        assert after[name] == pytest.approx(before[name], abs=0.03)
