"""How --data, --valid and --report become three groups of people who share nobody."""

import json
from pathlib import Path

import pytest
from PIL import Image

from model.comparison.apart import shared
from model.config import SourceConfig
from model.errors import ConfigError
from service.cli.held_out import comparison_sources, drawn_for_table


def write_coco(folder: Path, **splits: int) -> str:
    """A set with so many people in each split, all on one picture; and how it is named."""
    (folder / "annotations").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    for split, people in splits.items():
        content = {
            "categories": [{"id": 1, "name": "person", "keypoints": ["nose"], "skeleton": []}],
            "images": [{"id": 1, "file_name": "a.png"}],
            "annotations": [
                {
                    "id": i,
                    "image_id": 1,
                    "category_id": 1,
                    "bbox": [0, 0, 9, 9],
                    "keypoints": [4, 4, 2],
                }
                for i in range(1, people + 1)
            ],
        }
        (folder / f"annotations/person_keypoints_{split}.json").write_text(json.dumps(content))
    return f"coco:{folder}"


def sources(
    data: list[str], valid: list[str] | None = None, report: list[str] | None = None
) -> dict[str, list[SourceConfig]]:
    parts = comparison_sources(data, valid or [], report or [])
    return {
        name: [SourceConfig.model_validate(source) for source in part]
        for name, part in parts.items()
    }


def stretches(part: list[SourceConfig]) -> list[tuple[str | None, int, int | None]]:
    return [(source.split, source.skip, source.people) for source in part]


def test_the_last_tenth_of_the_training_people_is_held_out(tmp_path: Path) -> None:
    """One stretch at the end; the split `valid` is for the table alone."""
    found = sources([write_coco(tmp_path / "set", train=700, val=90)])

    assert stretches(found["train"]) == [("train", 0, 630)]
    assert stretches(found["valid"]) == [("train", 630, 70)]
    assert stretches(found["report"]) == [("val", 0, None)]
    assert not shared(found["train"][0], found["valid"][0])


def test_never_fewer_than_fifty_are_held_out(tmp_path: Path) -> None:
    """Twelve people choose by chance."""
    found = sources([write_coco(tmp_path / "set", train=120, val=9)])

    assert stretches(found["valid"]) == [("train", 70, 50)]


def test_a_set_that_is_too_small_to_hold_fifty_out_is_refused(tmp_path: Path) -> None:
    """With what can be said instead."""
    with pytest.raises(ConfigError, match="has 80 people, too few to hold 50 of them out"):
        sources([write_coco(tmp_path / "set", train=80, val=9)])


def test_a_set_without_a_valid_split_is_only_learnt_from(tmp_path: Path) -> None:
    """Whoever chooses should be like those who are reported."""
    with_both = write_coco(tmp_path / "set", train=700, val=90)
    found = sources([with_both, write_coco(tmp_path / "more", train=300)])

    assert stretches(found["train"]) == [("train", 0, 630), ("train", 0, None)]
    assert stretches(found["valid"]) == [("train", 630, 70)]
    assert len(found["report"]) == 1


def test_people_to_choose_on_and_to_report_can_be_named(tmp_path: Path) -> None:
    """Then nobody is held out."""
    data = write_coco(tmp_path / "set", train=60, val=9)
    other = write_coco(tmp_path / "other", train=20, val=30)
    found = sources([data], [f"{other}:train"], [other])

    assert stretches(found["train"]) == [("train", 0, None)]
    assert stretches(found["valid"]) == [("train", 0, None)]
    assert stretches(found["report"]) == [("val", 0, None)]


def test_a_set_that_nobody_can_be_reported_of_is_refused(tmp_path: Path) -> None:
    """The people who choose are no table."""
    with pytest.raises(ConfigError, match="--report: no --data has a split `valid`"):
        sources([write_coco(tmp_path / "set", train=700)])


def test_drawn_people_come_from_three_seeds() -> None:
    """They never run out."""
    found = sources(["synthetic:40"])

    seeds = [found[part][0].seed for part in ("train", "valid", "report")]
    assert seeds == [0, 1, 2]
    assert found["report"][0].people == 500


def test_where_a_preset_draws_its_people_the_table_s_are_drawn_too() -> None:
    """Of another seed; of photographs nobody can be made up."""
    drawn = SourceConfig(format="synthetic", people=10, seed=4)
    photographs = SourceConfig(format="lsp", path="/data/lsp")

    [for_table] = drawn_for_table((drawn,)) or []

    assert (for_table.seed, for_table.people) == (5, 500)
    assert drawn_for_table((drawn, photographs)) is None
