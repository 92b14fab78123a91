"""How --data and --valid become what is learnt from and what is judged on."""

from pathlib import Path

import pytest

from model.errors import ConfigError
from service.cli.sources import parse_source, training_sources


@pytest.fixture
def lsp(tmp_path: Path) -> Path:
    """A folder whose splits can be told; nobody reads it here."""
    (tmp_path / "lsp").mkdir()
    for split in ("train", "valid"):
        (tmp_path / "lsp" / f"{split}.txt").touch()
    return tmp_path / "lsp"


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """COCO calls its splits by years."""
    folder = tmp_path / "coco" / "annotations"
    folder.mkdir(parents=True)
    for split in ("train2017", "val2017"):
        (folder / f"person_keypoints_{split}.json").touch()
    return tmp_path / "coco"


def splits(data: list[str], valid: list[str]) -> tuple[list[str | None], list[str | None]]:
    learnt, judged = training_sources(data, valid)
    return [source.split for source in learnt], [source.split for source in judged]


def test_a_set_alone_gives_both(lsp: Path, coco: Path) -> None:
    """The shortest command does what everybody means."""
    assert splits([f"lsp:{lsp}"], []) == (["train"], ["valid"])
    assert splits([f"coco:{coco}"], []) == (["train2017"], ["val2017"])
    assert splits([f"lsp:{lsp}", f"coco:{coco}"], []) == (
        ["train", "train2017"],
        ["valid", "val2017"],
    )


def test_a_named_split_is_still_judged_on_the_other(lsp: Path) -> None:
    """`:train` says what everybody means without it."""
    assert splits([f"lsp:{lsp}:train"], []) == (["train"], ["valid"])


def test_valid_is_taken_as_given(lsp: Path, coco: Path) -> None:
    """And judges alone."""
    assert splits([f"lsp:{lsp}"], [f"coco:{coco}"]) == (["train"], ["val2017"])
    assert splits([f"lsp:{lsp}"], [f"lsp:{lsp}:train"]) == (["train"], ["train"])


def test_drawn_people_are_judged_on_others() -> None:
    """The same seed would draw those that were learnt."""
    learnt, judged = training_sources(["synthetic:500"], [])

    assert (learnt[0].people, learnt[0].seed) == (500, 0)
    assert (judged[0].people, judged[0].seed) == (50, 1)


def test_nothing_to_judge_on_is_refused(lsp: Path) -> None:
    """A run without validation has no best branch."""
    (lsp / "valid.txt").unlink()

    with pytest.raises(ConfigError, match="no --data has a split `valid`"):
        training_sources([f"lsp:{lsp}"], [])


def test_a_set_that_does_not_say_what_to_learn_from_is_refused(lsp: Path) -> None:
    """All of it would hold what is judged on."""
    (lsp / "train.txt").rename(lsp / "first.txt")

    with pytest.raises(ConfigError, match="does not say which split; accepted: first, valid"):
        training_sources([f"lsp:{lsp}"], [])


def test_a_path_may_hold_a_colon(tmp_path: Path) -> None:
    """What exists as it stands has no split."""
    folder = tmp_path / "a:b"
    folder.mkdir()

    assert parse_source(f"lsp:{folder}").path == folder
    assert parse_source(f"lsp:{folder}:train").split == "train"
    assert parse_source(f"lsp:{folder}").split is None
