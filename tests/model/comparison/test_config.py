"""What a comparison is made of: rows, seeds, and people who are kept apart."""

from typing import Any

import pytest

from model.comparison.apart import shared
from model.comparison.cells import cells
from model.comparison.config import CompareConfig, load_comparison
from model.config import SourceConfig
from model.errors import ConfigError

SMALL: dict[str, Any] = {
    "config": {"preset": "tiny"},
    "schemes": ["none", "okdhp"],
    "report": [{"format": "synthetic", "people": 20, "seed": 3}],
}


def compared(**changes: Any) -> CompareConfig:
    return load_comparison(SMALL | changes)


def by_name(config: CompareConfig) -> dict[str, Any]:
    return {cell.name: cell.config for cell in cells(config)}


def test_a_number_of_seeds_means_the_first_ones():
    """And a list those that are in it."""
    assert compared(seeds=3).seeds == (0, 1, 2)
    assert compared(seeds=[7]).seeds == (7,)
    assert compared().seeds == (0, 1)


def test_the_rows_are_the_student_alone_then_schemes_then_variants():
    """In the order in which they were named."""
    config = compared(variants={"hot": {"scheme": {"temperature": 4}}})

    assert config.rows == ("alone", "none", "okdhp", "hot")
    assert compared(alone=False).rows == ("none", "okdhp")


def test_none_is_the_reference_and_else_the_first_row():
    """An ablation is read against its first row."""
    ablation = {"literal": {}, "ce": {"target": {"term": "ce"}}}

    assert compared().reference == "none"
    assert compared(schemes=[], variants=ablation).reference == "literal"


def test_a_scheme_keeps_the_preset_s_options_and_takes_the_rest_from_its_paper():
    """`tiny` states a ramp and a weight; ONE's temperature is that of its paper."""
    schemes = {name: c.scheme for name, c in by_name(compared(schemes=["one", "dml"])).items()}

    one, dml = schemes["one-s0"], schemes["dml-s0"]
    assert (one.name, one.ramp_epochs, one.lambda_kd, one.temperature) == ("one", 2, 1, 3)
    assert (dml.name, dml.ramp_epochs, dml.kl_mean) == ("dml", 2, "joints")


def test_a_comparison_is_stored_without_a_preset_s_name():
    """A preset may be another one in the next version."""
    config = compared()

    assert config.config["network"]["width"] == 32
    assert load_comparison(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"schemes": []}, "needs `schemes` or `variants`"),
        ({"schemes": ["none", "none"]}, "the row none stands twice"),
        ({"variants": {"okdhp": {}}}, "the row okdhp stands twice"),
        ({"variants": {"alone": {}}}, "no variant can be called alone"),
        ({"variants": {"Loud!": {}}}, "variants"),
        ({"seeds": [1, 1]}, "the seed 1 stands twice"),
        ({"seeds": []}, "seeds"),
        ({"budget": "device_time"}, "needs `device_minutes`"),
        ({"device_minutes": 3}, "needs `device_minutes`"),
        ({"scemes": ["none"]}, "did you mean schemes"),
        ({"config": {"preset": "tinny"}}, "did you mean tiny"),
        ({"config": {"preset": "tiny", "training": {"epoch": 1}}}, "config.training.epoch"),
        ({"config": {"preset": "tiny", "evaluation": {"metric": "AP"}}}, "metric: AP has no"),
        ({"report": SMALL["report"] * 2}, "called alike"),
    ],
)
def test_what_makes_no_comparison_is_refused(changes: dict[str, Any], fault: str):
    """Before anything is trained."""
    with pytest.raises(ConfigError, match=fault):
        compared(**changes)


@pytest.mark.parametrize(
    ("row", "changes", "fault"),
    [
        ("okdhq", {"schemes": ["okdhq"]}, r"okdhq\.scheme\.name: .* did you mean okdhp"),
        ("x", {"variants": {"x": {"training": {"epochs": 0}}}}, r"x\.training\.epochs: found 0"),
        ("b", {"layouts": {"b": [{"stacks": 0}]}}, "layouts"),
    ],
)
def test_an_impossible_row_is_told_by_its_name(row: str, changes: dict[str, Any], fault: str):
    """Of thirty runs one may be wrong."""
    with pytest.raises(ConfigError, match=fault):
        cells(compared(**changes))


# People


@pytest.mark.parametrize(
    ("report", "fault"),
    [
        ({"seed": 1}, r"report\[0\]: shares people with config\.data\.train\[0\]"),
        ({"seed": 2}, r"report\[0\]: shares people with config\.data\.valid\[0\]"),
        ({"seed": 2, "skip": 99}, r"config\.data\.valid\[0\]"),
        ({"seed": 2, "skip": 100}, None),
        ({"seed": 3}, None),
    ],
)
def test_who_is_learnt_from_or_chosen_on_is_never_reported(
    report: dict[str, int], fault: str | None
):
    """The published code reports the best of the people that it chose on."""
    source = {"format": "synthetic", "people": 20, "size_px": 96} | report
    if fault is None:
        assert compared(report=[source]).report[0].seed == report["seed"]
        return
    with pytest.raises(ConfigError, match=fault):
        compared(report=[source])


def test_who_is_learnt_from_is_not_chosen_on():
    """Every run would choose its last epoch."""
    data = {"train": [{"format": "synthetic", "people": 50, "seed": 2}]}

    with pytest.raises(ConfigError, match=r"config\.data\.valid\[0\]: shares people"):
        compared(config={"preset": "tiny", "data": data})


def source(**given: Any) -> SourceConfig:
    return SourceConfig(**{"format": "lsp", "path": "/data/lsp"} | given)


@pytest.mark.parametrize(
    ("other", "apart"),
    [
        (source(split="train"), False),
        (source(split="valid"), True),
        (source(), False),  # the whole set
        (source(split="train", skip=900), True),
        (source(split="train", skip=899), False),
        (source(split="train", path="/data/../data/lsp"), False),
        (source(split="train", path="/other/lsp"), True),
        (source(split="train", format="mpii"), True),
        (source(split="train", dataset="lsp", format=None, path=None), True),
    ],
)
def test_sources_are_told_apart_by_their_descriptions(other: SourceConfig, apart: bool):
    """A stretch of a split, another split, another set; a path however it is written."""
    held = source(split="train", people=900)

    assert shared(held, other) == shared(other, held) == (not apart)
