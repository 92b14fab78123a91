"""A set is looked at whole: what is wrong with it is told, and what is not is not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model.config import SourceConfig
from model.errors import DatasetError
from model.validation.validate import PICTURE, REPORT, brief, validate
from tests.model.validation.drawn import (
    ALIKE,
    BROKEN,
    COPIED,
    MISSING,
    SWAPPED,
    name_of,
    write_drawn,
)
from tests.worker.datasets.zips import lsp_files, write

Report = dict[str, Any]


def source(folder: Path, **more: Any) -> SourceConfig:
    return SourceConfig(format="coco", path=folder, **more)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    write_drawn(folder / "set", faults=True)
    return folder


@pytest.fixture(scope="module")
def report(faulty: Path) -> Report:
    return validate(source(faulty / "set"), faulty)


def test_a_set_in_order_has_no_findings(tmp_path: Path) -> None:
    """Who is warned of nothing learns to read warnings."""
    write_drawn(tmp_path / "set", faults=False)

    found = validate(source(tmp_path / "set"), tmp_path)

    assert (found["people"], found["images"], found["findings"]) == (7, 7, [])
    train = found["splits"]["train"]
    assert train["sides_judged"]
    assert train["joints"]["left_knee"] == 5
    assert train["boxes"]["given"]
    assert train["boxes"]["longer_side_px"]["most"] < 193


def test_images_that_cannot_be_learnt_from_are_named(report: Report) -> None:
    """The others are looked at all the same."""
    train = report["splits"]["train"]

    assert train["missing"] == {"count": 1, "first": [name_of(MISSING)]}
    (broken,) = train["broken"]["first"]
    assert broken["image"] == name_of(BROKEN)
    assert "damaged or cut short" in broken["reason"]


def test_a_pair_labelled_against_the_others_is_suspected(report: Report) -> None:
    """And only that one."""
    (swap,) = report["splits"]["train"]["swaps"]["first"]

    assert (swap["image"], swap["person"], swap["kind"]) == (name_of(SWAPPED), 4, "pair")
    assert set(swap["joints"]) == {"left_knee", "right_knee"}
    assert report["splits"]["valid"]["swaps"]["count"] == 0


def test_photographs_of_two_splits_are_told(report: Report) -> None:
    """Byte by byte, and one that was made darker and pressed harder."""
    pairs = [
        (pair["first"]["image"], pair["second"]["image"], pair["same_bytes"])
        for pair in report["duplicates"]["first"]
    ]

    assert pairs == [(name_of(COPIED), "copied.jpg", True), (name_of(ALIKE), "alike.jpg", False)]
    assert report["duplicates"]["first"][0]["first"]["split"] == "train"


def test_every_finding_is_a_sentence(report: Report) -> None:
    """What a person reads first."""
    assert report["findings"] == [
        "train: images that are missing: 1",
        "train: images that are broken: 1",
        "train: people whose sides may be exchanged: 1",
        "pairs of images in two splits, the same byte by byte: 1",
        "pairs of images in two splits that look the same: 1",
    ]


def height(picture: Path) -> int:
    with Image.open(picture) as image:
        assert image.format == "PNG"
        return image.height


def test_report_and_picture_are_written(faulty: Path, tmp_path: Path, report: Report) -> None:
    """Rows of tiles for people, a suspect, copies, as many as were asked for."""
    validate(source(faulty / "set"), tmp_path, pictures=2)

    assert json.loads((faulty / REPORT).read_text()) == json.loads(json.dumps(report))
    title, row = 36, 220 + 3 * 18 + 10
    assert height(faulty / PICTURE) == 10 + 3 * title + 4 * row  # nine people take two
    assert height(tmp_path / PICTURE) == 10 + 3 * title + 3 * row


def test_a_split_that_cannot_be_read_is_told_beside_the_others(
    faulty: Path, tmp_path: Path
) -> None:
    """A report is worth more than the first fault."""
    shutil.copytree(faulty / "set", tmp_path / "set")
    (tmp_path / "set/annotations/person_keypoints_test.json").write_text("{")

    found = validate(source(tmp_path / "set"), tmp_path, pictures=0)

    assert height(tmp_path / PICTURE) < 220, "no pictures were asked for"
    assert "is not valid JSON" in found["splits"]["test"]["unreadable"]
    assert found["findings"][0].startswith("test: cannot be read: set/annotations/")
    assert found["splits"]["train"]["people"] == 5


def test_a_set_that_cannot_be_read_at_all_is_an_error(tmp_path: Path) -> None:
    """There is nothing to report on."""
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/person_keypoints_train.json").write_text("[]")

    with pytest.raises(DatasetError, match=r"person_keypoints_train\.json"):
        validate(source(tmp_path), tmp_path)


def test_a_set_without_any_photograph_is_reported(tmp_path: Path) -> None:
    """All are missing; the picture says so, and shows no black tiles."""
    write_drawn(tmp_path / "set", faults=False)
    shutil.rmtree(tmp_path / "set/images")

    found = validate(source(tmp_path / "set", split="valid"), tmp_path)

    assert list(found["splits"]) == ["valid"]
    assert found["findings"] == ["valid: images that are missing: 2"]
    assert 30 < height(tmp_path / PICTURE) < 220


def test_a_set_without_splits_is_looked_at_whole(tmp_path: Path) -> None:
    """Its name for that is the server's own."""
    write(tmp_path, {k: v for k, v in lsp_files().items() if not k.endswith(".txt")})

    found = validate(SourceConfig(format="lsp", path=tmp_path), tmp_path / "out")

    assert list(found["splits"]) == ["all"]
    assert found["splits"]["all"]["people"] == 3
    assert not found["splits"]["all"]["boxes"]["given"]


def test_long_lists_end_early(
    faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set of another set's labels must not make a report of gigabytes; the count is true."""
    monkeypatch.setattr("model.validation.validate.LISTED", 1)

    found = validate(source(faulty / "set"), tmp_path, pictures=0)

    assert (found["duplicates"]["count"], len(found["duplicates"]["first"])) == (2, 1)


def test_a_listener_hears_how_far_it_is_and_can_end_it(faulty: Path, tmp_path: Path) -> None:
    """Nothing is written then."""
    told = []

    def listen(done: int, of: int) -> None:
        told.append((done, of))
        if done == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        validate(source(faulty / "set"), tmp_path, advance=listen)

    assert told == [(0, 9), (5, 9)]
    assert not list(tmp_path.iterdir())


def test_a_report_is_glanced_at_in_short(report: Report) -> None:
    """Counts stay; lists end early, however deep they stand."""
    short = brief(report, 1)

    assert short["duplicates"]["count"] == 2
    assert len(short["duplicates"]["first"]) == 1
    assert short["findings"] == report["findings"]
    assert short["splits"]["train"]["joints"] == report["splits"]["train"]["joints"]
