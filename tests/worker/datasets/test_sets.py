"""Registering labelled sets below the data folder."""

import json
from pathlib import Path

import pytest
from PIL import Image

from model.errors import DatasetError
from worker.datasets import Datasets
from worker.errors import DatasetExists, DatasetNotFound, NameInvalid
from worker.store import Database

NAMES = ["nose", "left_eye", "right_eye"]


def write_set(folder: Path, people: dict[str, int], images: bool = True) -> None:
    """A COCO folder: for each split so many people, each on an image of 40 × 30 pixels."""
    category = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2]]}
    (folder / "annotations").mkdir(parents=True)
    (folder / "images").mkdir()
    for split, count in people.items():
        content = {
            "categories": [category],
            "images": [{"id": i, "file_name": f"{split}{i}.png"} for i in range(count)],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 1, "bbox": [1, 1, 20, 20],
                 "keypoints": [5, 5, 2, 8, 5, 2, 99, 5, 2]}
                for i in range(count)
            ],
        }  # fmt: skip
        file = folder / "annotations" / f"person_keypoints_{split}.json"
        file.write_text(json.dumps(content))
        for i in range(count if images else 0):
            Image.new("RGB", (40, 30)).save(folder / "images" / f"{split}{i}.png")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def datasets(database: Database, data_dir: Path) -> Datasets:
    return Datasets(database, data_dir)


def test_a_set_is_noted_with_its_counts(datasets: Datasets, data_dir: Path) -> None:
    """For each split, with what a person should know about it."""
    write_set(data_dir / "gym", {"train": 3, "valid": 2})

    noted = datasets.register("gym", "coco", "gym")

    assert noted.splits == {
        "train": {
            "people": 3, "images": 3, "skeleton": "person", "joints": dict.fromkeys(NAMES, 3),
        },
        "valid": {
            "people": 2, "images": 2, "skeleton": "person", "joints": dict.fromkeys(NAMES, 2),
        },
    }  # fmt: skip
    assert noted.problems == [
        "train: 3 joints of 3 people lie outside their image",
        "valid: 2 joints of 2 people lie outside their image",
    ]
    assert len(noted.fingerprint) == 64
    assert datasets.get("gym").splits == noted.splits
    assert [d.name for d in datasets.all()] == ["gym"]
    assert datasets.lookup("gym") == ("coco", (data_dir / "gym").resolve())


def test_the_fingerprint_follows_the_labels_and_not_the_place(
    datasets: Datasets, data_dir: Path
) -> None:
    """Two folders with the same content are the same data."""
    write_set(data_dir / "a", {"train": 3})
    write_set(data_dir / "b/deeper", {"train": 3})
    write_set(data_dir / "c", {"train": 2})

    prints = [datasets.register(n, "coco", p).fingerprint for n, p in
              (("a", "a"), ("b", "b/deeper"), ("c", "c"))]  # fmt: skip

    assert prints[0] == prints[1] != prints[2]


def test_a_set_whose_images_are_missing_is_refused(datasets: Datasets, data_dir: Path) -> None:
    """With how many, and the first of them."""
    write_set(data_dir / "gym", {"train": 12}, images=False)

    with pytest.raises(DatasetError, match=r"gym, train: 12 images are missing: .*train0\.png, "):
        datasets.register("gym", "coco", "gym")

    assert datasets.all() == []


def test_a_faulty_set_names_file_and_row_but_no_server_path(
    datasets: Datasets, data_dir: Path
) -> None:
    """Relative to the data folder."""
    write_set(data_dir / "gym", {"train": 1})
    file = data_dir / "gym/annotations/person_keypoints_train.json"
    file.write_text(file.read_text().replace('"bbox"', '"box"'))

    with pytest.raises(DatasetError, match=r"annotation 0.*: lacks the key 'bbox'") as refusal:
        datasets.register("gym", "coco", "gym")

    assert str(data_dir) not in str(refusal.value)


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("..", "is not a relative path inside the data folder"),
        ("gym/../../x", "is not a relative path inside the data folder"),
        ("/etc", "is not a relative path inside the data folder"),
        ("a\0b", "is not a relative path inside the data folder"),
        ("nothing", "does not exist in the data folder"),
        ("a" * 5000, "does not exist in the data folder"),
        ("\udcff", "is not a relative path inside the data folder"),
    ],
)
def test_a_path_that_leaves_the_data_folder_is_refused(
    datasets: Datasets, data_dir: Path, path: str, fault: str
) -> None:
    """A stranger who can register sets must not read the server's disk."""
    with pytest.raises(DatasetError, match=fault):
        datasets.register("x", "coco", path)


def test_a_link_in_the_data_folder_is_the_operators_word(
    datasets: Datasets, data_dir: Path, tmp_path: Path
) -> None:
    """Nobody copies a hundred thousand photographs to try a server."""
    write_set(tmp_path / "elsewhere", {"train": 1})
    (data_dir / "gym").symlink_to(tmp_path / "elsewhere")

    datasets.register("gym", "coco", "gym")

    assert datasets.lookup("gym") == ("coco", data_dir / "gym")


def test_an_unknown_format_is_refused_with_those_that_are_known(datasets: Datasets) -> None:
    """They are few."""
    with pytest.raises(DatasetError, match="unknown format 'voc': lsp, mpii, coco, pack"):
        datasets.register("x", "voc", "x")


def test_a_name_belongs_to_one_set(datasets: Datasets, data_dir: Path) -> None:
    """A job's `dataset` must not change its meaning; the same set may be read again."""
    write_set(data_dir / "gym", {"train": 1})
    write_set(data_dir / "clinic", {"train": 1})
    datasets.register("mine", "coco", "gym")

    datasets.register("mine", "coco", "./gym/")
    with pytest.raises(DatasetExists, match="data set 'mine' is coco at gym; take another name"):
        datasets.register("mine", "coco", "clinic")


def test_an_unknown_set_is_named_with_those_that_there_are(
    datasets: Datasets, data_dir: Path
) -> None:
    """A typing error shows at once."""
    write_set(data_dir / "gym", {"train": 1})
    datasets.register("gym", "coco", "gym")

    with pytest.raises(DatasetNotFound, match="there is no data set 'gmy'; there are: gym"):
        datasets.lookup("gmy")
    with pytest.raises(DatasetNotFound):
        datasets.get("a\0b")


def test_a_set_whose_folder_is_gone_says_so(datasets: Datasets, data_dir: Path) -> None:
    """The job fails with it, instead of the reader's own guess."""
    write_set(data_dir / "gym", {"train": 1})
    datasets.register("gym", "coco", "gym")
    (data_dir / "gym").rename(data_dir / "moved")

    with pytest.raises(DatasetError, match="gym: does not exist in the data folder"):
        datasets.lookup("gym")


def test_a_name_with_a_slash_is_refused(datasets: Datasets) -> None:
    """It stands in URLs."""
    with pytest.raises(NameInvalid, match="cannot name a data set"):
        datasets.register("a/b", "coco", "x")


SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.data
@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
def test_real_photographs_can_be_registered(database: Database) -> None:
    """The sets that the bundled student learnt from."""
    datasets = Datasets(database, SHARED)

    noted = datasets.register("lsp", "lsp", "lsp")

    assert {name: split["people"] for name, split in noted.splits.items()} == {
        "train": 997,
        "valid": 500,
    }
